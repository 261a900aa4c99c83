"""What is known of each JSON file since it was last read."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

NAME_LENGTH = 255  # bytes, and so characters, that file systems take


class SourceFile(models.Model):
    """A file as it was when it was read. Size and time tell, without reading it, whether it is
    still the same."""

    empresa = models.CharField("empresa", max_length=32)
    filename = models.CharField(_("file"), max_length=NAME_LENGTH)
    size = models.PositiveBigIntegerField(_("bytes"))
    mtime_ns = models.BigIntegerField(_("changed"), help_text=_("Nanoseconds since 1970, UTC."))
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)  # "" where it was not read
    records = models.PositiveIntegerField(_("records"), default=0)  # that are in the table
    identities = models.JSONField(
        _("complaints"), default=list, blank=True, help_text=_("What those are known by.")
    )
    faults = models.JSONField(
        _("faults"),
        default=list,
        blank=True,
        help_text=_("Of each refused record its place in the file, from 1 (0: the file) and why."),
    )
    loaded_at = models.DateTimeField(_("loaded"))

    class Meta:
        ordering = ["-id"]
        verbose_name = _("PQR file")
        verbose_name_plural = _("PQR files")
        indexes = [
            models.Index(fields=["empresa", "-id"], name="source_file_latest"),
            models.Index(
                fields=["filename"], opclasses=["varchar_pattern_ops"], name="source_file_name"
            ),
            models.Index(  # few have any
                fields=["empresa", "-id"], condition=~Q(faults=[]), name="source_file_faults"
            ),
        ]
        constraints = [
            models.UniqueConstraint(fields=["empresa", "filename"], name="source_file_once")
        ]

    def __str__(self) -> str:
        return f"{self.empresa}/{self.filename}"
