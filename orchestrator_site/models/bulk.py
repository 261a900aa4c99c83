"""A verb on many rows: what was asked for, how far it is, what became of each row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, ClassVar

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.functional import cached_property
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from orchestrator_site.actors import ActorKind
from orchestrator_site.status import StatusModel

OUTCOMES = ("done", "moved_on", "refused", "unsure")


class BulkAction(StatusModel):
    """A verb on the rows that matched a filter when somebody confirmed it, done in the background.

    Its rows are written down in parts of keys, so that it is done to those that were counted,
    whatever matches later; and a process that dies leaves off at a row that is known.
    """

    class Status(models.TextChoices):
        QUEUED = "queued", pgettext_lazy("bulk action", "Queued")
        RUNNING = "running", pgettext_lazy("bulk action", "Running")
        DONE = "done", pgettext_lazy("bulk action", "Done")
        CANCELLED = "cancelled", pgettext_lazy("bulk action", "Stopped")

    LIVE = (Status.QUEUED, Status.RUNNING)
    MOVES: ClassVar = {
        Status.QUEUED: frozenset({Status.RUNNING, Status.CANCELLED}),
        Status.RUNNING: frozenset({Status.DONE, Status.CANCELLED}),
    }
    TONES: ClassVar = {
        Status.QUEUED: "wait",
        Status.RUNNING: "busy",
        Status.DONE: "ok",
        Status.CANCELLED: "off",
    }

    kind = models.CharField(_("kind"), max_length=64)  # as in orchestrator_site.verbs.OFFERS
    verb = models.CharField(_("action"), max_length=64)
    value = models.CharField(_("value"), max_length=200, blank=True)  # of the verb's argument
    reason = models.TextField(_("reason"))
    filter = models.TextField(_("filter"), blank=True)  # in words, as the list showed it
    actor_kind = models.CharField(_("actor kind"), max_length=16, choices=ActorKind.choices)
    actor = models.CharField(_("actor"), max_length=150, blank=True)
    language = models.CharField(max_length=16, blank=True)  # of who asked: for the refusals
    status = models.CharField(
        _("status"), max_length=16, choices=Status.choices, default=Status.QUEUED
    )
    total = models.PositiveIntegerField(_("rows"), default=0)
    # Of the parts that have ended; `counts` has what the open one comes to as well.
    done = models.PositiveIntegerField(pgettext_lazy("rows", "done"), default=0)
    moved_on = models.PositiveIntegerField(_("left alone"), default=0)
    refused = models.PositiveIntegerField(pgettext_lazy("rows", "refused"), default=0)
    # Under way when its process died: it may have been done.
    unsure = models.PositiveIntegerField(_("not known"), default=0)
    undoes = models.OneToOneField(
        "self",
        models.PROTECT,
        null=True,
        editable=False,
        related_name="undone_by",
        verbose_name=_("undoes"),
    )
    created_at = models.DateTimeField(_("created"), default=timezone.now, db_index=True)
    started_at = models.DateTimeField(_("started"), null=True)
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("bulk action")
        verbose_name_plural = _("bulk actions")
        permissions = [("operate_bulkaction", "Can stop and undo bulk actions")]
        indexes = [
            models.Index(
                fields=["id"], condition=Q(status__in=["queued", "running"]), name="bulk_live"
            )
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.verb} #{self.pk}"

    @property
    def tone(self) -> str:
        return self.TONES[self.Status(self.status)]

    @property
    def is_live(self) -> bool:
        return self.status in self.LIVE

    @cached_property
    def counts(self) -> dict[str, int]:
        """How many rows came to each outcome so far."""
        begun = list(self.parts.filter(is_ended=False, reached__gt=0))
        return {
            name: getattr(self, name) + sum(len(part.outcome.get(name, ())) for part in begun)
            for name in OUTCOMES
        }

    @property
    def gone_through(self) -> int:
        return sum(self.counts.values())

    @property
    def per_cent(self) -> int:
        return self.gone_through * 100 // self.total if self.total else 100


class BulkPart(models.Model):
    """Some of its rows, in order, and what became of them.

    `keys`: [key, ...], or [[key, value], ...] where each row has a value of its own. `outcome`:
    {"done": [[key, value before], ...], "moved_on": [key], "refused": [[key, why]],
    "unsure": [key]}. Before the verb is done to a row its key is written to `under_way`, and
    `reached` counts it: whoever writes that has the row, and nobody else begins it.
    """

    bulk = models.ForeignKey(BulkAction, models.CASCADE, related_name="parts")
    position = models.PositiveIntegerField()
    keys = models.JSONField(default=list)
    outcome = models.JSONField(default=dict)
    reached = models.PositiveIntegerField(default=0)
    under_way = models.CharField(max_length=64, blank=True)
    is_ended = models.BooleanField(default=False)

    class Meta:
        ordering = ["bulk", "position"]
        constraints = [
            models.UniqueConstraint(fields=["bulk", "position"], name="bulk_part_position")
        ]
        indexes = [
            models.Index(
                fields=["bulk", "position"], condition=Q(is_ended=False), name="bulk_part_open"
            ),
            models.Index(fields=["bulk"], condition=~Q(under_way=""), name="bulk_part_under_way"),
        ]

    def __str__(self) -> str:
        return f"{self.bulk_id}.{self.position}"

    def entries(self) -> list[tuple[str, str]]:
        """Each key with its value; "" is the action's own."""
        return [(one, "") if isinstance(one, str) else (one[0], one[1]) for one in self.keys]

    def lines(self) -> Iterator[tuple[str, str, str]]:
        """Each row that was gone through: key, outcome, and why or the value before."""
        for name in OUTCOMES:
            for one in self.outcome.get(name, ()):
                key, told = (one, "") if isinstance(one, str) else one
                yield key, name, told

    def noted(self, name: str, entry: Any) -> dict[str, Any]:
        """The outcome with one more row."""
        return {**self.outcome, name: [*self.outcome.get(name, ()), entry]}
