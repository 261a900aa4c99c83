"""The admin's side menu."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.urls import reverse_lazy
from django.utils.translation import gettext_lazy as _

GROUPS: list[tuple[Any, list[tuple[Any, str, str, str]]]] = [
    (
        _("Appeals"),
        [
            (_("Queue"), "outgoing_mail", "queues_tramitetask", "queues.view_tramitetask"),
            (_("Claims"), "front_hand", "brain_claim", "brain.view_claim"),
            (_("Cycles"), "cycle", "brain_cycle", "brain.view_cycle"),
            (_("Comparisons"), "compare", "brain_reconciliation", "brain.view_reconciliation"),
            (_("Evidence"), "photo_library", "queues_evidencefile", "queues.view_evidencefile"),
        ],
    ),
    (
        _("Configuration"),
        [
            (_("Organismos"), "account_balance", "brain_organismo", "brain.view_organismo"),
            (_("Flows"), "route", "brain_flow", "brain.view_flow"),
            (_("Motivos"), "edit_note", "brain_motivo", "brain.view_motivo"),
            (
                _("Authorisations"),
                "signature",
                "brain_clientauthorisation",
                "brain.view_clientauthorisation",
            ),
        ],
    ),
    (
        _("Running"),
        [
            (_("Workers"), "memory", "devices_worker", "devices.view_worker"),
            (_("Events"), "history", "orchestrator_site_event", "orchestrator_site.view_event"),
            (_("Schedules"), "schedule", "django_q_schedule", "superuser"),
        ],
    ),
    (
        _("People"),
        [
            (_("Users"), "person", "auth_user", "auth.view_user"),
            (_("Roles"), "group", "auth_group", "auth.view_group"),
            (_("API keys"), "key", "orchestrator_site_apikey", "orchestrator_site.view_apikey"),
        ],
    ),
]


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Only what the reader may see; groups with nothing in them are left out."""
    home = {"title": _("Overview"), "icon": "dashboard", "link": reverse_lazy("admin:index")}
    shown: list[dict[str, Any]] = [{"items": [home]}]
    for title, entries in GROUPS:
        items = [_item(*entry[:3]) for entry in entries if _may(request, entry[3])]
        if items:
            shown.append({"title": title, "separator": True, "items": items})
    return shown


def _item(title: Any, icon: str, model: str) -> dict[str, Any]:
    return {"title": title, "icon": icon, "link": reverse_lazy(f"admin:{model}_changelist")}


def _may(request: HttpRequest, permission: str) -> bool:
    if permission == "superuser":
        return bool(request.user.is_superuser)
    return request.user.has_perm(permission)
