"""The line at the top of the overview, there only when something is wrong."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from orchestrator_site.models import Alert, MaintenanceWindow

SHOWN = 5


def banner(request: HttpRequest) -> dict[str, Any]:
    """The worst alerts, and how many more there are, for whoever may see them."""
    if not request.user.has_perm("orchestrator_site.view_alert"):
        return {}
    raised = Alert.objects.raised().select_related("rule").worst_first()
    shown = list(raised[:SHOWN])
    silenced = MaintenanceWindow.silenced_keys(timezone.now()) if shown else set()
    for alert in shown:
        alert.in_maintenance = alert.rule_id in silenced
    return {"alerts": shown, "more_alerts": max(0, raised.count() - SHOWN)}
