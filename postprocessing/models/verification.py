"""Verifications: files, rows and objects compared, and how they differed."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Verification(models.Model):
    """One comparison of a company's folder, table and bucket. The registry is not believed: the
    bucket is listed."""

    empresa = models.CharField("empresa", max_length=32)
    at = models.DateTimeField(_("at"), default=timezone.now)
    seconds = models.FloatField(_("seconds"), default=0)
    is_simulated = models.BooleanField(_("simulated"), default=False)
    files = models.PositiveIntegerField(_("files"), default=0)  # all of the folder
    json_files = models.PositiveIntegerField(_("JSON files"), default=0)
    files_loaded = models.PositiveIntegerField(_("JSON files in the table"), default=0)
    rows = models.PositiveIntegerField(_("rows"), default=0)
    objects_there = models.PositiveIntegerField(_("files in the bucket"), default=0)
    objects_listed = models.PositiveIntegerField(_("objects listed"), default=0)
    found = models.JSONField(_("differences by kind"), default=dict, blank=True)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("verification of files")
        verbose_name_plural = _("verifications of files")
        indexes = [models.Index(fields=["empresa", "-id"], name="pqr_verification_latest")]

    def __str__(self) -> str:
        return f"{self.empresa} {timezone.localtime(self.at):%Y-%m-%d %H:%M:%S}"

    @property
    def coverage_database(self) -> float | None:
        """Per cent of the JSON files that are in the table, with every record; None: no file."""
        return 100 * self.files_loaded / self.json_files if self.json_files else None

    @property
    def coverage_s3(self) -> float | None:
        """Per cent of the files that are in the bucket; None where there is none, or no bucket."""
        is_known = self.files and not self.is_simulated and not self.error
        return 100 * self.objects_there / self.files if is_known else None


class Difference(models.Model):
    """Something that is here and not there, and what mends it."""

    class Kind(models.TextChoices):
        NOT_LOADED = "not_loaded", _("File is not in the table")
        CHANGED = "changed", _("File has changed since it was loaded")
        REFUSED = "refused", _("File, or a record of it, was refused")
        NO_ROW = "no_row", _("Rows of a loaded file are gone")
        NO_FILE = "no_file", _("Rows, and their file is gone")
        NOT_UPLOADED = "not_uploaded", _("File is not in the bucket")
        OBJECT_GONE = "object_gone", _("Registry says it is there, the bucket does not have it")
        OBJECT_DIFFERS = "object_differs", _("Object differs from the file")
        NOT_REGISTERED = "not_registered", _("File is in the bucket, and not in the registry")
        STRAY_OBJECT = "stray_object", _("Object that no file and no row of the registry knows")
        UNREADABLE = "unreadable", _("No regular file: a link, a folder, a pipe")

    class Repair(models.TextChoices):
        LOAD = "load", _("Load")
        UPLOAD = "upload", _("Upload")
        REGISTER = "register", _("Register")
        NONE = "none", _("A person has to look")

    REPAIRS = {
        Kind.NOT_LOADED: Repair.LOAD,
        Kind.CHANGED: Repair.LOAD,
        Kind.NO_ROW: Repair.LOAD,
        Kind.NOT_UPLOADED: Repair.UPLOAD,
        Kind.OBJECT_GONE: Repair.UPLOAD,
        Kind.OBJECT_DIFFERS: Repair.UPLOAD,
        Kind.NOT_REGISTERED: Repair.REGISTER,
    }

    verification = models.ForeignKey(
        Verification, models.CASCADE, related_name="differences", verbose_name=_("verification")
    )
    kind = models.CharField(_("kind"), max_length=16, choices=Kind.choices)
    filename = models.CharField(_("file"), max_length=255, blank=True)
    s3_key = models.CharField("s3_key", max_length=1024, blank=True)
    detail = models.TextField(_("detail"), blank=True)
    repaired_at = models.DateTimeField(_("repaired"), null=True)

    class Meta:
        ordering = ["verification_id", "kind", "id"]
        verbose_name = _("difference")
        verbose_name_plural = _("differences")
        permissions = [("operate_difference", "Can repair differences")]
        indexes = [
            models.Index(fields=["-verification", "kind", "id"], name="difference_listed"),
            models.Index(
                fields=["-verification", "kind", "id"],
                condition=Q(repaired_at__isnull=False),
                name="difference_repaired",
            ),
            models.Index(
                fields=["filename"], opclasses=["varchar_pattern_ops"], name="difference_file"
            ),
            models.Index(
                fields=["s3_key"], opclasses=["varchar_pattern_ops"], name="difference_key"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.get_kind_display()}: {self.filename or self.s3_key}"

    @property
    def repair(self) -> str:
        return self.REPAIRS.get(self.Kind(self.kind), self.Repair.NONE)
