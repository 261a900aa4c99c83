"""Several querysets read in one statement: one round trip, and all of them at one moment."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import EmptyResultSet
from django.db import DEFAULT_DB_ALIAS, connections, models
from django.db.models import QuerySet

Rows = list[dict[str, Any]]
# How a row, and how rows become JSON, by database.
BUILD = {
    "postgresql": ("json_build_array", "json_agg"),
    "sqlite": ("json_array", "json_group_array"),
}


@dataclass(frozen=True)
class Counted:
    """How many rows there are, counted up to `most`: a million take seconds."""

    rows: QuerySet[Any]
    most: int = 10_000


Asked = QuerySet[Any] | Counted


@dataclass(frozen=True)
class _Part:
    """A scalar subquery, and what its value means."""

    sql: str
    params: tuple[Any, ...]
    read: Callable[[Any], Any]


def fetch(**asked: Asked) -> dict[str, Any]:
    """By its name: the rows of each queryset, or a number where one is `Counted`.

    A queryset is one of `.values(...)` of simple fields, no two of the same name. Times come back
    aware.
    """
    found: dict[str, Any] = {
        name: 0 if isinstance(one, Counted) else [] for name, one in asked.items()
    }
    parts = {name: part for name, one in asked.items() if (part := _part(one))}
    if parts:
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(
                f"SELECT {', '.join(f'({part.sql})' for part in parts.values())}",
                [value for part in parts.values() for value in part.params],
            )
            told = cursor.fetchone()
        for (name, part), value in zip(parts.items(), told, strict=True):
            found[name] = part.read(value)
    return found


def _part(asked: Asked) -> _Part | None:
    """None where nothing can be found, which the compiler sees without the database."""
    try:
        return _count(asked) if isinstance(asked, Counted) else _list(asked)
    except EmptyResultSet:
        return None


def _count(asked: Counted) -> _Part:
    rows = asked.rows.order_by().values("pk")[: asked.most]
    sql, params = rows.query.sql_with_params()
    return _Part(f"SELECT count(*) FROM ({sql}) one", tuple(params), int)


def _list(queryset: QuerySet[Any]) -> _Part:
    """As one JSON array of arrays."""
    connection = connections[DEFAULT_DB_ALIAS]
    build, gather = BUILD[connection.vendor]
    compiler = queryset.query.get_compiler(DEFAULT_DB_ALIAS)
    sql, params = compiler.as_sql(with_col_aliases=True)
    quote = connection.ops.quote_name
    columns = ", ".join(f"one.{quote(str(alias))}" for _column, _sql, alias in compiler.select)
    names = list(_names(queryset))
    kinds = [
        _kind(column.output_field, connection.vendor) for column, _sql, _alias in compiler.select
    ]

    def read(value: Any) -> Rows:
        rows = json.loads(value) if isinstance(value, str) else value or []
        return [
            {name: kind(one) for name, kind, one in zip(names, kinds, row, strict=True)}
            for row in rows
        ]

    return _Part(f"SELECT {gather}({build}({columns})) FROM ({sql}) one", tuple(params), read)


def _names(queryset: QuerySet[Any]) -> Iterator[str]:
    """In the order of the columns."""
    query: Any = queryset.query
    if query.selected is not None:
        yield from query.selected
    else:
        yield from (*query.values_select, *query.annotation_select)


def _kind(field: models.Field[Any, Any], vendor: str) -> Callable[[Any], Any]:
    """What makes a value out of its JSON."""
    if isinstance(field, models.DateTimeField):
        return _time
    if isinstance(field, models.BooleanField):
        return lambda value: None if value is None else bool(value)
    if isinstance(field, models.JSONField) and vendor != "postgresql":  # there it is text
        return lambda value: None if value is None else json.loads(value)
    return lambda value: value


def _time(value: str | None) -> datetime | None:
    if value is None:
        return None
    at = datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)
