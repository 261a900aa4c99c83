"""What the brain did, cycle by cycle."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Cycle(models.Model):
    """One pass over the organismos. A row is there from the cycle's start."""

    class Outcome(models.TextChoices):
        RUNNING = "running", _("Running")
        DONE = "done", _("Done")
        WITH_ERRORS = "with_errors", _("Done with errors")
        STOPPED = "stopped", _("Stopped early")
        ABANDONED = "abandoned", _("Abandoned: its process died")

    started_at = models.DateTimeField(_("started"), default=timezone.now)
    finished_at = models.DateTimeField(_("finished"), null=True)
    outcome = models.CharField(
        _("outcome"), max_length=12, choices=Outcome.choices, default=Outcome.RUNNING
    )
    only = models.CharField(
        _("just these sites"), max_length=500, blank=True, help_text=_("Empty: all in force.")
    )
    runner = models.CharField(_("run by"), max_length=150, blank=True)
    sites = models.JSONField(
        _("by organismo"),
        default=dict,
        encoder=DjangoJSONEncoder,
        help_text=_("For each: counts, and the error if there was one."),
    )

    class Meta:
        ordering = ["-id"]
        verbose_name = _("cycle")
        verbose_name_plural = _("cycles")
        permissions = [("operate_cycle", "Can run, pause and resume the brain")]
        indexes = [models.Index(fields=["outcome", "-id"], name="cycle_outcome")]

    def __str__(self) -> str:
        began = timezone.localtime(self.started_at)
        return f"{began:%Y-%m-%d %H:%M:%S} {self.get_outcome_display()}"
