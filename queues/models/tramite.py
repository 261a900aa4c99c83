"""`tramite_queue`: appeals to file on an organism's site."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from queues import claims
from queues.models.base import LeasedTask
from queues.policy import Next


class TramiteTask(LeasedTask):
    """One appeal to file. It carries all that the worker needs, the flow's script included."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        PROCESSING = "processing", _("Processing")
        HELD = "held", _("Held")
        IN_DOUBT = "in_doubt", _("In doubt")
        COMPLETED = "completed", _("Completed")
        COMPLETED_WITH_ERRORS = "completed_with_errors", _("Sent, no receipt")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    LIVE = (Status.PENDING, Status.PROCESSING, Status.HELD, Status.IN_DOUBT)
    SENT = (Status.COMPLETED, Status.COMPLETED_WITH_ERRORS)
    FINAL = (*SENT, Status.FAILED, Status.CANCELLED)
    WAITING = Status.PENDING
    RUNNING = Status.PROCESSING
    ENDINGS = {
        Next.FAILED: Status.FAILED,
        Next.IN_DOUBT: Status.IN_DOUBT,
        Next.SENT: Status.COMPLETED_WITH_ERRORS,
    }
    MOVES = {
        Status.PENDING: frozenset({Status.PROCESSING, Status.HELD, Status.CANCELLED}),
        Status.PROCESSING: frozenset(
            {
                Status.PENDING,
                Status.IN_DOUBT,
                Status.COMPLETED,
                Status.COMPLETED_WITH_ERRORS,
                Status.FAILED,
            }
        ),
        Status.HELD: frozenset({Status.PENDING, Status.CANCELLED}),
        Status.IN_DOUBT: frozenset({Status.PENDING, Status.COMPLETED_WITH_ERRORS}),
    }

    # The tone in which each state is shown, the same everywhere.
    TONES = {
        Status.PENDING: "wait",
        Status.PROCESSING: "busy",
        Status.HELD: "warn",
        Status.IN_DOUBT: "bad",
        Status.COMPLETED: "ok",
        Status.COMPLETED_WITH_ERRORS: "warn",
        Status.FAILED: "bad",
        Status.CANCELLED: "off",
    }

    class Protocol(models.TextChoices):
        P1 = "P1", "P1"
        P2 = "P2", "P2"
        P3 = "P3", "P3"

    site_id = models.CharField(_("site"), max_length=64)
    protocol = models.CharField(_("protocol"), max_length=2, choices=Protocol.choices, blank=True)
    resource_id = models.BigIntegerField(_("idRecurso"))
    run = models.PositiveSmallIntegerField(
        _("run"), default=1, help_text=_("1 is the brain's; each rerun by a person adds one.")
    )
    payload = models.JSONField(_("payload"), default=dict, encoder=DjangoJSONEncoder)
    url_directa = models.TextField(_("direct link"), blank=True)
    attachments = models.JSONField(_("attachments"), default=list, blank=True)
    hold_reason = models.TextField(_("held because"), blank=True)
    flow_name = models.CharField(_("flow"), max_length=64, blank=True)
    flow_version = models.PositiveIntegerField(_("flow version"), default=0)
    script = models.TextField(_("script"), blank=True)
    script_hash = models.CharField(_("script's SHA-256"), max_length=64, blank=True)
    signature = models.CharField(_("script's signature"), max_length=64, blank=True)
    key_id = models.CharField(_("signing key"), max_length=64, blank=True)
    status = models.CharField(
        _("status"), max_length=24, choices=Status.choices, default=Status.PENDING
    )
    result = models.JSONField(_("result"), default=dict, blank=True, encoder=DjangoJSONEncoder)
    screenshot_path = models.CharField(_("last screenshot"), max_length=500, blank=True)

    class Meta:
        db_table = "tramite_queue"
        ordering = ["-id"]
        verbose_name = _("appeal in the queue")
        verbose_name_plural = _("appeals in the queue")
        permissions = [("operate_tramitetask", "Can act on appeals in the queue")]
        indexes = [
            models.Index(
                F("priority").desc(),
                "available_at",
                "id",
                condition=Q(status="pending"),
                name="tramite_next",
            ),
            models.Index(fields=["status", "site_id"], name="tramite_status_site"),
            models.Index(
                fields=["error_class", "-id"], condition=~Q(error_class=""), name="tramite_error"
            ),
            # What pages ask for. A take writes to none of these but that of the site.
            models.Index(fields=["site_id", "-id"], name="tramite_site"),
            models.Index(
                fields=["status", "-id"],
                condition=Q(
                    status__in=["completed", "completed_with_errors", "failed", "cancelled"]
                ),
                name="tramite_ended",
            ),
            models.Index(
                fields=["processed_at"],
                condition=Q(processed_at__isnull=False),
                name="tramite_processed",
            ),
            models.Index(
                fields=["created_at"], condition=Q(status="pending"), name="tramite_waiting"
            ),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["site_id", "resource_id"],
                condition=Q(status__in=["pending", "processing", "held", "in_doubt"]),
                name="tramite_one_live_task",
            ),
            # The brain only ever inserts run 1, whatever the site: an appeal is filed twice
            # only where a person asks for it.
            models.UniqueConstraint(fields=["resource_id", "run"], name="tramite_one_run"),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        "pending",
                        "processing",
                        "held",
                        "in_doubt",
                        "completed",
                        "completed_with_errors",
                        "failed",
                        "cancelled",
                    ]
                ),
                name="tramite_status_known",
            ),
            models.CheckConstraint(
                condition=~Q(status="processing") | Q(lease_token__isnull=False),
                name="tramite_processing_is_leased",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.site_id} {self.expediente or self.resource_id}"

    @property
    def expediente(self) -> str:
        return str(self.payload.get("expediente", ""))

    @property
    def tone(self) -> str:
        return self.TONES[self.Status(self.status)]

    # --- What a person does. Each is False where the task had moved on already. -----------------

    def authorise(self, reason: str, **changes: Any) -> bool:
        """Let a held appeal go on."""
        return self._from(self.Status.HELD, self.Status.PENDING, reason, hold_reason="", **changes)

    def reject(self, reason: str) -> bool:
        """End a held appeal without sending it."""
        return self._from(self.Status.HELD, self.Status.CANCELLED, reason)

    def hold(self, reason: str) -> bool:
        """Keep a waiting appeal from being sent."""
        return self._from(self.Status.PENDING, self.Status.HELD, reason, hold_reason=reason)

    def cancel(self, reason: str) -> bool:
        """End a waiting appeal without sending it."""
        return self._from(self.Status.PENDING, self.Status.CANCELLED, reason)

    def give_back(self, reason: str) -> bool:
        """Take a running appeal from its worker, which changes nothing any more; the attempt does
        not count. Never once the irrevocable step has begun."""
        return self.status == self.Status.PROCESSING and claims.give_back(
            self,
            reason,
            timedelta(0),
            guard={"intent_at": None},
            max_attempts=F("max_attempts") + 1,
        )

    def confirm_sent(self, reason: str) -> bool:
        """Decide a doubt: the organism has it."""
        sent = self.Status.COMPLETED_WITH_ERRORS
        return self._from(self.Status.IN_DOUBT, sent, reason, processed_at=timezone.now())

    def confirm_not_sent(self, reason: str) -> bool:
        """Decide a doubt: the organism does not have it, so it is sent again."""
        return self._from(
            self.Status.IN_DOUBT,
            self.Status.PENDING,
            reason,
            intent_at=None,
            attempts=0,
            available_at=timezone.now(),
        )

    def _from(self, old: str, to: str, reason: str, **changes: Any) -> bool:
        return self.status == old and self.move(to, reason, **changes)
