"""Roles: viewer sees, operator acts, admin configures; a scraper reports its results."""

from __future__ import annotations

from typing import Any

from django.apps import AppConfig, apps
from django.db import transaction

VIEWER, OPERATOR, ADMIN, SCRAPER = "viewer", "operator", "admin", "scraper"
OURS = ("orchestrator_site", "brain", "queues", "devices", "postprocessing")
# What an operator may enter besides the verbs.
OPERATOR_ENTERS = ("add_clientauthorisation", "change_clientauthorisation")
SCRAPER_MAY = ("report_registrowork",)
NEVER = ("add_event", "change_event", "delete_event")


def sync(app_config: AppConfig, **kwargs: Any) -> None:
    """Give the roles the permissions of an app; runs after each migration, adds what is new."""
    if app_config.name not in (*OURS, "django.contrib.auth"):
        return
    group_model = apps.get_model("auth", "Group")
    permissions = apps.get_model("auth", "Permission").objects.filter(
        content_type__app_label=app_config.label
    )
    with transaction.atomic():
        for role in (VIEWER, OPERATOR, ADMIN, SCRAPER):
            group, _created = group_model.objects.get_or_create(name=role)
            group.permissions.add(
                *[one for one in permissions if _may(role, app_config.name, one.codename)]
            )


def _may(role: str, app: str, codename: str) -> bool:
    if codename in NEVER:
        return False
    if role == ADMIN:
        return True
    if role == SCRAPER:
        return codename in SCRAPER_MAY
    if app not in OURS:
        return False
    viewed = codename.startswith("view_") and not codename.startswith("view_apikey")
    acted = codename.startswith("operate_") or codename in OPERATOR_ENTERS
    return viewed or (role == OPERATOR and acted)
