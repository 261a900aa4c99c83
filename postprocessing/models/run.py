"""Runs of the post-processing: one at a time for each company."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from orchestrator_site.status import StatusModel


class PostProcessingRun(StatusModel):
    """One pass over a company's files. A row is there from its start; of one that somebody asked
    for, from the asking."""

    class Status(models.TextChoices):
        QUEUED = "queued", _("Queued")
        EXTRACTING = "extracting", _("Extracting")
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        WITH_ERRORS = "with_errors", _("Done with errors")
        FAILED = "failed", _("Failed")
        ABANDONED = "abandoned", _("Abandoned: its process died")

    ENDED = (Status.DONE, Status.WITH_ERRORS, Status.FAILED, Status.ABANDONED)
    NOT_BEGUN = (Status.QUEUED, Status.EXTRACTING)
    MOVES = {
        Status.QUEUED: frozenset({Status.EXTRACTING, Status.RUNNING, Status.ABANDONED}),
        Status.EXTRACTING: frozenset({Status.QUEUED, Status.RUNNING, Status.ABANDONED}),
        Status.RUNNING: frozenset(ENDED),
    }
    TONES = {
        Status.QUEUED: "wait",
        Status.EXTRACTING: "busy",
        Status.RUNNING: "busy",
        Status.DONE: "ok",
        Status.WITH_ERRORS: "warn",
        Status.FAILED: "bad",
        Status.ABANDONED: "bad",
    }

    empresa = models.CharField("empresa", max_length=32)
    status = models.CharField(
        _("status"), max_length=12, choices=Status.choices, default=Status.RUNNING
    )
    extract = models.BooleanField(
        _("extract"), default=False, help_text=_("The complaints' site comes first.")
    )
    database_only = models.BooleanField(_("database only"), default=False)
    full = models.BooleanField(_("full"), default=False, help_text=_("Every file read again."))
    runner = models.CharField(_("run by"), max_length=150, blank=True)
    started_at = models.DateTimeField(_("started"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True)
    files = models.PositiveIntegerField(_("files"), default=0)
    files_read = models.PositiveIntegerField(_("files read"), default=0)
    db_inserted = models.PositiveIntegerField(_("inserted"), default=0)
    db_updated = models.PositiveIntegerField(pgettext_lazy("records", "updated"), default=0)
    db_duplicates = models.PositiveIntegerField(_("duplicates"), default=0)
    db_errors = models.PositiveIntegerField(pgettext_lazy("records", "refused"), default=0)
    s3_uploaded = models.PositiveIntegerField(pgettext_lazy("files", "uploaded"), default=0)
    s3_pre_existing = models.PositiveIntegerField(_("were there already"), default=0)
    s3_simulated = models.PositiveIntegerField(_("simulated"), default=0)
    s3_errors = models.PositiveIntegerField(_("not uploaded"), default=0)
    faults = models.JSONField(
        _("faults"),
        default=list,
        blank=True,
        help_text=_("The first of them: file, record, and why."),
    )
    warnings = models.JSONField(_("warnings"), default=list, blank=True)
    error = models.TextField(_("error"), blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("post-processing run")
        verbose_name_plural = _("post-processing runs")
        permissions = [("operate_postprocessingrun", "Can run the post-processing")]
        indexes = [models.Index(fields=["empresa", "-id"], name="pqr_run_latest")]
        constraints = [
            models.UniqueConstraint(
                fields=["empresa"], condition=Q(status="running"), name="pqr_one_run_a_company"
            ),
            models.CheckConstraint(
                condition=Q(
                    status__in=[
                        *("queued", "extracting", "running"),
                        *("done", "with_errors", "failed", "abandoned"),
                    ]
                ),
                name="pqr_run_status_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.empresa} {timezone.localtime(self.started_at):%Y-%m-%d %H:%M:%S}"

    @property
    def tone(self) -> str:
        return self.TONES[self.Status(self.status)]

    @property
    def seconds(self) -> float:
        """How long it took, or has been going on."""
        return ((self.finished_at or timezone.now()) - self.started_at).total_seconds()
