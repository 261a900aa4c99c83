"""When alerts stay silent, because somebody works on what they watch."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Self

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Exists, F, Q
from django.db.models.signals import post_delete, pre_delete
from django.dispatch import receiver
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models.alert import AlertRule
from orchestrator_site.models.history import History

# Before and after it zones have offsets that no format of times knows, or none at all.
IN_OUR_TIME = (
    MinValueValidator(datetime(2000, 1, 1, tzinfo=UTC)),
    MaxValueValidator(datetime(2100, 1, 1, tzinfo=UTC)),
)


class MaintenanceQuerySet(models.QuerySet["MaintenanceWindow"]):
    def open(self, now: datetime) -> Self:
        return self.filter(starts_at__lte=now, ends_at__gt=now)


class MaintenanceWindow(models.Model):
    """From when until when nobody is told of the rules' alerts. They are raised and shown."""

    name = models.CharField(_("name"), max_length=100)
    starts_at = models.DateTimeField(_("from"), validators=IN_OUR_TIME)
    ends_at = models.DateTimeField(_("until"), db_index=True, validators=IN_OUR_TIME)
    rules = models.ManyToManyField(
        AlertRule,
        blank=True,
        related_name="+",
        verbose_name=_("rules"),
        help_text=_("None: all of them."),
    )
    reason = models.TextField(_("reason"), blank=True)

    history = History(m2m_fields=[rules])
    objects = MaintenanceQuerySet.as_manager()

    class Meta:
        ordering = ["-starts_at"]
        verbose_name = _("maintenance window")
        verbose_name_plural = _("maintenance windows")
        constraints = [
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at")), name="maintenance_ends_later"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def is_open(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends_at

    @classmethod
    def silenced(cls, now: datetime) -> models.QuerySet[AlertRule]:
        """The rules of whose alerts nobody is told now."""
        there = cls.objects.open(now)
        is_all = Exists(there.filter(rules=None))
        return AlertRule.objects.filter(is_all | Q(pk__in=there.values("rules")))

    @classmethod
    def silenced_keys(cls, now: datetime) -> set[int]:
        return set(cls.silenced(now).values_list("pk", flat=True))

    def clean(self, *args: Any) -> None:
        if self.starts_at and self.ends_at and self.ends_at <= self.starts_at:
            raise ValidationError({"ends_at": _("It must end after it begins.")})


@receiver(pre_delete, sender=AlertRule)
def _remember_its_windows(instance: Any, **kwargs: Any) -> None:
    windows = MaintenanceWindow.objects.filter(rules=instance, ends_at__gt=timezone.now())
    instance.windows_of_its_own = list(windows.values_list("pk", flat=True))


@receiver(post_delete, sender=AlertRule)
def _end_what_was_for_it_alone(instance: Any, **kwargs: Any) -> None:
    """A window without rules is for all of them: what was for rules that are gone ends with the
    last of them."""
    now = timezone.now()
    left = MaintenanceWindow.objects.filter(pk__in=instance.windows_of_its_own, rules=None)
    for window in left:
        if window.starts_at < now:
            window.ends_at = now
            window.save()
        else:
            window.delete()
