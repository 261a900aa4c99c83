"""Workers and what they say of themselves."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

ALIVE = timedelta(seconds=30)


class Worker(models.Model):
    """A process that does work, by its heartbeat."""

    name = models.CharField(_("name"), max_length=150, unique=True)
    kind = models.CharField(_("kind"), max_length=32)
    host = models.CharField(_("host"), max_length=100)
    pid = models.PositiveIntegerField(_("process"))
    doing = models.CharField(_("doing"), max_length=200, blank=True)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    heartbeat_at = models.DateTimeField(_("last heartbeat"), default=timezone.now)

    class Meta:
        ordering = ["-heartbeat_at"]
        verbose_name = _("worker")
        verbose_name_plural = _("workers")

    def __str__(self) -> str:
        return self.name

    @property
    def is_alive(self) -> bool:
        return timezone.now() - self.heartbeat_at < ALIVE

    def beat(self, doing: str = "") -> None:
        """Say that this worker lives, and what it does."""
        self.heartbeat_at, self.doing = timezone.now(), doing[:200]
        type(self).objects.update_or_create(
            name=self.name,
            defaults={
                "kind": self.kind,
                "host": self.host,
                "pid": self.pid,
                "doing": self.doing,
                "heartbeat_at": self.heartbeat_at,
            },
        )

    def leave(self) -> None:
        """Say that this worker ended by itself."""
        type(self).objects.filter(name=self.name).delete()
