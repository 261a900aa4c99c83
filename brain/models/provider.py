"""Providers, and the sessions that organisations' users lend to their jobs."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from uuid_utils.compat import uuid7

from brain import rules
from orchestrator_site.models import Organisation
from orchestrator_site.status import StatusModel

SESSION_LIFE = timedelta(days=7)


class Provider(models.Model):
    """A site that organisations have accounts at. All organisations see the same ones."""

    name = models.SlugField(_("name"), max_length=64, unique=True)
    title = models.CharField(_("title"), max_length=150)
    url = models.URLField(_("address"), max_length=500)
    needs_session = models.BooleanField(
        _("needs a session"), default=True, help_text=_("Its pages want somebody signed in.")
    )
    hosts = models.JSONField(
        _("hosts"),
        default=list,
        blank=True,
        help_text=_("Where its flows may go besides the host of its address: *.example.com too."),
    )
    probe_url = models.URLField(
        _("address of the probe"),
        max_length=500,
        blank=True,
        help_text=_("Asked for with the session's cookies; empty: sessions are not probed."),
    )
    probe_text = models.CharField(
        _("text of a living session"),
        max_length=200,
        blank=True,
        help_text=_("What the probe's page shows to somebody who is signed in."),
    )
    active = models.BooleanField(_("active"), default=True)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("provider")
        verbose_name_plural = _("providers")

    def __str__(self) -> str:
        return self.title or self.name

    @property
    def all_hosts(self) -> list[str]:
        """Where its flows may go, and whose cookies its sessions are of."""
        return list(dict.fromkeys([rules.host_of(self.url), *self.hosts]))

    def clean(self) -> None:
        networks = settings.EGRESS_ALLOWED_NETWORKS
        if found := rules.host_problems(self.hosts, networks):
            raise ValidationError({"hosts": found})
        if found := rules.host_problems([rules.host_of(self.url)], networks):
            raise ValidationError({"url": found})
        if self.probe_url and not rules.is_declared(self.probe_url, self.all_hosts):
            text = _("The probe's address must be at one of the provider's hosts.")
            raise ValidationError({"probe_url": text})


class ConnectedProvider(StatusModel):
    """A user's session at a provider: encrypted cookies, which nobody is shown."""

    class Status(models.TextChoices):
        ACTIVE = "active", _("Active")
        EXPIRED = "expired", _("Expired")
        DISCONNECTED = "disconnected", _("Disconnected")

    MOVES = {
        # Renewed.
        Status.ACTIVE: frozenset({Status.ACTIVE, Status.EXPIRED, Status.DISCONNECTED}),
        Status.EXPIRED: frozenset({Status.ACTIVE, Status.DISCONNECTED}),
        Status.DISCONNECTED: frozenset({Status.ACTIVE}),
    }
    TONES = {Status.ACTIVE: "ok", Status.EXPIRED: "warn", Status.DISCONNECTED: "off"}

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    organisation = models.ForeignKey(
        Organisation, models.CASCADE, related_name="connections", verbose_name=_("organisation")
    )
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        models.CASCADE,
        related_name="connections",
        verbose_name=_("user"),
    )
    provider = models.ForeignKey(
        Provider, models.PROTECT, related_name="connections", verbose_name=_("provider")
    )
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.ACTIVE
    )
    # Under SESSION_KEYS, which workers hold too: the same token stands in Redis.
    session = models.TextField(editable=False, blank=True)
    connected_at = models.DateTimeField(_("connected"), default=timezone.now, editable=False)
    expires_at = models.DateTimeField(_("expires"), editable=False)
    probed_at = models.DateTimeField(_("probed"), null=True, editable=False)
    probe_error = models.TextField(_("probe's error"), blank=True, editable=False)

    class Meta:
        ordering = ["-connected_at"]
        verbose_name = _("connected provider")
        verbose_name_plural = _("connected providers")
        permissions = [("operate_connectedprovider", "Can act on connected providers")]
        constraints = [
            models.UniqueConstraint(
                fields=["organisation", "user", "provider"], name="connection_one_a_user"
            )
        ]

    def __str__(self) -> str:
        return f"{self.provider} {self.user}"

    def is_alive(self, now: datetime) -> bool:
        return self.status == self.Status.ACTIVE and self.expires_at > now
