"""Keys that sign scripts and envelopes."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.db import IntegrityError, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.encryption import EncryptedTextField
from orchestrator_site.status import StatusModel
from queues.browser.signing import Key, Keyring

GRACE = timedelta(days=90)


class SigningKey(StatusModel):
    """One key. Its id follows from its secret. `new`: workers are to learn it before it signs."""

    class Status(models.TextChoices):
        NEW = "new", _("New")
        CURRENT = "current", _("Signs")
        RETIRED = "retired", _("Verifies only")
        REVOKED = "revoked", _("Revoked")

    MOVES = {
        Status.NEW: frozenset({Status.CURRENT, Status.REVOKED}),
        Status.CURRENT: frozenset({Status.RETIRED, Status.REVOKED}),
        Status.RETIRED: frozenset({Status.REVOKED}),
    }
    TONES = {
        Status.NEW: "wait",
        Status.CURRENT: "ok",
        Status.RETIRED: "off",
        Status.REVOKED: "bad",
    }

    key_id = models.CharField(_("id"), max_length=64, unique=True, editable=False)
    secret = EncryptedTextField(_("secret"), editable=False)
    status = models.CharField(_("status"), max_length=8, choices=Status.choices, default=Status.NEW)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    activated_at = models.DateTimeField(_("signs since"), null=True, editable=False)
    expires_at = models.DateTimeField(_("verifies until"), null=True, editable=False)
    revoked_at = models.DateTimeField(_("revoked"), null=True, editable=False)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("signing key")
        verbose_name_plural = _("signing keys")
        permissions = [("operate_signingkey", "Can rotate and revoke signing keys")]
        constraints = [
            models.UniqueConstraint(
                fields=["status"], condition=Q(status="current"), name="signing_one_current_key"
            )
        ]

    def __str__(self) -> str:
        return self.key_id

    @property
    def key(self) -> Key:
        ends = self.expires_at.timestamp() if self.expires_at else 0
        return Key.of(self.secret, expires_at=ends, is_revoked=self.status == self.Status.REVOKED)

    @classmethod
    def current(cls) -> SigningKey:
        """The row that signs. The first one is made of SCRIPT_SIGNING_SECRET; SecretRefused where
        that is too short."""
        row = cls.objects.filter(status=cls.Status.CURRENT).first()
        return row or cls._first()

    @classmethod
    def keyring(cls) -> Keyring:
        """All keys, the one that signs first."""
        current = cls.current()
        rest = cls.objects.exclude(pk=current.pk)
        return Keyring([current.key, *(row.key for row in rest)])

    @classmethod
    def _first(cls) -> SigningKey:
        secret = settings.SCRIPT_SIGNING_SECRET
        made = cls(
            key_id=Key.of(secret).id,
            secret=secret,
            status=cls.Status.CURRENT,
            activated_at=timezone.now(),
        )
        try:
            with transaction.atomic():
                made.save(force_insert=True)
        except IntegrityError:  # another process was first
            return cls.objects.get(status=cls.Status.CURRENT)
        return made
