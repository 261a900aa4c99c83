"""Keys for scripts."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models.history import History
from orchestrator_site.tenancy import is_welcome

PREFIX_LENGTH = 8
LOGIN = "login"  # the name of the keys that logins make


class ApiKey(models.Model):
    """A key that acts as its user, within its scope. Only its hash is stored."""

    class Scope(models.TextChoices):
        READ = "read", _("Read")
        OPERATE = "operate", _("Read and operate")
        ADMIN = "admin", _("All that the user may do")

    name = models.CharField(_("name"), max_length=100)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.CASCADE, related_name="api_keys", verbose_name=_("user")
    )
    prefix = models.CharField(_("prefix"), max_length=PREFIX_LENGTH, unique=True, editable=False)
    digest = models.CharField(max_length=64, editable=False)
    scope = models.CharField(_("scope"), max_length=8, choices=Scope.choices, default=Scope.READ)
    expires_at = models.DateTimeField(_("expires at"), null=True, blank=True)
    last_used_at = models.DateTimeField(_("last used"), null=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    history = History(excluded_fields=["digest", "last_used_at"])

    class Meta:
        verbose_name = _("API key")
        verbose_name_plural = _("API keys")

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}...)"

    @property
    def has_history(self) -> bool:
        """Not those that come and go with each login."""
        return self.name != LOGIN

    def issue(self) -> str:
        """Give this row a new key and return it: the only time that it can be read."""
        self.prefix = secrets.token_hex(PREFIX_LENGTH // 2)
        key = f"{self.prefix}.{secrets.token_urlsafe(32)}"
        self.digest = _digest(key)
        return key

    @classmethod
    def of(cls, key: str) -> ApiKey | None:
        """The live row of a key, or None."""
        live = Q(expires_at=None) | Q(expires_at__gt=timezone.now())
        known = cls.objects.filter(live, prefix=key[:PREFIX_LENGTH])
        row = known.select_related("user__membership__organisation").first()
        if row is None or not hmac.compare_digest(row.digest, _digest(key)):
            return None
        row.touch(timezone.now())
        return row if is_welcome(row.user) else None

    def touch(self, now: datetime) -> None:
        """Note the use, at most once a minute."""
        if self.last_used_at is None or now - self.last_used_at > timedelta(minutes=1):
            type(self).objects.filter(pk=self.pk).update(last_used_at=now)


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
