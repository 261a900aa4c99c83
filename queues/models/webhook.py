"""Webhooks: where organisations want to be told, what is told, and every attempt at it."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from uuid_utils.compat import uuid7

from orchestrator_site.encryption import EncryptedTextField
from orchestrator_site.models import Organisation
from queues.models.base import LeasedTask
from queues.policy import Next


class WebhookEndpoint(models.Model):
    """An address of an organisation that is told how its jobs ended."""

    class Event(models.TextChoices):
        DONE = "job.done", _("A job is done")
        ERROR = "job.error", _("A job ended with an error")

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organisation = models.ForeignKey(
        Organisation, models.CASCADE, related_name="webhooks", verbose_name=_("organisation")
    )
    url = models.URLField(_("address"), max_length=500)
    events = models.JSONField(_("events"), default=list, help_text=_("Empty: all of them."))
    secret = EncryptedTextField(_("secret"), editable=False)
    old_secret = EncryptedTextField(_("secret before"), blank=True, editable=False)
    old_secret_until = models.DateTimeField(_("signed with it until"), null=True, editable=False)
    enabled = models.BooleanField(_("enabled"), default=True)
    failing_since = models.DateTimeField(_("failing since"), null=True, editable=False)
    disabled_because = models.TextField(_("disabled because"), blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["-created_at"]
        verbose_name = _("webhook")
        verbose_name_plural = _("webhooks")
        permissions = [("operate_webhookendpoint", "Can act on webhooks")]

    def __str__(self) -> str:
        return self.url


class WebhookDelivery(LeasedTask):
    """One message for one address: an outbox row, written with the move that it tells of. Its
    case is the job's; its message id is the same at every attempt."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        SENDING = "sending", _("Sending")
        DELIVERED = "delivered", _("Delivered")
        FAILED = "failed", _("Failed")
        CANCELLED = "cancelled", _("Cancelled")

    WAITING = Status.PENDING
    RUNNING = Status.SENDING
    ENDINGS = {
        Next.FAILED: Status.FAILED,
        Next.IN_DOUBT: Status.FAILED,
        Next.SENT: Status.DELIVERED,
    }
    MOVES = {
        Status.PENDING: frozenset({Status.SENDING, Status.CANCELLED}),
        Status.SENDING: frozenset({Status.PENDING, Status.DELIVERED, Status.FAILED}),
        # Resent.
        Status.DELIVERED: frozenset({Status.PENDING}),
        Status.FAILED: frozenset({Status.PENDING}),
        Status.CANCELLED: frozenset({Status.PENDING}),
    }
    TONES = {
        Status.PENDING: "wait",
        Status.SENDING: "busy",
        Status.DELIVERED: "ok",
        Status.FAILED: "bad",
        Status.CANCELLED: "off",
    }

    organisation = models.ForeignKey(
        Organisation, models.CASCADE, related_name="+", verbose_name=_("organisation")
    )
    endpoint = models.ForeignKey(
        WebhookEndpoint, models.CASCADE, related_name="deliveries", verbose_name=_("webhook")
    )
    message_id = models.UUIDField(_("message"), default=uuid7, unique=True, editable=False)
    event = models.CharField(_("event"), max_length=40)
    payload = models.JSONField(pgettext_lazy("webhook", "payload"), encoder=DjangoJSONEncoder)
    status = models.CharField(
        _("status"), max_length=10, choices=Status.choices, default=Status.PENDING
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("webhook message")
        verbose_name_plural = _("webhook messages")
        permissions = [("operate_webhookdelivery", "Can act on webhook messages")]
        indexes = [
            models.Index(
                F("priority").desc(),
                "available_at",
                "id",
                condition=Q(status="pending"),
                name="webhook_next",
            ),
            models.Index(fields=["endpoint", "-id"], name="webhook_of_endpoint"),
            models.Index(
                fields=["status", "-id"],
                condition=Q(status__in=["sending", "failed", "cancelled"]),
                name="webhook_undelivered",
            ),
            models.Index(fields=["event", "-id"], name="webhook_event"),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.message_id}"


class WebhookAttempt(models.Model):
    """One call: what was answered, or why nothing was."""

    delivery = models.ForeignKey(
        WebhookDelivery, models.CASCADE, related_name="calls", verbose_name=_("message")
    )
    number = models.PositiveSmallIntegerField(_("attempt"))
    at = models.DateTimeField(_("at"))
    seconds = models.FloatField(_("seconds"))
    status_code = models.PositiveSmallIntegerField(_("status"), null=True)
    body = models.TextField(_("answer"), blank=True, help_text=_("Its first kilobyte."))
    error = models.TextField(_("error"), blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("webhook call")
        verbose_name_plural = _("webhook calls")
        indexes = [
            models.Index(fields=["at"], name="webhook_call_at"),
            models.Index(fields=["status_code", "-id"], name="webhook_call_status"),
        ]

    def __str__(self) -> str:
        return f"{self.delivery_id} #{self.number}"
