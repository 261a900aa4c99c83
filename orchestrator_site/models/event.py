"""What happened: the append-only thread of every case."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.actors import ActorKind, current_actor


class Event(models.Model):
    """One thing that happened to one object. Never changed: the database refuses an update."""

    at = models.DateTimeField(_("at"), default=timezone.now, db_index=True)
    case_id = models.UUIDField(_("case"), null=True, db_index=True)
    actor_kind = models.CharField(_("actor kind"), max_length=16, choices=ActorKind.choices)
    actor = models.CharField(_("actor"), max_length=150, blank=True)
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
        actor = current_actor()
        at = timezone.now()
        Event.objects.bulk_create(
            [
                Event(
                    at=at,
                    case_id=getattr(row, "case_id", None),
                    actor_kind=actor.kind,
                    actor=actor.name,
                    object_type=row._meta.label_lower,
                    object_id=str(row.pk),
                    old=old,
                    new=new,
                    reason=reason,
                    data=dict(data or {}),
                )
                for row in rows
            ]
        )
