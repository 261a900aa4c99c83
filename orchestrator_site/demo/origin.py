"""The embedded origin: the SQL Server's table on a file of its own."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from django.db import connections

from brain.origin import ALIAS, RecursosExp

TABLE = RecursosExp._meta.db_table


def create_origin(path: Path) -> Path:
    """Make the file and its table where they are missing; idempotent, rows stay."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The editor is asked for its SQL alone: the alias cannot open a file that is not there.
    statement, _ = connections[ALIAS].schema_editor().table_sql(RecursosExp)
    with closing(sqlite3.connect(path, timeout=20)) as database, database:
        database.execute("PRAGMA journal_mode=WAL")
        database.execute(statement.replace("CREATE TABLE", "CREATE TABLE IF NOT EXISTS", 1))
        database.execute(
            f'CREATE INDEX IF NOT EXISTS recursosexp_free ON "{TABLE}" ("Estado", "TExp")'
        )
    return path
