"""The line at the top of the overview, there only when something is wrong."""

from __future__ import annotations

from typing import Any

from django.db.models import Exists, OuterRef
from django.http import HttpRequest
from django.utils import timezone

from orchestrator_site.models import Alert, MaintenanceWindow

SHOWN = 5


def banner(request: HttpRequest) -> dict[str, Any]:
    """The worst alerts, and how many more there are, for whoever may see them."""
    if not request.user.has_perm("orchestrator_site.view_alert"):
        return {}
    silenced = MaintenanceWindow.silenced(timezone.now())
    raised = (
        Alert.objects.raised()
        .select_related("rule")
        .annotate(in_maintenance=Exists(silenced.filter(pk=OuterRef("rule_id"))))
        .worst_first()
    )
    return {"alerts": raised[:SHOWN], "more_alerts": max(0, raised.count() - SHOWN)}
