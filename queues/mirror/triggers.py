"""The database writes down each change of a mirrored row, whoever made it and however.

Installed after each migration: SQLite makes a table anew to alter it, and loses its triggers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from django.db import ProgrammingError, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper

from queues.mirror.kinds import KINDS, Kind

OUTBOX = "mirror_outbox"  # also the channel that wakes the publisher
_PREFIX = "mirror_of_"

_POSTGRESQL = """
CREATE OR REPLACE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $mirror$
BEGIN
  IF NOT EXISTS (SELECT 1 FROM mirror_state WHERE is_on) THEN RETURN NULL; END IF;
  IF TG_OP = 'INSERT' THEN
    INSERT INTO {outbox} (kind, key, at, error)
    SELECT '{kind}', {new_key}, statement_timestamp(), '' FROM after;
  ELSIF TG_OP = 'UPDATE' THEN
    INSERT INTO {outbox} (kind, key, at, error)
    SELECT '{kind}', changed.key, statement_timestamp(), '' FROM (
      SELECT {new_key} AS key FROM after JOIN before USING (id) WHERE {differs}
      UNION SELECT {old_key} FROM before JOIN after USING (id) WHERE {differs}
    ) AS changed;
  ELSE
    INSERT INTO {outbox} (kind, key, at, error)
    SELECT '{kind}', {old_key}, statement_timestamp(), '' FROM before;
  END IF;
  IF FOUND THEN PERFORM pg_notify('{outbox}', ''); END IF;
  RETURN NULL;
END $mirror$;
"""
_TABLES = {
    "INSERT": "NEW TABLE AS after",
    "UPDATE": "OLD TABLE AS before NEW TABLE AS after",
    "DELETE": "OLD TABLE AS before",
}
_SQLITE = """
CREATE TRIGGER {name}_{operation} AFTER {operation} ON "{table}"
WHEN {condition} EXISTS (SELECT 1 FROM mirror_state WHERE is_on)
BEGIN
  INSERT INTO {outbox} (kind, key, at, error)
  SELECT '{kind}', key, STRFTIME('%Y-%m-%d %H:%M:%f', 'NOW'), '' FROM ({keys});
END
"""


def install(using: str) -> None:
    """Those of every kind whose tables are there. No change goes unnoticed meanwhile. A role that
    owns no table finds them there already."""
    try:
        _install(using)
    except ProgrammingError:
        if missing(using):
            raise


def _install(using: str) -> None:
    connection = connections[using]
    with connection.cursor() as cursor:
        there = set(connection.introspection.table_names(cursor))
        if not {OUTBOX, "mirror_state"} <= there:
            return
        for statements in _statements(connection, there):
            # One table at a time: who changes several waits for us, and we for nobody.
            with transaction.atomic(using):
                for statement in statements:
                    cursor.execute(statement)


def missing(using: str) -> list[str]:
    """The names of triggers that should be there and are not, or do not fire."""
    connection = connections[using]
    catalogue = {
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgenabled IN ('O', 'A')",
        "sqlite": "SELECT name FROM sqlite_master WHERE type = 'trigger'",
    }[connection.vendor]
    with connection.cursor() as cursor:
        cursor.execute(catalogue)
        there = {name for (name,) in cursor.fetchall()}
    wanted = {
        f"{_name(kind, table)}_{operation.lower()}"
        for kind in KINDS.values()
        for table in kind.columns
        for operation in _operations(kind)
    }
    return sorted(wanted - there)


def _name(kind: Kind, table: str) -> str:
    return f"{_PREFIX}{kind.name}_{table}"


def _operations(kind: Kind) -> list[str]:
    """That the outbox is told of."""
    return [one for one in _TABLES if one != "DELETE" or not kind.is_history]


def _statements(connection: BaseDatabaseWrapper, there: set[str]) -> Iterator[list[str]]:
    """For each trigger; on PostgreSQL the function that they share comes first."""
    make = {"postgresql": _on_postgresql, "sqlite": _on_sqlite}[connection.vendor]
    for kind in KINDS.values():
        for table, columns in kind.columns.items():
            if table in there:
                yield from make(kind, table, columns)


def _on_postgresql(kind: Kind, table: str, columns: Sequence[str]) -> Iterator[list[str]]:
    name = _name(kind, table)
    yield [
        _POSTGRESQL.format(
            name=name,
            outbox=OUTBOX,
            kind=kind.name,
            new_key=kind.key.format(row="after"),
            old_key=kind.key.format(row="before"),
            differs=_differs("after", "before", "IS DISTINCT FROM", columns),
        )
    ]
    for operation in _operations(kind):
        yield [
            f'CREATE OR REPLACE TRIGGER {name}_{operation.lower()} AFTER {operation} ON "{table}" '
            f"REFERENCING {_TABLES[operation]} FOR EACH STATEMENT EXECUTE FUNCTION {name}()"
        ]


def _on_sqlite(kind: Kind, table: str, columns: Sequence[str]) -> Iterator[list[str]]:
    name = _name(kind, table)
    old, new = (f"SELECT {kind.key.format(row=row)} AS key" for row in ("OLD", "NEW"))
    keys = {"INSERT": new, "UPDATE": f"{new} UNION {old}", "DELETE": old}
    differs = _differs("NEW", "OLD", "IS NOT", columns)
    for operation in _operations(kind):
        values: dict[str, Any] = {
            "name": name,
            "operation": operation.lower(),
            "table": table,
            "outbox": OUTBOX,
            "kind": kind.name,
            "keys": keys[operation],
            "condition": f"({differs}) AND" if operation == "UPDATE" else "",
        }
        yield [
            f"DROP TRIGGER IF EXISTS {name}_{operation.lower()}",
            _SQLITE.format(**values),
        ]


def _differs(new: str, old: str, word: str, columns: Sequence[str]) -> str:
    return " OR ".join(f'{new}."{one}" {word} {old}."{one}"' for one in columns)
