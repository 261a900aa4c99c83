"""Devices that hang or fall silent: taken back, put offline, and told."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone

from brain import assigning
from devices.models import Device
from devices.stuck import mark_silent
from orchestrator_site.models import Event
from queues import settling, stuck, tasks, upkeep
from queues.models import DistributionConfig, Generator, NbcRecord, QueueEntry
from queues.stuck import release_all_stuck
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]


def ago(minutes: float) -> Any:
    return timezone.now() - timedelta(minutes=minutes)


@pytest.fixture
def held() -> list[Device]:
    """Two devices with a person each, whose scraper was called."""
    Generator.objects.exclude(name="G_SISEC").update(enabled=False)
    EndpointFactory()
    DeviceFactory.create_batch(2)
    NbcRecordFactory.create_batch(2)
    assert len(assigning.run_round().decisions) == 2
    for entry in QueueEntry.objects.all():
        entry.move("Processing", lease_token="0" * 32, called_at=timezone.now())
        entry.move("Accepted", lease_token=None, result_due_at=ago(-60))
    return list(Device.objects.order_by("pk"))


def hang(device: Device, minutes: float) -> None:
    Device.objects.filter(pk=device.pk).update(task_start_time=ago(minutes))


def test_what_is_held_for_too_long_is_released_with_its_task(held: list[Device]) -> None:
    hang(held[0], 21)
    hang(held[1], 19)
    (one,) = release_all_stuck()
    assert (one.device, one.task_id, one.curp, one.is_released) == (
        held[0].device,
        held[0].task_id,
        held[0].current_task,
        True,
    )
    assert [device.available for device in Device.objects.order_by("pk")] == [True, False]
    entry = QueueEntry.objects.get(pk=one.task_id)
    assert (entry.status, entry.success, entry.condition) == ("Complete", False, 4)
    assert entry.message == "stuck: held for more than 20 minutes"
    assert entry.nbc.status == "pending"
    assert Event.objects.filter(case_id=entry.case_id, new="Complete").count() == 1


def test_how_long_is_too_long_is_configured_or_given(held: list[Device]) -> None:
    hang(held[0], 10)
    assert release_all_stuck() == []
    assert [one.device for one in release_all_stuck(timedelta(minutes=9), dry_run=True)] == [
        held[0].device
    ]
    DistributionConfig.objects.update(stuck_minutes=9)
    assert [one.is_released for one in release_all_stuck()] == [True]


def test_a_dry_run_releases_none(held: list[Device]) -> None:
    hang(held[0], 30)
    before = Event.objects.count()
    (one,) = release_all_stuck(dry_run=True)
    assert (one.device, one.is_released) == (held[0].device, False)
    assert Device.objects.filter(available=False).count() == 2
    assert Event.objects.count() == before


def test_a_device_that_is_held_by_nothing_is_released(held: list[Device]) -> None:
    Device.objects.filter(pk=held[0].pk).update(
        task_id=None, current_task="", task_start_time=None, updated_at=ago(30)
    )
    (one,) = release_all_stuck()
    assert (one.since, one.task_id, one.is_released) == (None, None, True)
    held[0].refresh_from_db()
    assert held[0].available


def test_one_that_moved_on_meanwhile_is_left_alone(
    held: list[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look and our move its task ended and another began on it."""
    hang(held[0], 30)
    release = settling.release_stuck

    def late(device: Device, reason: str) -> bool:
        Device.objects.filter(pk=device.pk).update(task_id=987_654, task_start_time=ago(0))
        QueueEntry.objects.filter(pk=device.task_id).update(
            **{"status": "Complete", "success": True}
        )
        return release(device, reason)

    monkeypatch.setattr(stuck.settling, "release_stuck", late)
    (one,) = release_all_stuck()
    assert not one.is_released
    held[0].refresh_from_db()
    assert (held[0].available, held[0].task_id) == (False, 987_654)


# --- The command ------------------------------------------------------------------------------


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command("releasestuck", *arguments, stdout=told)
    return told.getvalue()


def test_the_command_tells_each_device(held: list[Device]) -> None:
    hang(held[0], 30)
    told = run("--dry-run")
    assert held[0].device in told and "would be released" in told
    assert held[1].device not in told
    assert "would be" not in run()
    assert "No device is stuck" in run()


def test_the_command_prints_one_object(held: list[Device]) -> None:
    hang(held[1], 6)
    found = json.loads(run("--older-than", "5", "--json"))
    assert found["dry_run"] is False
    (one,) = found["devices"]
    assert (one["device"], one["is_released"]) == (held[1].device, True)
    assert one["task_id"] == held[1].task_id and one["since"]


@pytest.mark.parametrize("minutes", ["-1", "soon", "9999999999999"])
def test_minutes_that_are_none_are_refused(minutes: str) -> None:
    with pytest.raises(CommandError, match="older-than"):
        run(f"--older-than={minutes}")


# --- Silence, and what else time does ---------------------------------------------------------


def test_a_heartbeat_that_stopped_puts_a_device_offline() -> None:
    silent, fresh, mute, off = DeviceFactory.create_batch(4)
    Device.objects.filter(pk__in=[silent.pk, off.pk]).update(heartbeat_at=ago(6))
    Device.objects.filter(pk=fresh.pk).update(heartbeat_at=ago(4))
    Device.objects.filter(pk=off.pk).update(online=False)
    assert mark_silent(timezone.now(), timedelta(minutes=5)) == 1
    online = Device.objects.filter(online=True).values_list("pk", flat=True)
    assert set(online) == {fresh.pk, mute.pk}
    event = Event.objects.get(object_id=str(silent.pk), object_type="devices.device")
    assert (event.old, event.new) == ("online", "offline")
    assert mark_silent(timezone.now(), timedelta(minutes=5)) == 0


def test_after_midnight_people_wait_again() -> None:
    due, later = NbcRecordFactory.create_batch(2, status="RETRY_AFTER_MIDNIGHT")
    NbcRecord.objects.filter(pk=later.pk).update(available_at=ago(-60))
    assert upkeep.bring_back() == 1
    due.refresh_from_db()
    later.refresh_from_db()
    assert (due.status, later.status) == ("pending", "RETRY_AFTER_MIDNIGHT")
    event = Event.objects.get(case_id=due.case_id)
    assert (event.old, event.new) == ("RETRY_AFTER_MIDNIGHT", "pending")


def test_many_come_back_in_few_statements(
    monkeypatch: pytest.MonkeyPatch, django_assert_max_num_queries: Any
) -> None:
    monkeypatch.setattr(upkeep, "AT_ONCE", 20)
    NbcRecordFactory.create_batch(50, status="RETRY_AFTER_MIDNIGHT")
    with django_assert_max_num_queries(20):
        assert upkeep.bring_back() == 50


def test_each_minute_all_of_it_is_done(held: list[Device]) -> None:
    hang(held[0], 30)
    QueueEntry.objects.filter(pk=held[1].task_id).update(result_due_at=ago(1))
    Device.objects.filter(pk=held[1].pk).update(heartbeat_at=ago(30))
    NbcRecordFactory(status="RETRY_AFTER_MIDNIGHT")
    done = tasks.keep_devices()
    assert done == {
        "leases lost": 0,
        "results missing": 1,
        "devices released": 1,
        "devices offline": 1,
        "people back": 1,
    }
    assert not Device.objects.filter(available=False).exists()


def test_what_breaks_one_duty_breaks_no_other(
    held: list[Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise RuntimeError("broken")

    monkeypatch.setitem(upkeep.DUTIES, "leases lost", broken)  # type: ignore[arg-type]
    hang(held[0], 30)
    done = upkeep.keep()
    assert (done["leases lost"], done["devices released"]) == (0, 1)
