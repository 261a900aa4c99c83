"""What happened: the append-only thread of every case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import connections, models, router
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.actors import ActorKind, current_actor

ACTOR_LENGTH = 150


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
        indexes = [models.Index(fields=["object_type", "object_id"], name="event_object")]

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
        if not rows:
            return
        actor = current_actor()
        _insert(
            {
                "at": timezone.now(),
                "actor_kind": actor.kind,
                "actor": actor.name[:ACTOR_LENGTH],
                "object_type": rows[0]._meta.label_lower,
                "old": old,
                "new": new,
                "reason": reason,
                "data": dict(data or {}),
            },
            [{"case_id": getattr(row, "case_id", None), "object_id": str(row.pk)} for row in rows],
        )


def _insert(common: Mapping[str, Any], each: Sequence[Mapping[str, Any]]) -> None:
    """Plain rows, what they have in common prepared once: every move of every task passes here,
    and bulk_create takes twice the time."""
    connection = connections[router.db_for_write(Event)]
    quote = connection.ops.quote_name

    def prepared(values: Mapping[str, Any]) -> list[Any]:
        return [
            Event._meta.get_field(name).get_db_prep_save(value, connection)  # type: ignore[union-attr]
            for name, value in values.items()
        ]

    names = [*common, *each[0]]
    columns = ", ".join(quote(name) for name in names)
    marks = ", ".join(["%s"] * len(names))
    shared = prepared(common)
    with connection.cursor() as cursor:
        cursor.executemany(
            f"INSERT INTO {quote(Event._meta.db_table)} ({columns}) VALUES ({marks})",
            [shared + prepared(values) for values in each],
        )
