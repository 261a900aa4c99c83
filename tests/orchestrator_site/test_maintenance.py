"""Maintenance windows: alerts are raised and shown, and nobody is told until they are over."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any
from unittest.mock import patch

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator_site import alerting
from orchestrator_site.alerting import ALERT_VERBS, Measure, Reading
from orchestrator_site.measures import MEASURES
from orchestrator_site.models import Alert, AlertRule, Event, MaintenanceWindow
from tests.callers import Caller, key_of, problem

pytestmark = [pytest.mark.django_db, pytest.mark.database]
NOW = timezone.now()
HOUR = timedelta(hours=1)
SILENCE = next(verb for verb in ALERT_VERBS if verb.name == "silence")


@pytest.fixture(autouse=True)
def two_rules(db: None, settings: Any) -> Iterator[None]:
    """Each with an alert."""
    settings.ALERT_EMAILS = ["staff@example.org"]
    with patch.dict(MEASURES, clear=True):
        AlertRule.objects.all().delete()
        for name in ("queue", "mirror"):
            read = [Reading(name, 101, f"{name} is beyond")]
            alerting.register(Measure(name, name.title(), lambda read=read: read, 100, ">"))
            AlertRule.objects.create(name=name, measure=name, threshold=100)
        yield


def window(*rules: str, begins: datetime = NOW, lasts: timedelta = HOUR) -> MaintenanceWindow:
    row = MaintenanceWindow.objects.create(name="Disks", starts_at=begins, ends_at=begins + lasts)
    row.rules.set(AlertRule.objects.filter(name__in=rules))
    return row


def mailed(at: datetime) -> set[str]:
    """Of which rules an evaluation at that moment told."""
    mail.outbox.clear()
    alerting.evaluate(at)
    return {letter.subject.rpartition(": ")[2] for letter in mail.outbox}


@pytest.mark.parametrize(
    ("rules", "told"), [((), set()), (("queue",), {"mirror"}), (("queue", "mirror"), set())]
)
def test_a_window_silences_its_rules_or_all(rules: tuple[str, ...], told: set[str]) -> None:
    window(*rules)
    assert mailed(NOW) == told
    assert Alert.objects.raised().count() == 2, "raised and shown all the same"


def test_what_is_still_wrong_afterwards_is_told_then() -> None:
    window("queue")
    assert [mailed(NOW + minutes * HOUR / 60) for minutes in (0, 59, 60)] == [
        {"mirror"},
        set(),
        {"queue", "mirror"},
    ]


@pytest.mark.parametrize("begins", [NOW - HOUR, NOW + timedelta(seconds=1)])
def test_one_that_is_over_or_planned_silences_nobody(begins: datetime) -> None:
    window(begins=begins)
    assert mailed(NOW) == {"queue", "mirror"}


def test_one_that_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValidationError, match="end after it begins"):
        MaintenanceWindow(name="x", starts_at=NOW, ends_at=NOW).full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        window(lasts=timedelta(0))


def test_an_alert_is_silenced_for_an_hour_with_a_reason(client: Client) -> None:
    alerting.evaluate(NOW)
    alert = Alert.objects.get(rule__name="queue")
    assert SILENCE.fits(alert) and SILENCE.run(alert, "I look at it")
    row = MaintenanceWindow.objects.get()
    assert [rule.name for rule in row.rules.all()] == ["queue"]
    assert row.ends_at - row.starts_at == HOUR and row.reason == "I look at it"
    event = Event.objects.get(new="silenced")
    assert (event.object_id, event.reason) == (str(alert.pk), "I look at it")


def test_an_admin_makes_one_and_others_see_it(
    signed_in: Callable[[str], Client], person: Callable[[str], User]
) -> None:
    client = signed_in("admin")
    add = reverse("admin:orchestrator_site_maintenancewindow_add")
    page = client.get(add)
    asked = page.context["adminform"].form.initial
    assert asked["ends_at"] - asked["starts_at"] == HOUR
    listed = reverse("admin:orchestrator_site_maintenancewindow_changelist")
    for begins in (timezone.now() - HOUR / 2, timezone.now() + HOUR, timezone.now() - 2 * HOUR):
        window("queue", begins=begins)
    window(begins=timezone.now() - HOUR / 2)
    text = client.get(listed).content.decode()
    assert all(f"state-{tone}" in text for tone in ("warn", "wait", "off"))
    assert "Queue" in text
    viewer = Client()
    viewer.force_login(person("viewer"))
    assert viewer.get(listed).status_code == 200
    assert viewer.get(add).status_code == 403


def test_a_script_makes_changes_and_finds_windows(person: Callable[[str], User]) -> None:
    caller = Caller(key_of(person("admin")))
    rule = AlertRule.objects.get(name="queue")
    times = {"starts_at": NOW.isoformat(), "ends_at": (NOW + HOUR).isoformat()}
    made = caller.send("maintenance-windows/", {"name": "Disks", **times}, 201)
    assert (made["rules"], made["is_open"]) == ([], True)
    place = f"maintenance-windows/{made['id']}/"
    changed = caller.ask("PATCH", place, {"rules": [rule.pk]})
    assert changed["rules"] == [rule.pk]
    wrong = caller.ask("PATCH", place, {"ends_at": (NOW - HOUR).isoformat()}, 400)
    assert problem(wrong) == ("invalid", ["ends_at"])
    stamp = (NOW + HOUR / 2).strftime("%Y-%m-%dT%H:%M:%SZ")
    assert len(caller.read(f"maintenance-windows/?open_at={stamp}")["results"]) == 1
    assert caller.read("maintenance-windows/?open_at=2000-01-01T00:00:00Z")["results"] == []
    reader = Caller(key_of(person("operator")))
    assert reader.read(place)["name"] == "Disks"
    reader.ask("DELETE", place, status=403)
    caller.ask("DELETE", place, status=204)


@pytest.mark.parametrize("page", ["admin:index", "distribution"])
def test_the_banner_says_of_which_alerts_nobody_is_told(
    signed_in: Callable[[str], Client], page: str
) -> None:
    alerting.evaluate(NOW)
    window("queue", begins=timezone.now() - HOUR / 2)
    text = signed_in("viewer").get(reverse(page)).content.decode()
    parts = text.split('<div class="alarm ')[1:]
    marked = {
        name
        for name in ("Queue", "Mirror")
        for part in parts
        if name in part and "in maintenance" in part
    }
    assert len(parts) == 2 and marked == {"Queue"}


@pytest.mark.parametrize("year", [1890, 2101])
def test_a_window_is_of_our_time(person: Callable[[str], User], year: int) -> None:
    caller = Caller(key_of(person("admin")))
    times = {"starts_at": f"{year}-01-01T00:00:00Z", "ends_at": f"{year}-02-01T00:00:00Z"}
    wrong = caller.send("maintenance-windows/", {"name": "Disks", **times}, 400)
    assert problem(wrong) == ("invalid", ["starts_at", "ends_at"])
    huge = f"maintenance-windows/?rules=1&rules={'9' * 30}"
    assert problem(caller.read(huge, 400)) == ("invalid", ["rules"])


@pytest.mark.parametrize("names", [["queue"], ["queue", "mirror"]])
def test_a_window_ends_with_the_last_of_its_rules(names: list[str]) -> None:
    """Without rules it would silence all of them."""
    begun = window(*names, begins=timezone.now() - HOUR / 2)
    window(*names, begins=timezone.now() + HOUR)
    of_all = window(begins=timezone.now() + 5 * HOUR)
    other = window("queue", "mirror", begins=timezone.now() + 7 * HOUR)
    AlertRule.objects.filter(name__in=names).delete()
    begun.refresh_from_db()
    assert not begun.is_open(timezone.now())
    left = {begun.pk, of_all.pk} | ({other.pk} if len(names) == 1 else set())
    assert set(MaintenanceWindow.objects.values_list("pk", flat=True)) == left
