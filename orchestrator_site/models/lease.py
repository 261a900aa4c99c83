"""Named leases: which process runs a loop."""

from __future__ import annotations

from datetime import timedelta

from django.db import models
from django.db.models import F, Q
from django.utils.translation import gettext_lazy as _

from orchestrator_site.clock import db_now


class Lease(models.Model):
    """A right to run something alone, for a while. The epoch grows with each new holder."""

    name = models.CharField(_("name"), max_length=64, unique=True)
    holder = models.CharField(_("holder"), max_length=150, blank=True)
    epoch = models.PositiveBigIntegerField(_("epoch"), default=0)
    expires_at = models.DateTimeField(_("expires at"), null=True)

    class Meta:
        verbose_name = _("lease")
        verbose_name_plural = _("leases")

    def __str__(self) -> str:
        return f"{self.name} ({self.holder or '-'})"

    @classmethod
    def acquire(cls, name: str, holder: str, ttl: timedelta) -> Lease | None:
        """Take the lease for `ttl`, or None while another holds it."""
        Lease.objects.bulk_create([Lease(name=name)], ignore_conflicts=True)
        now = db_now()
        free = Q(expires_at=None) | Q(expires_at__lte=now)
        taken = cls.objects.filter(free, name=name).update(
            holder=holder, epoch=F("epoch") + 1, expires_at=now + ttl
        )
        return cls.objects.get(name=name, holder=holder) if taken else None

    @classmethod
    def lift(cls, name: str, epoch: int, to: int) -> bool:
        """Give up the holding of `epoch`, and have the next one be later than `to`; False where
        it was over already."""
        return bool(cls.objects.filter(name=name, epoch=epoch).update(epoch=to))

    def renew(self, ttl: timedelta) -> bool:
        """Extend it; False when it has passed to another holder (stop at once)."""
        mine = type(self).objects.filter(pk=self.pk, holder=self.holder, epoch=self.epoch)
        return bool(mine.update(expires_at=db_now() + ttl))

    def release(self) -> None:
        """Let the next one in. Harmless when the lease is already another's."""
        mine = type(self).objects.filter(pk=self.pk, holder=self.holder, epoch=self.epoch)
        mine.update(expires_at=None, holder="")
