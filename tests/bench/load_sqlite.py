"""Files of complaints into SQLite, against a bare `executemany` upsert of the same rows.

Both sides read every file, and its JSON; the other side's rows are ready.
"""

from __future__ import annotations

import sqlite3
import time
from contextlib import closing
from typing import Any

from django.db import connection

from postprocessing import loading
from postprocessing.models import OvAfinia
from postprocessing.writing import CHANGING, COLUMNS
from tests.bench.support import complaint_files
from tests.bench.support.figure import Figure, Target, compared

FILES, RUNS = 20_000, 5
QUICK_FILES, QUICK_RUNS = 6_000, 2
TABLE = OvAfinia._meta.db_table


def run(quick: bool) -> list[Figure]:
    files, times = (QUICK_FILES, QUICK_RUNS) if quick else (FILES, RUNS)
    complaint_files.write(range(files))
    loaded(files)
    rows = stored()
    ours, bare = [], []
    for _run in range(times):
        ours.append(files / loaded(files))
        bare.append(files / upserted(rows))
    note = f"{files:,} files of 2.5 KB"
    return [
        compared("load_sqlite", ours, bare, "files/s", Target("ratio", ">=", 0.5), note),
    ]


def loaded(files: int) -> float:
    complaint_files.forget()
    began = time.perf_counter()
    told = loading.load(complaint_files.company())
    seconds = time.perf_counter() - began
    assert told.inserted == files, told
    return seconds


def stored() -> list[tuple[Any, ...]]:
    with closing(bare_connection()) as bare:
        return bare.execute(f"SELECT {', '.join(COLUMNS)} FROM {TABLE}").fetchall()


def upserted(rows: list[tuple[Any, ...]]) -> float:
    complaint_files.forget()
    marks = ", ".join("?" * len(COLUMNS))
    updates = ", ".join(f"{name} = excluded.{name}" for name in CHANGING)
    sql = (
        f"INSERT INTO {TABLE} ({', '.join(COLUMNS)}) VALUES ({marks})"
        f" ON CONFLICT (hash_registro) DO UPDATE SET {updates}"
    )
    with closing(bare_connection()) as bare:
        began = time.perf_counter()
        assert complaint_files.read_all()
        with bare:
            bare.executemany(sql, rows)
        return time.perf_counter() - began


def bare_connection() -> sqlite3.Connection:
    bare = sqlite3.connect(connection.settings_dict["NAME"], timeout=20)
    bare.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")
    return bare
