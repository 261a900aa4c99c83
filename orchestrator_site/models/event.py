"""What happened: the append-only thread of every case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models, router
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.actors import ActorKind, current_actor

ACTOR_LENGTH = 150
# The actors behind whom a person stands.
PERSONS = (ActorKind.USER.value, ActorKind.API_KEY.value, ActorKind.COMMAND.value)
COMMON = ("at", "actor_kind", "actor", "object_type", "old", "new", "reason", "data")
EACH = ("case_id", "object_id")


class Event(models.Model):
    """One thing that happened to one object. Never changed: the database refuses an update."""

    at = models.DateTimeField(_("at"), default=timezone.now, db_index=True)
    case_id = models.UUIDField(_("case"), null=True, db_index=True)
    actor_kind = models.CharField(_("actor kind"), max_length=16, choices=ActorKind.choices)
    actor = models.CharField(_("actor"), max_length=ACTOR_LENGTH, blank=True)
    object_type = models.CharField(_("object type"), max_length=64)
    object_id = models.CharField(_("object"), max_length=64)
    old = models.CharField(_("before"), max_length=32, blank=True)
    new = models.CharField(_("after"), max_length=32, blank=True)
    reason = models.TextField(_("reason"), blank=True)
    data = models.JSONField(_("data"), default=dict, blank=True, encoder=DjangoJSONEncoder)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("event")
        verbose_name_plural = _("events")
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="event_object"),
            models.Index(fields=["new", "-id"], name="event_new"),
            # What the audit is made of: few among many.
            models.Index(
                fields=["at", "id"],
                condition=models.Q(actor_kind__in=PERSONS),
                name="event_of_persons",
            ),
            # The list's filter by them, in the list's order.
            models.Index(
                fields=["actor_kind", "-id"],
                condition=models.Q(actor_kind__in=PERSONS),
                name="event_by_persons",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.object_type} {self.object_id}: {self.old} -> {self.new}"

    @classmethod
    def record(
        cls,
        rows: Iterable[models.Model],
        old: str,
        new: str,
        reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> None:
        """Write one event per row, in the caller's transaction. A row may carry a `case_id`."""
        rows = list(rows)
        if rows:
            objects = [(getattr(row, "case_id", None), row.pk) for row in rows]
            Note.of(type(rows[0]), old, new, reason, data).write(objects)


@dataclass(frozen=True)
class Note:
    """What the events of one change have in common, as the database takes it."""

    connection: BaseDatabaseWrapper
    common: Sequence[Any]

    @classmethod
    def of(
        cls,
        model: type[models.Model],
        old: str,
        new: str,
        reason: str = "",
        data: Mapping[str, Any] | None = None,
    ) -> Note:
        actor = current_actor()
        connection = connections[router.db_for_write(Event)]
        at, told = (field.get_db_prep_save for field in _fields(("at", "data")))
        whole: Any = model._meta.concrete_model  # a proxy's rows are the same things
        kind = whole._meta.label_lower
        words = (actor.kind, actor.name[:ACTOR_LENGTH], kind, old, new, reason)
        # Plain texts: drivers take a long time over the members of an enumeration.
        common = (
            at(timezone.now(), connection),
            *map(str, words),
            told(dict(data or {}), connection),
        )
        return cls(connection, common)

    def insert_from(self, source: str, case_id: str, object_id: str) -> str:
        """An INSERT of an event for each row of `source`; `common` are its parameters."""
        insert = _insert(self.connection.alias)
        return insert.format(source=source, case_id=case_id, object_id=object_id)

    def write(self, objects: Sequence[tuple[Any, Any]]) -> None:
        """Insert an event for each case and key: one statement, where the parameters fit in."""
        limit = self.connection.features.max_query_params
        size = (limit - len(self.common)) // len(EACH) if limit else len(objects) or 1
        with self.connection.cursor() as cursor:
            for start in range(0, len(objects), size):
                some = objects[start : start + size]
                rows = ", ".join(["(%s, %s)"] * len(some))
                insert = self.insert_from(f"(VALUES {rows}) AS noted", "column1", "column2")
                cursor.execute(insert, [*self.common, *self._prepared(some)])

    def _prepared(self, objects: Iterable[tuple[Any, Any]]) -> list[Any]:
        field, _object_id = _fields(EACH)
        pairs = ((field.get_db_prep_save(case, self.connection), str(pk)) for case, pk in objects)
        return [value for pair in pairs for value in pair]


@cache
def _fields(names: tuple[str, ...]) -> tuple[models.Field[Any, Any], ...]:
    return tuple(Event._meta.get_field(name) for name in names)  # type: ignore[misc]


@cache
def _insert(alias: str) -> str:
    """Made once: every move of every task passes here. What differs is left in braces."""
    connection = connections[alias]
    quote = connection.ops.quote_name
    columns = ", ".join(quote(str(field.column)) for field in _fields(COMMON + EACH))
    marks = ", ".join(["%s"] * len(COMMON))
    # A column of nothing but NULLs has no type of its own.
    casts = [
        f"CAST({{{field.name}}} AS {field.cast_db_type(connection)})" for field in _fields(EACH)
    ]
    table = quote(Event._meta.db_table)
    return f"INSERT INTO {table} ({columns}) SELECT {marks}, {', '.join(casts)} FROM {{source}}"
