"""Switches that staff throw: pause and resume."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _

from orchestrator_site.actors import current_actor
from orchestrator_site.models.event import Event


class Pause(models.Model):
    """A loop that staff have paused. The row is there while the pause lasts."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    since = models.DateTimeField(_("since"), auto_now_add=True)
    by = models.CharField(_("by"), max_length=150, blank=True)
    reason = models.TextField(_("reason"), blank=True)

    class Meta:
        verbose_name = _("pause")
        verbose_name_plural = _("pauses")

    def __str__(self) -> str:
        return self.name

    @classmethod
    def of(cls, name: str) -> Pause | None:
        return cls.objects.filter(name=name).first()

    @classmethod
    def begin(cls, name: str, reason: str) -> bool:
        """Pause; False, and harmless, where it is paused already."""
        row, created = cls.objects.get_or_create(
            name=name, defaults={"by": str(current_actor()), "reason": reason}
        )
        if created:
            Event.record([row], "running", "paused", reason)
        return created

    @classmethod
    def end(cls, name: str, reason: str = "") -> None:
        """Resume; harmless where it runs already."""
        row = cls.of(name)
        if row and cls.objects.filter(pk=row.pk).delete()[0]:
            Event.record([row], "paused", "running", reason)
