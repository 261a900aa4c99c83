"""Each generator's report of itself, and what a failed one does."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from brain import assigning
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import capacity
from queues.models import Endpoint, Generator
from tests.distribution import assigned, pool, posted, reread
from tests.factories import NbcRecordFactory
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def sisec() -> Generator:
    return Generator.objects.get(name="G_SISEC")


def report() -> bool:
    return capacity.report(sisec(), db_now())


def told() -> list[tuple[str, str]]:
    events = Event.objects.filter(object_type="queues.generator").order_by("id")
    return list(events.values_list("old", "new"))


def test_a_report_counts_devices_and_tasks() -> None:
    pool(4)
    pool(1, online=False)
    pool(1, status="draining")
    assigned()
    assert report()
    row = sisec()
    assert (row.available_devices, row.available_capacity) == (3, 3)
    assert (row.total_devices, row.current_active_tasks) == (5, 1)
    assert row.last_update and db_now() - row.last_update < timedelta(seconds=10)
    posted()
    assert report()
    assert sisec().current_active_tasks == 1
    assert told() == []


def test_a_generator_without_an_endpoint_that_can_be_asked_is_failing() -> None:
    pool()
    Endpoint.objects.update(open_until=timezone.now() + timedelta(minutes=5))
    assert not report()
    row = sisec()
    assert (row.status, "no endpoint" in row.last_failure) == ("fallando", True)
    assert row.last_failure_date
    assert not report()
    assert told() == [("running", "fallando")]


def test_nobody_is_assigned_to_a_failing_generator_until_a_good_report() -> None:
    pool()
    Endpoint.objects.update(enabled=False)
    report()
    Endpoint.objects.update(enabled=True)
    person = NbcRecordFactory()
    assert not assigning.run_round()
    assert reread(person).blocker["passed"][-1] == ["G_SISEC", "failing", 0]
    assert report()
    assert (sisec().status, told()[-1]) == ("running", ("fallando", "running"))
    assert assigning.run_round()


def test_a_report_that_breaks_is_a_failed_report(monkeypatch: pytest.MonkeyPatch) -> None:
    pool()

    def broken(*arguments: Any) -> None:
        raise RuntimeError("a fault of ours")

    monkeypatch.setattr(capacity, "_counted", broken)
    assert not report()
    assert "a fault of ours" in sisec().last_failure


def test_what_breaks_one_report_breaks_no_other() -> None:
    pool()
    capacity.report_all()
    states = dict(Generator.objects.values_list("name", "status"))
    assert states.pop("G_SISEC") == "running"
    assert set(states.values()) == {"fallando"}


def test_a_disabled_generator_reports_nothing() -> None:
    pool()
    Generator.objects.update(enabled=False)
    capacity.report_all()
    assert not Generator.objects.exclude(last_update=None).exists()


@pytest.mark.django_db(transaction=True)
def test_of_many_reports_at_once_one_tells() -> None:
    pool()
    Endpoint.objects.update(enabled=False)
    rows = [sisec() for _ in range(6)]
    assert together(6, lambda number: capacity.report(rows[number], db_now())) == [False] * 6
    assert told() == [("running", "fallando")]
