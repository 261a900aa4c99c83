"""The world's own SQLite file: what was filed, what is being filled in, sessions, faults."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.conf import settings

SCHEMA = """
CREATE TABLE IF NOT EXISTS filings (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    site TEXT NOT NULL,
    expediente TEXT NOT NULL,
    registry_number TEXT NOT NULL UNIQUE,
    fields TEXT NOT NULL,
    files TEXT NOT NULL,
    at TEXT NOT NULL,
    draft TEXT NOT NULL UNIQUE
);
CREATE INDEX IF NOT EXISTS filings_expediente ON filings (expediente);
CREATE TABLE IF NOT EXISTS drafts (
    id TEXT PRIMARY KEY,
    site TEXT NOT NULL,
    fields TEXT NOT NULL,
    files TEXT NOT NULL DEFAULT '[]'
);
CREATE TABLE IF NOT EXISTS sessions (
    id TEXT PRIMARY KEY,
    token TEXT NOT NULL,
    name TEXT NOT NULL DEFAULT ''
);
CREATE TABLE IF NOT EXISTS faults (
    id INTEGER PRIMARY KEY,
    site TEXT NOT NULL,
    fault TEXT NOT NULL,
    expediente TEXT NOT NULL DEFAULT '',
    times INTEGER,
    value TEXT NOT NULL DEFAULT '',
    UNIQUE (site, fault, expediente)
);
"""


def path() -> Path:
    return Path(settings.DATA_DIR) / "demo" / "filings.sqlite3"


@contextmanager
def opened() -> Iterator[sqlite3.Connection]:
    """A connection for one short transaction, committed on the way out."""
    file = path()
    is_new = not file.exists()
    if is_new:
        file.parent.mkdir(parents=True, exist_ok=True)
    database = sqlite3.connect(file, timeout=20)
    try:
        if is_new:
            database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        database.executescript(SCHEMA)
        database.row_factory = sqlite3.Row
        with database:
            yield database
    finally:
        database.close()
