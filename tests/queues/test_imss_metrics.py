"""Distribution's figures for Prometheus, and what staff are warned of."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from devices.models import DevDevice, Device
from orchestrator_site import alerting
from orchestrator_site.models import Alert, AlertRule, Event
from queues import alerts, metrics
from queues.models import Generator, NbcRecord, QueueEntry
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Samples = dict[tuple[str, ...], float]


class Registered(Collector):
    def collect(self) -> Iterator[Any]:
        return metrics.collect()


def read() -> Samples:
    """The figures as Prometheus reads them: by name, and labels' values in their names' order."""
    registry = CollectorRegistry()
    registry.register(Registered())
    text = generate_latest(registry).decode()
    found = [one for family in text_string_to_metric_families(text) for one in family.samples]
    return {
        (_short(one.name), *dict(sorted(one.labels.items())).values()): one.value for one in found
    }


def _short(name: str) -> str:
    return name.removeprefix("orchestrator_")


def ago(minutes: float) -> datetime:
    return timezone.now() - timedelta(minutes=minutes)


def task(generator: str = "G_SISEC", **values: Any) -> QueueEntry:
    """A task; one that ended five minutes ago, well, unless told otherwise."""
    person = NbcRecordFactory(status="s")
    ended = {
        "status": "Complete",
        "success": True,
        "condition": 1,
        "created_at": ago(10),
        "started_at": ago(9),
        "called_at": ago(9),
        "answered_at": ago(9) + timedelta(seconds=3),
        "processed_at": ago(5),
    }
    return QueueEntry.objects.create(
        generator=Generator.objects.get(name=generator),
        nbc=person,
        curp=person.curp,
        rw_id=f"IMSS_{person.nbc_id}_1",
        **{"device": "SISEC-1", **ended, **values},
    )


FAILED = {"success": False, "condition": 4}


# --- Figures --------------------------------------------------------------------------------------


def test_times_are_told_as_sums_and_counts_of_a_day() -> None:
    task()
    task(created_at=ago(12), answered_at=None)
    task(processed_at=ago(25 * 60))
    task("G_IAD", started_at=None)
    read_now = read()
    assert read_now["imss_processing_seconds_count", "G_SISEC"] == 2
    assert read_now["imss_processing_seconds_sum", "G_SISEC"] == pytest.approx(480, abs=1)
    assert read_now["imss_wait_seconds_sum", "G_SISEC"] == pytest.approx(240, abs=1)
    assert read_now["imss_api_seconds_count", "G_SISEC"] == 1
    assert read_now["imss_api_seconds_sum", "G_SISEC"] == pytest.approx(3, abs=0.1)
    assert read_now["imss_wait_seconds_count", "G_IAD"] == 0
    assert read_now["imss_wait_seconds_sum", "G_IAD"] == 0


def test_rates_are_of_the_tasks_that_ended_within_a_day() -> None:
    for values in ({}, {"condition": 2}, {"condition": 3}, FAILED):
        task(**values)
    task(**FAILED, processed_at=ago(25 * 60))
    figures = read()
    assert figures["imss_success_ratio", "G_SISEC"] == 0.75
    assert figures["imss_condition4_ratio", "G_SISEC"] == 0.25
    assert ("imss_success_ratio", "G_IAD") not in figures


def test_tasks_are_counted_by_device_in_an_hour_and_by_generator_today() -> None:
    task()
    task()
    task(device="SISEC-2")
    task(processed_at=ago(61))
    task(created_at=ago(60 * 49))
    figures = read()
    assert figures["imss_device_tasks_last_hour", "SISEC-1", "G_SISEC"] == 3
    assert figures["imss_device_tasks_last_hour", "SISEC-2", "G_SISEC"] == 1
    midnight = timezone.localtime().replace(hour=0, minute=0, second=0, microsecond=0)
    today = QueueEntry.objects.filter(created_at__gte=midnight).count()
    assert figures["imss_tasks_today", "G_SISEC"] == today
    assert figures["imss_tasks_today", "G_IAD"] == 0


def test_what_has_not_ended_is_counted_by_status() -> None:
    waiting = {"status": "Assigned", "success": None, "processed_at": None}
    task(**waiting)
    task(**waiting, device="SISEC-2")
    NbcRecordFactory.create_batch(3)
    figures = read()
    assert figures["imss_tasks", "G_SISEC", "Assigned"] == 2
    assert figures["imss_people", "pending"] == 3
    assert ("imss_people", "s") not in figures


def test_each_device_is_counted_once() -> None:
    DeviceFactory.create_batch(2)
    DeviceFactory(available=False)
    DeviceFactory(online=False)
    DeviceFactory(online=False, available=False)
    DeviceFactory(status="draining", available=False)
    DeviceFactory(status="quarantined", online=False)
    figures = read()
    states = ("free", "busy", "offline", "draining", "quarantined")
    counted = [figures["devices", "dev_devices", "SISEC", state] for state in states]
    assert counted == [2, 1, 2, 1, 1]


def test_the_figures_cost_as_much_of_many_rows_as_of_few() -> None:
    task()
    with CaptureQueriesContext(connection) as few:
        read()
    for number in range(20):
        task("G_IAD", device=f"IAD-{number}")
    DeviceFactory.create_batch(20)
    with CaptureQueriesContext(connection) as many:
        read()
    assert len(many) == len(few) < 20


def test_nothing_there_is_no_error() -> None:
    Generator.objects.all().delete()
    assert read() == {}


# --- What staff are warned of ---------------------------------------------------------------------


def readings(measure: Any) -> dict[str, float]:
    return {one.subject: one.value for one in measure()}


def test_a_pool_is_unavailable_since_its_last_device_was_taken() -> None:
    DeviceFactory(available=False, task_start_time=ago(25))
    DeviceFactory(available=False, task_start_time=ago(12))
    assert readings(alerts.unavailable_pools)["G_SISEC"] == pytest.approx(12, abs=0.2)


def test_a_pool_under_full_load_is_available() -> None:
    DeviceFactory(available=False, task_start_time=ago(25))
    DeviceFactory(available=False, task_start_time=ago(1))
    assert readings(alerts.unavailable_pools)["G_SISEC"] < 2


def test_a_free_device_makes_its_pool_available() -> None:
    DeviceFactory(available=False, task_start_time=ago(25))
    DeviceFactory(updated_at=ago(600))
    assert readings(alerts.unavailable_pools)["G_SISEC"] == 0


@pytest.mark.parametrize("change", ["offline", "draining", "as a dev device"])
def test_a_pool_is_unavailable_since_its_last_device_left(
    change: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = DeviceFactory(updated_at=ago(600))
    if change == "offline":
        device.beat(False, timezone.now())
    elif change == "draining":
        device.drain("maintenance")
    else:
        DevDevice.objects.get(pk=device.pk).quarantine("broken")
    assert Event.objects.count() == 1
    assert readings(alerts.unavailable_pools)["G_SISEC"] < 1
    monkeypatch.setattr(alerts, "db_now", lambda: timezone.now() + timedelta(minutes=11))
    assert readings(alerts.unavailable_pools)["G_SISEC"] == pytest.approx(11, abs=0.2)


def test_a_pool_without_devices_or_a_disabled_one_says_nothing() -> None:
    DeviceFactory(online=False)
    Generator.objects.filter(name="G_SISEC").update(enabled=False)
    assert readings(alerts.unavailable_pools) == {}


def test_a_rate_of_too_few_tasks_says_nothing() -> None:
    for _ in range(4):
        task(**FAILED)
    assert readings(alerts.success_rates) == {}
    task()
    assert readings(alerts.success_rates) == {"G_SISEC": 20.0}


def test_people_wait_whose_time_has_come() -> None:
    NbcRecordFactory.create_batch(2)
    NbcRecordFactory(available_at=ago(-10))
    NbcRecordFactory(status="p1")
    assert readings(alerts.waiting_people) == {"": 2}


def test_a_generator_that_fails_is_told_unless_it_is_disabled() -> None:
    Generator.objects.filter(name="G_IAD").update(status="fallando", last_failure="no endpoint")
    Generator.objects.filter(name="G_IAD2").update(status="fallando", enabled=False)
    told = readings(alerts.failing_generators)
    assert told == {"G_IAD": 1, "G_MASTER": 0, "G_SISEC": 0}


def test_only_a_device_that_was_quarantined_by_itself_is_told() -> None:
    by_itself, by_a_person = DeviceFactory(), DeviceFactory()
    for _ in range(3):
        pause = timedelta(minutes=15)
        Device.objects.get(pk=by_itself.pk).note_failure("no screen", 3, pause, timezone.now())
    by_a_person.quarantine("broken")
    assert readings(alerts.quarantined_devices) == {f"dev_devices {by_itself}": 3}


def test_each_measure_raises_and_resolves_its_alert() -> None:
    """By the rules that a migration makes of them."""
    alerting.register(*alerts.MEASURES)
    alerting.make_rules()
    EndpointFactory()
    for _ in range(5):
        task(**FAILED)
    NbcRecordFactory.create_batch(101)
    DeviceFactory(available=False, task_start_time=ago(11))
    Generator.objects.filter(name="G_IAD").update(status="fallando")
    DeviceFactory(process="X", status="quarantined", probe_at=ago(-1), failures=5)
    alerting.evaluate(timezone.now())
    raised = Alert.objects.filter(status="open", rule__measure__startswith="imss_")
    assert set(raised.values_list("rule__measure", flat=True)) >= {
        measure.name for measure in alerts.MEASURES if measure.name.startswith("imss_")
    }
    NbcRecord.objects.all().update(available_at=ago(-10))
    alerting.evaluate(timezone.now())
    assert not raised.filter(rule__measure="imss_queue").exists()
    assert AlertRule.objects.get(measure="imss_success_rate").threshold == 50
