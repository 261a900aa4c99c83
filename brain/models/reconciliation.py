"""Comparisons of the ledger with the origin, kept for staff to see."""

from __future__ import annotations

from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext


class Reconciliation(models.Model):
    """One comparison: what differed, and which organismos could not be compared."""

    at = models.DateTimeField(_("at"), default=timezone.now)
    differences = models.JSONField(_("differences"), default=list, encoder=DjangoJSONEncoder)
    errors = models.JSONField(_("errors"), default=dict)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("reconciliation")
        verbose_name_plural = _("reconciliations")

    def __str__(self) -> str:
        found = len(self.differences)
        told = ngettext("%(n)d difference", "%(n)d differences", found) % {"n": found}
        return f"{timezone.localtime(self.at):%Y-%m-%d %H:%M} {told}"

    def counts(self) -> dict[str, int]:
        kinds = [difference["kind"] for difference in self.differences]
        return {kind: kinds.count(kind) for kind in sorted(set(kinds))}
