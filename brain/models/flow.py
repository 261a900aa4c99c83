"""Flows: what a browser does on a site, as versioned data."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.db import models, transaction
from django.db.models import Max, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models import Event
from queues.browser import scripts


class Flow(models.Model):
    """One version of a flow. Its steps never change: a change is a new version."""

    name = models.SlugField(_("name"), max_length=64)
    version = models.PositiveIntegerField(_("version"), editable=False)
    steps = models.JSONField(_("steps"), default=list)
    script = models.TextField(_("script"), editable=False)
    script_hash = models.CharField(_("SHA-256"), max_length=64, editable=False)
    active = models.BooleanField(_("active"), default=False, editable=False)
    notes = models.TextField(_("notes"), blank=True)
    created_by = models.CharField(_("created by"), max_length=150, blank=True, editable=False)
    created_at = models.DateTimeField(_("created"), auto_now_add=True)
    activated_at = models.DateTimeField(_("activated"), null=True, editable=False)

    class Meta:
        ordering = ["name", "-version"]
        verbose_name = _("flow")
        verbose_name_plural = _("flows")
        permissions = [("activate_flow", "Can activate flows")]
        constraints = [
            models.UniqueConstraint(fields=["name", "version"], name="flow_one_a_version"),
            models.UniqueConstraint(
                fields=["name"], condition=Q(active=True), name="flow_one_active_version"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} v{self.version}"

    def clean(self) -> None:
        try:
            scripts.validate(self.steps)
        except scripts.InvalidSteps as error:
            raise ValidationError({"steps": error.messages}) from error

    @classmethod
    def add_version(cls, name: str, steps: list[dict], by: str = "", notes: str = "") -> Flow:
        """Store the steps as the flow's next version. Raises InvalidSteps, with the place."""
        scripts.validate(steps)
        script = scripts.canonical(steps)
        with transaction.atomic():
            last = cls.objects.filter(name=name).aggregate(last=Max("version"))["last"] or 0
            return cls.objects.create(
                name=name,
                version=last + 1,
                steps=steps,
                script=script,
                script_hash=scripts.sha256(script),
                created_by=by,
                notes=notes,
            )

    @classmethod
    def active_version(cls, name: str) -> Flow | None:
        return cls.objects.filter(name=name, active=True).first()

    def activate(self, reason: str = "") -> None:
        """Make this the version that new tasks carry; tasks already queued keep theirs."""
        with transaction.atomic():
            siblings = type(self).objects.select_for_update().filter(name=self.name)
            old = siblings.filter(active=True).first()
            siblings.filter(active=True).update(active=False)
            siblings.filter(pk=self.pk).update(active=True, activated_at=timezone.now())
            Event.record([self], f"v{old.version}" if old else "", f"v{self.version}", reason)
        self.active = True
