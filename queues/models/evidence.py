"""What a browser run left behind, each file with its hash."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class EvidenceFile(models.Model):
    """One file of one attempt; `path` is a name in the default storage."""

    class Kind(models.TextChoices):
        LOG = "log", _("Log")
        SCREENSHOT = "screenshot", _("Screenshot")
        TRACE = "trace", _("Trace")
        DOWNLOAD = "download", _("Download")
        RECEIPT = "receipt", _("Receipt")
        DATA = "data", _("Parsed data")

    case_id = models.UUIDField(_("case"), db_index=True)
    object_type = models.CharField(_("object type"), max_length=64)
    object_id = models.CharField(_("object"), max_length=64)
    attempt = models.PositiveSmallIntegerField(_("attempt"))
    kind = models.CharField(_("kind"), max_length=12, choices=Kind.choices)
    path = models.CharField(_("path"), max_length=500, unique=True)
    size = models.PositiveBigIntegerField(_("bytes"))
    sha256 = models.CharField("SHA-256", max_length=64)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)

    class Meta:
        ordering = ["id"]
        verbose_name = _("evidence file")
        verbose_name_plural = _("evidence files")
        indexes = [
            models.Index(fields=["object_type", "object_id"], name="evidence_object"),
            models.Index(fields=["kind", "id"], name="evidence_kind"),
            models.Index(fields=["sha256"], name="evidence_sha256"),
        ]

    def __str__(self) -> str:
        return self.path
