"""The claim ledger: every attempt to take a case, and its proof."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.db.models.fields.json import KeyTextTransform
from django.db.models.lookups import IStartsWith
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from brain.models.organismo import Organismo
from orchestrator_site.status import StatusModel

IN_ROW = ("SujetoRecurso", "matricula")  # of the origin, by which people look for a case


class ClaimQuerySet(models.QuerySet["Claim"]):
    """Which claims: those of a case that a person names."""

    def called(self, text: str) -> ClaimQuerySet:
        return self.filter(self.meant_by(text))

    def meant_by(self, text: str) -> Q:
        """The case number or its beginning; how the name or the plate in the row begins. Each has
        an index on PostgreSQL: see migration 0007."""
        meant = Q(expediente__startswith=text) | Q(expediente__startswith=text.upper())
        for name in IN_ROW:
            meant |= Q(IStartsWith(KeyTextTransform(name, "before"), text))
        return meant


class Claim(StatusModel):
    """One attempt on one case of the origin.

    Written (STARTED) and committed before the origin is touched, so that a crash leaves a trace.
    """

    class Status(models.TextChoices):
        STARTED = "started", _("Started")
        PROVEN = "proven", _("Proven")
        RECOVERED = "recovered", _("Recovered: it was ours already")
        LOST = "lost", _("Lost to another")
        UNPROVEN = "unproven", _("Unproven")
        FAILED = "failed", _("Failed: nothing was claimed")
        RELEASED = "released", _("Given back")
        TAKEN_OVER = "taken_over", _("Taken over by a person")

    HELD = (Status.STARTED, Status.PROVEN, Status.RECOVERED)
    OURS = (Status.PROVEN, Status.RECOVERED)
    MOVES = {
        Status.STARTED: frozenset(
            {Status.PROVEN, Status.RECOVERED, Status.LOST, Status.UNPROVEN, Status.FAILED}
        ),
        Status.UNPROVEN: frozenset({Status.RECOVERED, Status.LOST, Status.RELEASED}),
        Status.PROVEN: frozenset({Status.RELEASED, Status.TAKEN_OVER}),
        Status.RECOVERED: frozenset({Status.RELEASED, Status.TAKEN_OVER}),
    }

    organismo = models.ForeignKey(
        Organismo, models.PROTECT, related_name="claims", verbose_name=_("organismo")
    )
    cycle = models.ForeignKey(
        "brain.Cycle", models.SET_NULL, null=True, related_name="claims", verbose_name=_("cycle")
    )
    batch = models.UUIDField(_("batch"), null=True, db_index=True, editable=False)
    resource_id = models.BigIntegerField(_("idRecurso"), db_index=True)
    expediente = models.CharField(_("case number"), max_length=300, blank=True)
    repaired_from = models.CharField(_("case number before"), max_length=300, blank=True)
    method = models.CharField(_("method"), max_length=8, choices=Organismo.ClaimMethod.choices)
    account = models.CharField(_("account"), max_length=100)
    status = models.CharField(
        _("outcome"), max_length=12, choices=Status.choices, default=Status.STARTED
    )
    answer = models.CharField(
        _("answer"),
        max_length=200,
        blank=True,
        help_text=_("The row count, the HTTP status or the browser's outcome."),
    )
    before = models.JSONField(_("row before"), default=dict, encoder=DjangoJSONEncoder)
    readbacks = models.JSONField(
        _("read back"), default=list, blank=True, encoder=DjangoJSONEncoder
    )
    message = models.TextField(_("message"), blank=True)
    screenshot_path = models.CharField(_("screenshot"), max_length=500, blank=True)
    started_at = models.DateTimeField(_("started"), default=timezone.now, db_index=True)
    settled_at = models.DateTimeField(_("settled"), null=True)
    queued_at = models.DateTimeField(_("queued"), null=True)

    objects = ClaimQuerySet.as_manager()

    class Meta:
        db_table = "brain_claim"
        ordering = ["-id"]
        verbose_name = _("claim")
        verbose_name_plural = _("claims")
        permissions = [("operate_claim", "Can release and settle claims")]
        indexes = [
            models.Index(fields=["organismo", "status"], name="claim_organismo_status"),
            models.Index(fields=["status", "-id"], name="claim_status"),
            models.Index(fields=["method", "-id"], name="claim_method"),
            models.Index(fields=["-id"], condition=Q(queued_at=None), name="claim_not_queued"),
            models.Index(
                fields=["expediente"], opclasses=["varchar_pattern_ops"], name="claim_expediente"
            ),
        ]
        constraints = [
            # One claim in force a case: a second brain on the same case does not even try.
            models.UniqueConstraint(
                fields=["resource_id"],
                condition=Q(status__in=["started", "proven", "recovered"]),
                name="claim_one_in_force",
            )
        ]

    def __str__(self) -> str:
        return f"{self.expediente or self.resource_id} {self.get_status_display()}"
