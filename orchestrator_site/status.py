"""The one way a row changes its status: a guarded update and an event, in one transaction."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, ClassVar, Self

from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.db.models.sql import Query, UpdateQuery
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models.event import Note


class Holds(models.Func):
    """A condition that is no way to find the rows: those to change are found by their keys.

    The index of a status that rows pass through is full of those that have left it, and looks
    short to PostgreSQL.
    """

    template = "(%(expressions)s) IS TRUE"
    output_field = models.BooleanField()


class IllegalMove(Exception):
    """A status change that the map of legal moves does not hold: a bug, never a lost race."""


class StatusModel(models.Model):
    """A row with a status and a case.

    A subclass declares `status` with its choices and `MOVES`, the legal moves from each status.
    """

    MOVES: ClassVar[Mapping[str, frozenset[str]]]

    case_id = models.UUIDField(_("case"), default=uuid.uuid4, db_index=True, editable=False)
    status: models.CharField[str, str]

    class Meta:
        abstract = True

    def move(
        self,
        to: str,
        reason: str = "",
        *,
        guard: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> bool:
        """Move this row to status `to`, writing `changes` with it; True if this call did it.

        False is a lost race: somebody moved the row first, or `guard` (more conditions on the
        row, such as the lease token) no longer holds. Then nothing was written. Raises
        IllegalMove where MOVES has no such move.
        """
        return bool(self.move_all([self], to, reason, guard=guard, data=data, **changes))

    @classmethod
    def move_all(
        cls,
        rows: Iterable[Self],
        to: str,
        reason: str = "",
        *,
        guard: Mapping[str, Any] | None = None,
        data: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> list[Self]:
        """Move many rows of one status in one statement; returns those that this call moved."""
        rows = list(rows)
        if not rows:
            return []
        old = rows[0].status
        if any(row.status != old for row in rows):
            raise IllegalMove(f"{cls.__name__}: rows of several statuses in one move")
        if to not in cls.MOVES.get(old, frozenset()):
            raise IllegalMove(f"{cls.__name__}: {old} -> {to}")
        unmoved = cls._default_manager.filter(Holds(Q(status=old, **(guard or {}))))
        note = Note.of(cls, old, to, reason, data)
        return cls.change_all(rows, unmoved, note, status=to, **changes)

    @classmethod
    def change_all(
        cls,
        rows: Iterable[Self],
        among: models.QuerySet[Any],
        note: Note | None = None,
        **changes: Any,
    ) -> list[Self]:
        """Write `changes` to those of `rows` that are `among`, with an event each where there is
        a note, in one statement; returns these, their attributes as they are stored."""
        by_pk = {row.pk: row for row in rows}
        if not by_pk:
            return []
        computed = [name for name, value in changes.items() if hasattr(value, "resolve_expression")]
        update = Update.of(among.filter(pk__in=by_pk), changes)
        columns = Columns.of(cls, update.using, (cls._meta.pk.name, "case_id", *computed))
        stored = {pk: values for pk, _case, *values in update.run(columns, note)}
        for pk, values in stored.items():
            for name, value in (changes | dict(zip(computed, values, strict=True))).items():
                setattr(by_pk[pk], name, value)
        return [row for pk, row in by_pk.items() if pk in stored]


@dataclass(frozen=True)
class Update:
    """An UPDATE that answers with the rows that it changed, and writes their events with it."""

    model: type[StatusModel]
    using: str
    sql: str
    params: Sequence[Any]

    @classmethod
    def of(cls, rows: models.QuerySet[Any], changes: Mapping[str, Any]) -> Update:
        using = router.db_for_write(rows.model)
        query: Any = rows.query.chain(UpdateQuery)
        query.add_update_values(changes)
        sql, params = query.get_compiler(using).as_sql()
        return cls(rows.model, using, sql, params)

    def run(self, columns: Columns, note: Note | None = None) -> list[list[Any]]:
        """The values of `columns` of each changed row."""
        connection = connections[self.using]
        update = f"{self.sql} RETURNING {columns.sql}"
        with _as_one(connection):
            if note is None:
                rows = _fetched(connection, update, self.params)
            elif connection.vendor == "postgresql":
                noted = note.insert_from("moved", columns.case_id, columns.key)
                sql = f"WITH moved AS ({update}), noted AS ({noted}) SELECT * FROM moved"
                rows = _fetched(connection, sql, [*self.params, *note.common])
            else:
                rows = _fetched(connection, update, self.params)
                note.write([columns.of_event(row) for row in rows])
        compiler = Query(self.model).get_compiler(self.using)
        return list(compiler.apply_converters(rows, columns.converters))


@dataclass(frozen=True)
class Columns:
    """What an UPDATE tells of each row that it changed: its key and case are among it."""

    sql: str
    converters: Mapping[int, Any]
    case_id: str
    key: str
    of_event: Callable[[Sequence[Any]], tuple[Any, Any]]

    @staticmethod
    @cache
    def of(model: type[StatusModel], using: str, names: tuple[str, ...]) -> Columns:
        compiler = Query(model).get_compiler(using)
        fields: list[Any] = [model._meta.get_field(name) for name in names]
        quoted = {field.name: compiler.quote_name_unless_alias(field.column) for field in fields}
        own = ("case_id", model._meta.pk.name)
        case_id, key = (list(quoted).index(name) for name in own)
        return Columns(
            sql=", ".join(quoted.values()),
            converters=compiler.get_converters([field.cached_col for field in fields]),
            case_id=quoted[own[0]],
            key=quoted[own[1]],
            of_event=itemgetter(case_id, key),
        )


def _as_one(connection: BaseDatabaseWrapper) -> AbstractContextManager[None]:
    """All or nothing. PostgreSQL is sent one statement, which is that by itself; in an open
    transaction it gets a savepoint, so that a refused change leaves the rest usable."""
    if connection.vendor == "postgresql" and not connection.in_atomic_block:
        return nullcontext()
    return transaction.atomic(connection.alias)


def _fetched(connection: BaseDatabaseWrapper, sql: str, params: Sequence[Any]) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql, params)
        return cursor.fetchall()
