"""Why a person went to a generator: batches and decisions."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from queues.models import Generator, NbcRecord, QueueEntry


class DistributionBatch(models.Model):
    """So many people, spread by one reckoning of shares. One batch is open at a time."""

    size = models.PositiveIntegerField(_("size"))
    slots = models.JSONField(_("slots"), default=dict, help_text=_("By generator."))
    used = models.JSONField(_("used"), default=dict)
    inputs = models.JSONField(
        _("reckoned from"),
        default=dict,
        encoder=DjangoJSONEncoder,
        help_text=_("Thresholds, and for each generator its rate, level and share."),
    )
    counter = models.PositiveBigIntegerField(_("counter"), default=0)
    opened_at = models.DateTimeField(_("opened"), default=timezone.now)
    closed_at = models.DateTimeField(_("closed"), null=True)
    is_open = models.BooleanField(_("open"), default=True)
    close_reason = models.CharField(_("closed because"), max_length=100, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("batch")
        verbose_name_plural = _("batches")
        constraints = [
            models.UniqueConstraint(
                fields=["is_open"], condition=Q(is_open=True), name="batch_one_is_open"
            )
        ]

    def __str__(self) -> str:
        return f"{self.pk}"

    @property
    def assigned(self) -> int:
        return sum(self.used.values())


class Decision(models.Model):
    """One assignment, with all that it was decided from."""

    batch = models.ForeignKey(
        DistributionBatch, models.CASCADE, related_name="decisions", verbose_name=_("batch")
    )
    nbc = models.ForeignKey(
        NbcRecord, models.CASCADE, related_name="decisions", verbose_name=_("person")
    )
    entry = models.OneToOneField(
        QueueEntry, models.CASCADE, related_name="decision", verbose_name=_("task")
    )
    generator = models.ForeignKey(
        Generator,
        models.PROTECT,
        to_field="name",
        db_column="generator",
        related_name="decisions",
        verbose_name=_("generator"),
    )
    device = models.CharField(_("device"), max_length=100)
    choice = models.JSONField(
        _("choice"),
        help_text=_("The counter, each generator as it stood, and why others were passed over."),
    )
    created_at = models.DateTimeField(_("at"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("decision")
        verbose_name_plural = _("decisions")
        indexes = [models.Index(fields=["device", "-id"], name="decision_device")]

    def __str__(self) -> str:
        return f"{self.generator_id} {self.device}"
