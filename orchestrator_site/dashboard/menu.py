"""The admin's side menu."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.urls import reverse, reverse_lazy
from django.utils.translation import gettext_lazy as _

from orchestrator_site.dashboard.badges import badge_of

# Pages that are no list of rows, by the name that stands for them below.
PAGES = {
    "distribution": "distribution",
    "shares": "admin:brain_shares",
    "pqr": "pqr",
    "board": "device-board",
    **{f"queue-{name}": f"queue-{name}" for name in ("appeals", "lookups", "jobs")},
}
# Only where there is a mirror.
MIRROR = ("queues_mirrorchange", "queues_setaside")
GROUPS: list[tuple[Any, list[tuple[Any, str, str, str]]]] = [
    (
        _("Appeals"),
        [
            (_("Queue, live"), "monitoring", "queue-appeals", "queues.view_tramitetask"),
            (_("Queue"), "outgoing_mail", "queues_tramitetask", "queues.view_tramitetask"),
            (_("Claims"), "front_hand", "brain_claim", "brain.view_claim"),
            (_("Cycles"), "cycle", "brain_cycle", "brain.view_cycle"),
            (_("Reconciliations"), "compare", "brain_reconciliation", "brain.view_reconciliation"),
            (_("Evidence"), "photo_library", "queues_evidencefile", "queues.view_evidencefile"),
        ],
    ),
    (
        _("Lookups"),
        [
            (_("Distribution"), "alt_route", "distribution", "queues.view_generator"),
            (_("Queue, live"), "monitoring", "queue-lookups", "queues.view_nbcrecord"),
            (_("Device board"), "grid_view", "board", "devices.view_device"),
            (_("Shares"), "percent", "shares", "queues.view_sharechange"),
            (_("People"), "groups", "queues_nbcrecord", "queues.view_nbcrecord"),
            (_("Tasks"), "assignment", "queues_queueentry", "queues.view_queueentry"),
            (_("Devices"), "devices", "devices_device", "devices.view_device"),
            (
                _("Generators"),
                "precision_manufacturing",
                "queues_generator",
                "queues.view_generator",
            ),
            (_("Work records"), "receipt_long", "queues_registrowork", "queues.view_registrowork"),
            (_("Decisions"), "fork_right", "brain_decision", "brain.view_decision"),
            (
                _("Batches"),
                "stacks",
                "brain_distributionbatch",
                "brain.view_distributionbatch",
            ),
        ],
    ),
    (
        _("Post-processing"),
        [
            (_("Companies"), "domain", "pqr", "postprocessing.view_postprocessingrun"),
            (_("Afinia"), "description", "postprocessing_ovafinia", "postprocessing.view_ovafinia"),
            (_("Air-e"), "description", "postprocessing_ovaire", "postprocessing.view_ovaire"),
            (
                _("Post-processing runs"),
                "history",
                "postprocessing_postprocessingrun",
                "postprocessing.view_postprocessingrun",
            ),
            (_("S3 files"), "cloud", "postprocessing_s3file", "postprocessing.view_s3file"),
            (
                _("PQR files"),
                "data_object",
                "postprocessing_sourcefile",
                "postprocessing.view_sourcefile",
            ),
            (
                _("Verifications"),
                "fact_check",
                "postprocessing_verification",
                "postprocessing.view_verification",
            ),
            (
                _("Differences"),
                "difference",
                "postprocessing_difference",
                "postprocessing.view_difference",
            ),
        ],
    ),
    (
        _("Control plane"),
        [
            (_("Queue, live"), "monitoring", "queue-jobs", "queues.view_job"),
            (_("Jobs"), "play_circle", "queues_job", "queues.view_job"),
            (
                _("Sessions"),
                "cookie",
                "brain_connectedprovider",
                "brain.view_connectedprovider",
            ),
            (
                _("Webhooks"),
                "webhook",
                "queues_webhookendpoint",
                "queues.view_webhookendpoint",
            ),
            (
                _("Messages"),
                "outbox",
                "queues_webhookdelivery",
                "queues.view_webhookdelivery",
            ),
            (_("Providers"), "language", "brain_provider", "brain.view_provider"),
            (
                _("Organisations"),
                "corporate_fare",
                "orchestrator_site_organisation",
                "orchestrator_site.view_organisation",
            ),
            (
                _("Members"),
                "badge",
                "orchestrator_site_member",
                "orchestrator_site.view_member",
            ),
            (_("Signing keys"), "key_vertical", "brain_signingkey", "brain.view_signingkey"),
        ],
    ),
    (
        _("Configuration"),
        [
            (
                _("Distribution"),
                "tune",
                "queues_distributionconfig",
                "queues.view_distributionconfig",
            ),
            (_("Organismos"), "account_balance", "brain_organismo", "brain.view_organismo"),
            (_("Flows"), "route", "brain_flow", "brain.view_flow"),
            (_("Motivos"), "edit_note", "brain_motivo", "brain.view_motivo"),
            (
                _("Authorisations"),
                "signature",
                "brain_clientauthorisation",
                "brain.view_clientauthorisation",
            ),
            (
                _("Alert rules"),
                "rule",
                "orchestrator_site_alertrule",
                "orchestrator_site.view_alertrule",
            ),
            (
                _("Maintenance"),
                "construction",
                "orchestrator_site_maintenancewindow",
                "orchestrator_site.view_maintenancewindow",
            ),
        ],
    ),
    (
        _("Running"),
        [
            (_("Mirror"), "sync_alt", "queues_mirrorchange", "queues.view_mirrorchange"),
            (_("Set aside"), "rule_folder", "queues_setaside", "queues.view_setaside"),
            (_("Workers"), "memory", "devices_worker", "devices.view_worker"),
            (
                _("Alerts"),
                "notifications",
                "orchestrator_site_alert",
                "orchestrator_site.view_alert",
            ),
            (
                _("Bulk actions"),
                "checklist",
                "orchestrator_site_bulkaction",
                "orchestrator_site.view_bulkaction",
            ),
            (_("Events"), "history", "orchestrator_site_event", "orchestrator_site.view_event"),
            (
                _("Audit"),
                "verified_user",
                "orchestrator_site_auditentry",
                "orchestrator_site.view_auditentry",
            ),
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
        items = [_item(*one[:3]) for one in entries if _has(one[2]) and _may(request, one[3])]
        if items:
            shown.append({"title": title, "separator": True, "items": items})
    return shown


def _item(title: Any, icon: str, model: str) -> dict[str, Any]:
    name = PAGES.get(model, f"admin:{model}_changelist")
    item = {"title": title, "icon": icon, "link": reverse_lazy(name), **badge_of(model)}
    return {**item, "active": _is_on_companies} if model == "pqr" else item


def _is_on_companies(request: HttpRequest) -> bool:
    """The addresses of its lists begin with its own."""
    own = reverse("pqr")
    return request.path == own or request.path.startswith(f"{own}company/")


def _has(model: str) -> bool:
    return model not in MIRROR or bool(settings.MONGODB_URI)


def _may(request: HttpRequest, permission: str) -> bool:
    if permission == "superuser":
        return bool(request.user.is_superuser)
    return request.user.has_perm(permission)
