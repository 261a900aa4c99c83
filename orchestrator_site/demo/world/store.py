"""The world's own SQLite file: what was filed, what is being filled in, sessions, faults."""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

from django.conf import settings

SCHEMA = """
CREATE TABLE filings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    site TEXT NOT NULL,
    expediente TEXT NOT NULL,
    registry_number TEXT NOT NULL UNIQUE,
    fields TEXT NOT NULL,
    files TEXT NOT NULL,
    at TEXT NOT NULL,
    draft TEXT NOT NULL UNIQUE
);
CREATE INDEX filings_expediente ON filings (expediente);
CREATE TABLE drafts (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    fields TEXT NOT NULL,
    files TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE sessions (
    id TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT ''
);
CREATE TABLE faults (
    id INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    fault TEXT NOT NULL,
    expediente TEXT NOT NULL DEFAULT '',
    times INTEGER,
    value TEXT NOT NULL DEFAULT '',
    UNIQUE (site, fault, expediente)
);
CREATE TABLE told (
    id INTEGER PRIMARY KEY,
    who TEXT NOT NULL,
    headers TEXT NOT NULL,
    body TEXT NOT NULL,
    at TEXT NOT NULL
);
"""


def path() -> Path:
    return Path(settings.DATA_DIR) / "demo" / "filings.sqlite3"


@contextmanager
def opened() -> Iterator[sqlite3.Connection]:
    """A connection for one short transaction, committed on the way out."""
    file = path()
    if not file.exists():
        _make(file)
    database = sqlite3.connect(file, timeout=20)
    database.row_factory = sqlite3.Row
    try:
        database.execute("PRAGMA synchronous=NORMAL")
        with database:
            yield database
    finally:
        database.close()


def _make(file: Path) -> None:
    """Elsewhere first: of threads that switch one file to WAL at once, some find it locked."""
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    with closing(sqlite3.connect(staged)) as database:
        database.execute("PRAGMA journal_mode=WAL")
        database.executescript(SCHEMA)
    with suppress(FileExistsError):  # another was first: theirs counts
        file.hardlink_to(staged)
    staged.unlink()
