"""The one way a row changes its status: a guarded update and an event, in one transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from typing import Any, ClassVar, Self

from django.db import connections, models, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models import Q
from django.db.models.functions import Now
from django.db.models.sql import Query, UpdateQuery
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from orchestrator_site.models.event import Note


class IllegalMove(Exception):
    """A status change that the map of legal moves does not hold: a bug, never a lost race."""


class StatusModel(models.Model):
    """A row with a status and a case.

    A subclass declares `status` with its choices and `MOVES`, the legal moves from each status.
    """

    MOVES: ClassVar[Mapping[str, frozenset[str]]]

    # Ordered by time: those of the moment stand together in every index, however long it is.
    case_id = models.UUIDField(_("case"), default=uuid7, db_index=True, editable=False)
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
        note = Note.of(cls, old, to, reason, data)
        return cls.change_all(rows, Q(status=old, **(guard or {})), note, status=to, **changes)

    @classmethod
    def change_all(
        cls,
        rows: Iterable[Self],
        where: Q,
        note: Note | None = None,
        **changes: Any,
    ) -> list[Self]:
        """Write `changes` to those of `rows` of which `where` holds, with an event each where
        there is a note, in one statement; returns these, their attributes as they are stored."""
        by_pk = {row.pk: row for row in rows}
        if not by_pk:
            return []
        update = Update.of_keys(cls, list(by_pk), where, changes)
        columns = Columns.of(cls, update.using, (cls._meta.pk.name, "case_id", *update.computed))
        stored = {pk: values for pk, _case, *values in update.run(columns, note)}
        for pk, values in stored.items():
            for name, value in (changes | dict(zip(update.computed, values, strict=True))).items():
                setattr(by_pk[pk], name, value)
        return [row for pk, row in by_pk.items() if pk in stored]


@dataclass(frozen=True)
class Update:
    """An UPDATE that answers with the rows that it changed, and writes their events with it.

    `computed`: the fields whose new values only the database knows.
    """

    model: type[StatusModel]
    using: str
    sql: str
    params: Sequence[Any]
    computed: tuple[str, ...] = ()

    @classmethod
    def of_keys(
        cls, model: type[StatusModel], keys: Sequence[Any], where: Q, changes: Mapping[str, Any]
    ) -> Update:
        """Of the rows with these keys of which `where` holds.

        `where` is no way to find the rows: the index of a status that rows pass through is full
        of those that have left it, and looks short to PostgreSQL.
        """
        text = _Text.of(model)
        condition, values = text.condition(where)
        found, keyed = text.one_of(keys)
        return cls.of(model, (f"{found} AND ({condition}) IS TRUE", [*keyed, *values]), changes)

    @classmethod
    def of(
        cls, model: type[StatusModel], where: tuple[str, Sequence[Any]], changes: Mapping[str, Any]
    ) -> Update:
        """Fields with `auto_now` get the moment of the change, unless `changes` name another."""
        text = _Text.of(model)
        written = {**_stamps(model), **changes}
        new = [text.assigned(name, value) for name, value in written.items()]
        condition, values = where
        table = text.quote(model._meta.db_table)
        return cls(
            model,
            text.using,
            f"UPDATE {table} SET {', '.join(sql for sql, _params in new)} WHERE {condition}",
            [*(one for _sql, params in new for one in params), *values],
            tuple(name for name, value in written.items() if _is_computed(value)),
        )

    def run(self, columns: Columns, note: Note | None = None) -> list[list[Any]]:
        """The values of `columns` of each changed row."""
        connection = connections[self.using]
        update = f"{self.sql} RETURNING {columns.sql}"
        compiler = Query(self.model).get_compiler(self.using)
        with _as_one(connection):
            if note is None:
                rows = _fetched(connection, update, self.params)
            elif connection.vendor == "postgresql":
                noted = note.insert_from("moved", columns.case_id, columns.key)
                sql = f"WITH moved AS ({update}), noted AS ({noted}) SELECT * FROM moved"
                rows = _fetched(connection, sql, [*self.params, *note.common])
            else:
                rows = _fetched(connection, update, self.params)
                known = compiler.apply_converters(rows, columns.converters)
                note.write([columns.of_event(row) for row in known])
        return list(compiler.apply_converters(rows, columns.converters))


@dataclass(frozen=True)
class _Text:
    """The parts of a statement, with their parameters. Put together by hand where they are plain:
    Django takes longer to compile a change than PostgreSQL to carry it out."""

    model: type[StatusModel]
    using: str
    compiler: Any

    @classmethod
    def of(cls, model: type[StatusModel]) -> _Text:
        using = router.db_for_write(model)
        query = UpdateQuery(model)
        query.get_initial_alias()  # for the columns that expressions name
        return cls(model, using, query.get_compiler(using))

    def quote(self, name: str) -> str:
        quoted: str = self.compiler.quote_name_unless_alias(name)
        return quoted

    def one_of(self, keys: Sequence[Any]) -> tuple[str, list[Any]]:
        """One parameter for all keys where there are arrays: the statement is always the same."""
        key: Any = self.model._meta.pk
        if self.compiler.connection.vendor == "postgresql":
            return f"{self.quote(key.column)} = ANY(%s)", [list(keys)]
        prepared = [key.get_db_prep_value(one, self.compiler.connection) for one in keys]
        return f"{self.quote(key.column)} IN ({', '.join(['%s'] * len(keys))})", prepared

    def assigned(self, name: str, value: Any) -> tuple[str, Sequence[Any]]:
        field = _field(self.model, name)
        sql, params = self._value(field, value)
        return f"{self.quote(field.column)} = {sql}", params

    def condition(self, where: Q) -> tuple[str, Sequence[Any]]:
        if not where:
            return "TRUE", ()
        if not _is_plain(where):
            sql: tuple[str, Sequence[Any]] = self.compiler.compile(
                self.compiler.query.build_where(where)
            )
            return sql
        equal = [self._equal(name, value) for name, value in where.children]  # type: ignore[misc]
        return " AND ".join(sql for sql, _params in equal), [p for _s, ps in equal for p in ps]

    def _equal(self, name: str, value: Any) -> tuple[str, Sequence[Any]]:
        field = _field(self.model, name)
        if value is None:
            return f"{self.quote(field.column)} IS NULL", ()
        sql, params = self._value(field, value)
        return f"{self.quote(field.column)} = {sql}", params

    def _value(self, field: Any, value: Any) -> tuple[str, Sequence[Any]]:
        if _is_computed(value):
            resolved = value.resolve_expression(self.compiler.query, False, None, False, True)
            sql: tuple[str, Sequence[Any]] = self.compiler.compile(resolved)
            return sql
        if isinstance(value, models.Model):
            value = value.prepare_database_save(field)
        return "%s", (field.get_db_prep_save(value, self.compiler.connection),)


def _is_computed(value: Any) -> bool:
    return hasattr(value, "resolve_expression")


def _is_plain(where: Q) -> bool:
    """Whether it is nothing but columns that equal values."""
    return (
        not where.negated
        and where.connector == Q.AND
        and all(
            isinstance(one, tuple)
            and one[0] != "pk"
            and "__" not in one[0]
            and not _is_computed(one[1])
            for one in where.children
        )
    )


class _Moment(Now):
    """The moment of the statement. Without a parameter: a statement may be kept for later."""

    def resolve_expression(self, *args: Any, **kwargs: Any) -> _Moment:
        return self  # it names no column, and a copy would cost more than its text


@cache
def _stamps(model: type[models.Model]) -> Mapping[str, _Moment]:
    """What Django writes on save() alone."""
    fields = model._meta.concrete_fields
    return {field.name: _Moment() for field in fields if getattr(field, "auto_now", False)}


@cache
def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.get_field(name)


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
            converters=compiler.get_converters(
                [field.get_col(model._meta.db_table) for field in fields]  # of a key: its target
            ),
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
