"""`s3_files_registry`: an object for each file of a company's folder."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.status import StatusModel
from postprocessing.models.source_file import NAME_LENGTH

KEY_LENGTH = 1024  # bytes that S3 takes


class S3File(StatusModel):
    """A row is `pending` from before its upload until its end is known. Its key is given once."""

    class Status(models.TextChoices):
        PENDING = "pending", _("Pending")
        UPLOADED = "uploaded", _("Uploaded")
        ERROR = "error", _("Error")
        PRE_EXISTING = "pre_existing", _("Was there already")
        SIMULATED = "simulated", _("Simulated")

    class Source(models.TextChoices):
        BOT = "bot", _("Bot")
        MANUAL = "manual", _("By hand")
        PRE_EXISTING = "pre_existing", _("Was there already")

    THERE = (Status.UPLOADED, Status.PRE_EXISTING)
    MOVES = {
        Status.PENDING: frozenset(
            {Status.UPLOADED, Status.ERROR, Status.PRE_EXISTING, Status.SIMULATED}
        ),
        # Anew: the file has changed, the object is gone, or somebody asked.
        **dict.fromkeys(
            (Status.UPLOADED, Status.PRE_EXISTING, Status.SIMULATED, Status.ERROR),
            frozenset({Status.PENDING}),
        ),
    }
    TONES = {
        Status.PENDING: "wait",
        Status.UPLOADED: "ok",
        Status.ERROR: "bad",
        Status.PRE_EXISTING: "ok",
        Status.SIMULATED: "off",
    }

    empresa = models.CharField("empresa", max_length=32)
    filename = models.CharField(_("file"), max_length=NAME_LENGTH)
    s3_bucket = models.CharField("s3_bucket", max_length=63, blank=True)  # "": simulated
    s3_key = models.CharField("s3_key", max_length=KEY_LENGTH)
    s3_url = models.CharField("s3_url", max_length=2000, blank=True)
    numero_reclamo_sgc = models.CharField("numero_reclamo_sgc", max_length=100, blank=True)
    file_size = models.PositiveBigIntegerField(_("bytes"))
    file_type = models.CharField(_("file type"), max_length=16, blank=True)  # extension, no dot
    content_type = models.CharField(_("content type"), max_length=100)
    status = models.CharField(
        _("upload status"),
        max_length=12,
        choices=Status.choices,
        default=Status.PENDING,
        db_column="upload_status",
    )
    upload_source = models.CharField(
        _("upload source"), max_length=12, choices=Source.choices, default=Source.BOT
    )
    file_hash = models.CharField("SHA-256", max_length=64)
    mtime_ns = models.BigIntegerField(_("changed"), help_text=_("Nanoseconds since 1970, UTC."))
    metadata = models.JSONField(_("metadata"), default=dict, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    last_error = models.TextField(_("last error"), blank=True)
    created_at = models.DateTimeField(_("created"), default=timezone.now)
    updated_at = models.DateTimeField(_("updated"), auto_now=True)
    uploaded_at = models.DateTimeField(_("uploaded"), null=True)

    class Meta:
        db_table = "s3_files_registry"
        ordering = ["-id"]
        verbose_name = _("S3 file")
        verbose_name_plural = _("S3 files")
        permissions = [("operate_s3file", "Can act on S3 files")]
        indexes = [
            models.Index(fields=["status", "empresa"], name="s3_file_by_status"),
            models.Index(fields=["empresa", "-id"], name="s3_file_latest"),
            models.Index(
                fields=["filename"], opclasses=["varchar_pattern_ops"], name="s3_file_name"
            ),
            models.Index(  # of nearly none
                fields=["upload_source"], condition=~Q(upload_source="bot"), name="s3_file_source"
            ),
            models.Index(fields=["file_hash"], name="s3_file_hash"),
            models.Index(fields=["numero_reclamo_sgc"], name="s3_file_sgc"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["empresa", "filename"], name="s3_file_once"),
            models.UniqueConstraint(fields=["s3_bucket", "s3_key"], name="s3_file_one_a_key"),
            models.CheckConstraint(
                condition=Q(
                    status__in=["pending", "uploaded", "error", "pre_existing", "simulated"]
                ),
                name="s3_file_status_known",
            ),
        ]

    def __str__(self) -> str:
        return self.s3_key

    @property
    def tone(self) -> str:
        return self.TONES[self.Status(self.status)]
