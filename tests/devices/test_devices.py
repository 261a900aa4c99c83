"""Devices: taken by one task at a time, tried, put aside, brought back."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.db import IntegrityError, transaction
from django.utils import timezone

from devices import stuck
from devices.leasing import DeviceTaken, Hold, hold
from devices.models import DevDevice, Device, PersonWindow
from orchestrator_site.models import Event
from tests.distribution import reread
from tests.factories import DeviceFactory
from tests.racing import together

pytestmark = [pytest.mark.django_db, pytest.mark.database]
CURP = "INVE900101HDFXXX09"
PAUSE = timedelta(minutes=15)
Status = Device.Status


def take(device: Device, task_id: int = 7) -> None:
    now = timezone.now()
    hold([Hold(device.pk, task_id, CURP)], now, now + PAUSE)


def events(device: Device) -> list[tuple[str, str]]:
    rows = Event.objects.filter(object_id=str(device.pk)).order_by("id")
    return list(rows.values_list("old", "new"))


# --- Taking and releasing -------------------------------------------------------------------------


def test_a_device_is_held_by_one_task() -> None:
    device = DeviceFactory()
    take(device)
    stored = reread(device)
    assert (stored.available, stored.task_id, stored.current_task) == (False, 7, CURP)
    assert stored.task_start_time and stored.lease_expires_at
    with pytest.raises(DeviceTaken), transaction.atomic():
        take(device, 8)
    assert reread(device).task_id == 7


def test_all_devices_are_taken_or_none() -> None:
    first, second = DeviceFactory.create_batch(2)
    take(second, 5)
    now = timezone.now()
    both = [Hold(first.pk, 7, CURP), Hold(second.pk, 8, CURP)]
    with pytest.raises(DeviceTaken), transaction.atomic():
        hold(both, now, now)
    assert reread(first).available


def test_only_the_holder_is_released() -> None:
    device = DeviceFactory()
    take(device, 7)
    as_seen = reread(device)
    assert Device.objects.release([8], timezone.now()) == 0
    assert Device.objects.release([7], timezone.now()) == 1
    take(device, 9)
    assert not as_seen.release("looked a while ago")
    assert reread(device).task_id == 9
    assert reread(device).release("now")
    assert events(device) == [("held", "free")]


def test_the_database_keeps_a_free_device_from_holding_anything() -> None:
    device = DeviceFactory()
    with pytest.raises(IntegrityError), transaction.atomic():
        Device.objects.filter(pk=device.pk).update(task_id=7)
    take(device)
    with pytest.raises(IntegrityError), transaction.atomic():
        DeviceFactory(available=False, task_id=7)


# --- In and out of service ------------------------------------------------------------------------


def test_a_draining_device_is_given_nothing_new() -> None:
    device = DeviceFactory()
    assert device.drain("the cable is loose")
    assert not Device.objects.free(timezone.now()).exists()
    assert not device.drain("again")
    assert reread(device).status_reason == "the cable is loose"
    assert device.restore("mended")
    assert (device.status_reason, reread(device).status_reason) == ("", "")
    assert Device.objects.free(timezone.now()).get() == device
    assert events(device) == [("in_service", "draining"), ("draining", "in_service")]


def test_a_quarantine_for_good_has_no_trial() -> None:
    device = DeviceFactory()
    assert device.quarantine("water")
    assert not Device.objects.free(timezone.now() + timedelta(days=99)).exists()


def test_a_person_makes_a_quarantine_last_that_the_machine_began() -> None:
    device = DeviceFactory()
    device.note_failure("no signal", 1, PAUSE, timezone.now())
    device = reread(device)
    assert device.probe_at
    assert device.quarantine("broken for good")
    assert (reread(device).probe_at, reread(device).status_reason) == (None, "broken for good")
    assert not reread(device).quarantine("broken for good")
    assert events(device)[-1] == ("quarantined", "quarantined")


def test_failures_in_a_row_end_in_quarantine_and_a_success_forgets_them() -> None:
    device, now = DeviceFactory(), timezone.now()
    assert not device.note_failure("no signal", 3, PAUSE, now)
    assert not device.note_failure("no signal", 3, PAUSE, now)
    device.note_success("found")
    assert reread(device).failures == 0
    assert [device.note_failure("no signal", 3, PAUSE, now) for _ in range(3)] == [
        False,
        False,
        True,
    ]
    stored = reread(device)
    assert (stored.status, stored.probe_at) == (Status.QUARANTINED, now + PAUSE)


def test_one_trial_lets_a_device_back_or_not() -> None:
    device, now = DeviceFactory(), timezone.now()
    device.note_failure("no signal", 1, PAUSE, now)
    assert not Device.objects.free(now).exists()
    assert Device.objects.free(now + PAUSE).get() == device
    device = reread(device)
    assert not device.note_failure("no signal still", 1, PAUSE, now + PAUSE)
    stored = reread(device)
    assert (stored.status, stored.probe_at) == (Status.QUARANTINED, now + 2 * PAUSE)
    assert "no signal still" in stored.status_reason
    stored.note_success("found")
    stored = reread(device)
    assert (stored.status, stored.failures, stored.probe_at) == (Status.IN_SERVICE, 0, None)
    assert stored.status_reason == ""


def test_a_device_put_aside_by_a_person_is_not_moved_by_its_tasks() -> None:
    device = DeviceFactory(status=Status.DRAINING)
    assert not device.note_failure("no signal", 1, PAUSE, timezone.now())
    device.note_success("found")
    assert reread(device).status == Status.DRAINING
    shut = DeviceFactory(status=Status.QUARANTINED)
    shut.note_success("its last task")
    assert reread(shut).status == Status.QUARANTINED


# --- Heartbeats -----------------------------------------------------------------------------------


def test_a_heartbeat_says_whether_a_device_is_online() -> None:
    device, now = DeviceFactory(), timezone.now()
    as_seen = reread(device)
    device.beat(False, now)
    assert (reread(device).online, reread(device).heartbeat_at) == (False, now)
    as_seen.beat(False, now)  # another reader of the same news
    as_seen.beat(True, now)
    assert reread(device).online
    assert events(device) == [("online", "offline"), ("offline", "online")]


def test_a_device_whose_heartbeat_stopped_goes_offline() -> None:
    now = timezone.now()
    silent = DeviceFactory(heartbeat_at=now - timedelta(minutes=6))
    beating = DeviceFactory(heartbeat_at=now - timedelta(minutes=4))
    flagged = DeviceFactory(heartbeat_at=None)  # its fleet sends none
    assert stuck.mark_silent(now, timedelta(minutes=5)) == 1
    assert [reread(one).online for one in (silent, beating, flagged)] == [False, True, True]
    assert events(silent) == [("online", "offline")]


def test_stuck_is_what_is_held_too_long() -> None:
    now = timezone.now()
    old = DeviceFactory(available=False, task_start_time=now - timedelta(minutes=21))
    DeviceFactory(available=False, task_start_time=now - timedelta(minutes=19))
    lost = DeviceFactory(available=False, updated_at=now - timedelta(hours=1))
    DeviceFactory(updated_at=now - timedelta(hours=1))
    assert set(Device.objects.stuck(now - timedelta(minutes=20))) == {old, lost}


def test_both_fleets_go_by_the_same_code() -> None:
    one = DevDevice.objects.create(device="SISEC-DEV-1", process="SISEC")
    DeviceFactory(fleet="devices", device="SISEC-DEV-1")
    assert one.fleet == "dev_devices"
    assert [row.pk for row in DevDevice.objects.all()] == [one.pk]
    assert one.drain("cable")
    assert DevDevice.objects.free(timezone.now()).count() == 0


# --- A person's window ----------------------------------------------------------------------------


def test_a_window_is_taken_once_until_it_is_over() -> None:
    now = timezone.now()
    assert PersonWindow.take({CURP: "first"}, now, now + PAUSE) == {CURP}
    assert PersonWindow.take({CURP: "second"}, now, now + PAUSE) == set()
    assert PersonWindow.shut([CURP], now) == {CURP: now + PAUSE}
    later = now + PAUSE
    assert PersonWindow.shut([CURP], later) == {}
    assert PersonWindow.take({CURP: "third"}, later, later + PAUSE) == {CURP}
    assert PersonWindow.objects.get().holder == "third"


def test_a_window_is_opened_by_its_holder_once() -> None:
    now = timezone.now()
    PersonWindow.take({CURP: "mine"}, now, now + PAUSE)
    assert not PersonWindow.close(CURP, "another's", now)
    assert PersonWindow.close(CURP, "mine", now)
    assert not PersonWindow.close(CURP, "mine", now)
    assert PersonWindow.take({CURP: "next"}, now, now + PAUSE) == {CURP}
    assert not PersonWindow.close(CURP, "mine", now)


def test_no_window_is_taken_for_nobody() -> None:
    assert PersonWindow.take({}, timezone.now(), timezone.now()) == set()


@pytest.mark.django_db(transaction=True)
def test_twenty_racers_for_two_windows_have_two_winners() -> None:
    now = timezone.now()
    curps = [CURP, "INVE900102HDFXXX08"]

    def race(number: int) -> set[str]:
        ordered = curps if number % 2 else curps[::-1]
        return PersonWindow.take(dict.fromkeys(ordered, f"task {number}"), now, now + PAUSE)

    won = [curp for taken in together(20, race) for curp in taken]
    assert sorted(won) == sorted(curps)


@pytest.mark.django_db(transaction=True)
def test_of_twenty_tasks_one_holds_the_device() -> None:
    device = DeviceFactory()

    def race(number: int) -> bool:
        try:
            with transaction.atomic():
                take(device, number + 1)
        except (DeviceTaken, IntegrityError):
            return False
        return True

    assert together(20, race).count(True) == 1
