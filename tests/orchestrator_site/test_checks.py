"""What works on one machine is told before it carries a production load."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import call_command

from orchestrator_site import checks


def ids() -> list[str]:
    return [str(message.id) for message in checks.production(None)]


@pytest.fixture
def in_production(settings: Any) -> Any:
    settings.SECRET_KEY_IS_EMBEDDED = False
    databases = {**settings.DATABASES}
    databases["default"] = {**databases["default"], "ENGINE": "django.db.backends.postgresql"}
    settings.DATABASES = databases
    settings.ORIGIN_IS_EMBEDDED = False
    settings.DEMO = False
    settings.AWS_ACCESS_KEY_ID = "key"
    settings.EMBEDDED_SECRETS = []
    return settings


def test_a_production_machine_is_told_nothing(in_production: Any) -> None:
    assert ids() == []


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("SECRET_KEY_IS_EMBEDDED", True, "orchestrator.W001"),
        ("ORIGIN_IS_EMBEDDED", True, "orchestrator.W003"),
        ("DEMO", True, "orchestrator.W004"),
        ("AWS_ACCESS_KEY_ID", "", "orchestrator.W005"),
        ("EMBEDDED_SECRETS", ["SESSION_KEYS"], "orchestrator.W007"),
    ],
)
def test_an_embedded_part_is_told_by_its_id(
    in_production: Any, name: str, value: Any, told: str
) -> None:
    setattr(in_production, name, value)
    assert ids() == [told]


def test_an_embedded_database_is_told_by_its_id(in_production: Any) -> None:
    engine = "django.db.backends.sqlite3"
    in_production.DATABASES = {**in_production.DATABASES, "default": {"ENGINE": engine}}
    assert ids() == ["orchestrator.W002"]


def test_every_warning_says_what_to_set(settings: Any) -> None:
    settings.DEMO = settings.SECRET_KEY_IS_EMBEDDED = settings.ORIGIN_IS_EMBEDDED = True
    settings.AWS_ACCESS_KEY_ID = ""
    found = checks.production(None)
    assert len(found) >= 4
    assert all("Set " in str(message.hint) for message in found)


def test_the_warnings_are_for_deployment_alone() -> None:
    deploy = {m.id for m in run_checks(include_deployment_checks=True)}
    plain = {m.id for m in run_checks()}
    assert "orchestrator.W001" in deploy
    assert not any(str(name).startswith("orchestrator.") for name in plain)


def test_the_project_itself_has_nothing_to_complain_of() -> None:
    call_command("check", fail_level="WARNING")
