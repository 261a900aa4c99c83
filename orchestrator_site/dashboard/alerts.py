"""The line at the top of the overview, there only when something is wrong."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest

from orchestrator_site.models import Alert

SHOWN = 5


def banner(request: HttpRequest) -> dict[str, Any]:
    """The worst alerts, and how many more there are, for whoever may see them."""
    if not request.user.has_perm("orchestrator_site.view_alert"):
        return {}
    raised = Alert.objects.raised().select_related("rule").worst_first()
    return {"alerts": raised[:SHOWN], "more_alerts": max(0, raised.count() - SHOWN)}
