"""Roles: viewer sees, operator acts, admin configures; a scraper reports its results; a member of
an organisation works with what is its organisation's."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db import transaction

VIEWER, OPERATOR, ADMIN, SCRAPER = "viewer", "operator", "admin", "scraper"
MEMBER = "member"
ROLES = (VIEWER, OPERATOR, ADMIN, SCRAPER, MEMBER)
OURS = ("orchestrator_site", "brain", "queues", "devices", "postprocessing")
# What an operator may enter besides the verbs.
OPERATOR_ENTERS = ("add_clientauthorisation", "change_clientauthorisation")
SCRAPER_MAY = ("report_registrowork",)
# Of their organisation's rows alone: `orchestrator_site.tenancy`.
MEMBER_MAY = (
    *("view_organisation", "view_provider"),
    *("view_connectedprovider", "operate_connectedprovider"),
    *("view_flow", "add_flow", "activate_flow"),
    *("view_job", "add_job", "operate_job"),
    *("view_webhookendpoint", "add_webhookendpoint", "change_webhookendpoint"),
    *("delete_webhookendpoint", "operate_webhookendpoint"),
    *("view_webhookdelivery", "operate_webhookdelivery", "view_webhookattempt"),
)
NARROW = {SCRAPER: SCRAPER_MAY, MEMBER: MEMBER_MAY}
# Which keys are believed is configuration, as is which flow runs.
ADMIN_ALONE = ("operate_signingkey",)
# Configuration that names people and keys.
NOT_FOR_VIEWERS = ("view_apikey", "view_historicalapikey", "view_auditentry")
NEVER = (
    *("add_event", "change_event", "delete_event"),
    *("add_auditentry", "change_auditentry", "delete_auditentry"),
)


def sync(app_config: AppConfig, **kwargs: Any) -> None:
    """Give the roles the permissions of an app; runs after each migration, adds what is new."""
    if app_config.name not in (*OURS, "django.contrib.auth"):
        return
    group_model = apps.get_model("auth", "Group")
    permissions = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label=app_config.label
    )
    with transaction.atomic():
        for role in ROLES:
            group, _created = group_model.objects.get_or_create(name=role)
            group.permissions.add(
                *[one for one in permissions if _may(role, app_config.name, one.codename)]
            )


def _may(role: str, app: str, codename: str) -> bool:
    if codename in NEVER:
        return False
    if role == ADMIN:
        return True
    if app not in OURS:
        return False
    if role in NARROW:
        return codename in NARROW[role]
    viewed = codename.startswith("view_") and codename not in NOT_FOR_VIEWERS
    acted = codename.startswith("operate_") or codename in OPERATOR_ENTERS
    return viewed or (role == OPERATOR and acted and codename not in ADMIN_ALONE)
