"""Roles: viewer sees, operator acts, admin configures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from django.apps import apps
from django.contrib.auth.models import Group, Permission, User
from django.core.management import call_command

from orchestrator_site import roles
from orchestrator_site.verbs import OFFERS, operate_permission

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Person = Callable[[str], User]
HIDDEN = ("apikey", "historicalapikey", "auditentry")


def permissions(role: str) -> set[str]:
    rows = Permission.objects.filter(group__name=role).select_related("content_type")
    return {f"{row.content_type.app_label}.{row.codename}" for row in rows}


def test_a_migration_makes_the_roles() -> None:
    names = set(Group.objects.values_list("name", flat=True))
    assert names == {"viewer", "operator", "admin", "scraper", "member"}


def test_a_scraper_reports_and_does_nothing_else() -> None:
    assert permissions("scraper") == {"queues.report_registrowork"}
    assert "queues.report_registrowork" not in permissions("operator")


def test_each_role_may_all_that_the_one_below_may() -> None:
    assert permissions("viewer") < permissions("operator") < permissions("admin")


def test_a_viewer_only_views_and_no_key() -> None:
    assert {name.partition(".")[2].partition("_")[0] for name in permissions("viewer")} == {"view"}
    assert "orchestrator_site.view_apikey" not in permissions("operator")
    assert not any(name.startswith("auth.") for name in permissions("operator"))


def test_a_viewer_sees_every_table_of_ours_but_keys() -> None:
    for model in apps.get_models():
        label, name = model._meta.app_label, model._meta.model_name
        if label in roles.OURS and name not in (*HIDDEN, "recursosexp"):
            assert f"{label}.view_{name}" in permissions("viewer"), name


def test_keys_and_the_audit_are_for_administrators() -> None:
    for name in HIDDEN:
        permission = f"orchestrator_site.view_{name}"
        assert permission in permissions("admin")
        assert permission not in permissions("operator")
    assert not any("auditentry" in name and "view" not in name for name in permissions("admin"))


def test_an_operator_may_do_every_verb_but_choose_what_runs_and_who_comes_in() -> None:
    verbs = {operate_permission(offer.model) for offer in OFFERS.values()}
    assert verbs - permissions("operator") == {
        "brain.activate_flow",
        "brain.operate_signingkey",
        "orchestrator_site.change_member",
    }
    assert verbs <= permissions("admin")
    assert not verbs & permissions("viewer")


def test_an_operator_enters_authorisations_and_writes_no_other_configuration() -> None:
    writes = {
        name
        for name in permissions("operator")
        if name.partition(".")[2].startswith(("add_", "change_", "delete_"))
    }
    assert writes == {"brain.add_clientauthorisation", "brain.change_clientauthorisation"}


def test_nobody_writes_events() -> None:
    never = {f"orchestrator_site.{name}" for name in roles.NEVER}
    assert not never & permissions("admin")


def test_no_role_reaches_the_tables_that_hold_code_to_run() -> None:
    assert not any(name.startswith("django_q.") for name in permissions("admin"))


def test_a_person_has_what_the_role_has(person: Person) -> None:
    assert person("operator").get_all_permissions() == permissions("operator")


def test_migrating_again_keeps_what_staff_added_and_restores_what_is_missing() -> None:
    viewer = Group.objects.get(name="viewer")
    added = Permission.objects.get(codename="operate_claim")
    lost = Permission.objects.get(codename="view_claim")
    viewer.permissions.add(added)
    viewer.permissions.remove(lost)
    call_command("migrate", verbosity=0)
    assert {added, lost} <= set(viewer.permissions.all())
