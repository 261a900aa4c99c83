"""Devices and generators as the outside tells of them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pymongo import MongoClient

from devices.models import Device
from orchestrator_site.clock import db_now
from queues.mirror import door, reading
from queues.mirror.kinds import GENERATORS, MINI
from queues.mirror.publishing import Publisher
from queues.models import Generator, SetAside
from tests.distribution import assigned, generators, pool
from tests.queues.mirror.outside import (
    DEV_DEVICES,
    change,
    device_of,
    mirror,
    publish,
    put,
    seen,
    work_from_mongo,
)

pytestmark = [pytest.mark.django_db, pytest.mark.database]
NEW = {"device_name": "One", "process": "SISEC", "instance": "SISEC-OM", "online": True}


@pytest.fixture
def device(publisher: Publisher) -> Device:
    """One that both sides know."""
    (row,) = pool(1)
    mirror(publisher)
    return row


def flag(row: Device, online: Any) -> None:
    found = door.collection(DEV_DEVICES).find_one({"device": row.device})
    assert found is not None
    change(DEV_DEVICES, found["_id"], online=online)


# --- New ones -------------------------------------------------------------------------------------


@pytest.mark.parametrize("fleet", ["devices", "dev_devices"])
def test_a_new_device_is_taken_in(publisher: Publisher, fleet: str) -> None:
    _id = put((MINI, fleet), device="D-1", **NEW)
    assert mirror(publisher) == 1
    row = Device.objects.get()
    assert (row.fleet, row.device, row.online, row.available) == (fleet, "D-1", True, True)
    assert (row.process, row.instance) == ("SISEC", "SISEC-OM")
    assert seen((MINI, fleet), _id)["available"]
    assert mirror(publisher) == 0


def test_a_device_that_says_not_whether_it_is_online_is_not(publisher: Publisher) -> None:
    put(DEV_DEVICES, device="D-1", process="SISEC")
    assert mirror(publisher) == 1
    assert Device.objects.get().online is False


def test_a_device_at_work_for_somebody_else_is_left_until_it_is_done(
    publisher: Publisher,
) -> None:
    at_work = {"available": False, "current_task": "X", "task_id": 7}
    _id = put(DEV_DEVICES, device="D-1", task_start_time=datetime.now(UTC), **NEW, **at_work)
    assert mirror(publisher) == 0
    assert not Device.objects.exists()
    assert seen(DEV_DEVICES, _id)["task_id"] == 7
    change(DEV_DEVICES, _id, task_start_time=datetime.now(UTC) - timedelta(hours=1))
    assert mirror(publisher) == 1
    assert seen(DEV_DEVICES, _id)["available"]


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"device": None}, "device is no text"),
        ({"device": 7}, "device is no text"),
        ({"device": "x" * 101}, "device is no text of at most 100"),
        ({"device": "a\0b"}, "device is no text"),
        ({"process": ""}, "process is no text"),
        ({"instance": 5}, "instance is no text"),
        ({"online": "yes"}, "online is neither true nor false: 'yes'"),
        ({"device": "D-2"}, "another document is of the device D-2 too"),
    ],
)
def test_a_wrong_device_is_set_aside_once_and_delays_no_other(
    mirrored: MongoClient[Any], values: dict[str, Any], reason: str
) -> None:
    put(DEV_DEVICES, device="D-2", **NEW)
    put(DEV_DEVICES, **{"device": "D-1", **NEW, **values})
    put(DEV_DEVICES, device="D-3", **NEW)
    assert reading.step() == 2
    assert set(Device.objects.values_list("device", flat=True)) == {"D-2", "D-3"}
    aside = SetAside.objects.get()
    assert reason in aside.reason
    assert reading.step() == 0
    assert SetAside.objects.get().last_seen_at == aside.last_seen_at


def test_a_device_that_was_deleted_here_does_not_come_back(
    publisher: Publisher, device: Device
) -> None:
    device.delete()
    assert reading.step() == 0
    publish(publisher)
    assert door.collection(DEV_DEVICES).find_one() is None


# --- Online flags ---------------------------------------------------------------------------------


def test_a_flag_that_changes_there_counts(publisher: Publisher, device: Device) -> None:
    for online in (False, True):
        flag(device, online)
        assert mirror(publisher) == 1
        device.refresh_from_db()
        assert device.online is online
        assert mirror(publisher) == 0


def test_what_the_device_says_since_is_newer_than_its_flag(
    publisher: Publisher, device: Device
) -> None:
    device.beat(False, db_now())
    assert mirror(publisher) == 0
    device.refresh_from_db()
    assert device.online is False


def test_at_the_first_look_a_device_that_says_nothing_goes_by_its_flag(
    publisher: Publisher,
) -> None:
    silent, beating = pool(2)
    publish(publisher)
    beating.beat(True, db_now())
    for row in (silent, beating):
        flag(row, False)
    assert mirror(publisher) == 1
    online = dict(Device.objects.values_list("device", "online"))
    assert online == {silent.device: False, beating.device: True}


def test_a_flag_that_is_none_is_told_and_changes_nothing(
    publisher: Publisher, device: Device
) -> None:
    flag(device, "no")
    assert mirror(publisher) == 0
    device.refresh_from_db()
    assert device.online is True
    assert SetAside.objects.get().collection == "dev_devices"
    flag(device, False)
    assert mirror(publisher) == 1
    assert not SetAside.objects.exists()


# --- What is ours ---------------------------------------------------------------------------------


def test_a_device_that_was_freed_there_stays_with_its_task(publisher: Publisher) -> None:
    pool()
    entry = assigned()
    publish(publisher)
    before = device_of(entry)
    change(DEV_DEVICES, before["_id"], unset="task_id", available=True)
    change(DEV_DEVICES, before["_id"], unset="current_task")
    assert mirror(publisher) == 0
    told = device_of(entry)
    assert not told["available"]
    for name in ("task_id", "current_task"):
        assert told[name] == before[name]


def test_whoever_tells_of_a_device_may_say_when(publisher: Publisher, device: Device) -> None:
    (document,) = door.collection(DEV_DEVICES).find({})
    said = datetime(2030, 1, 1, tzinfo=UTC)
    change(DEV_DEVICES, document["_id"], updated_at=said)
    mirror(publisher)
    (told,) = door.collection(DEV_DEVICES).find({})
    assert told["updated_at"] == said


# --- Generators -----------------------------------------------------------------------------------


@pytest.fixture
def told_of(publisher: Publisher) -> None:
    generators()
    mirror(publisher)


def test_a_generator_that_is_worked_from_mongo_reports_there(
    publisher: Publisher, told_of: None
) -> None:
    work_from_mongo()
    mirror(publisher)
    now = datetime(2026, 5, 1, 12, tzinfo=UTC)
    report = {"status": "fallando", "available_devices": 3.0, "last_update": now}
    change(GENERATORS, "G_SISEC", **report)
    assert mirror(publisher) == 1
    row = Generator.objects.get(name="G_SISEC")
    assert (row.status, row.available_devices, row.last_update) == ("fallando", 3, now)
    assert mirror(publisher) == 0
    told = seen(GENERATORS, "G_SISEC")
    assert {name: told[name] for name in report} == report


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"status": "asleep"}, "unknown status: 'asleep'"),
        ({"total_devices": -1}, "total_devices is no count: -1"),
        ({"total_devices": "many"}, "total_devices is no count: 'many'"),
        ({"last_update": "now"}, "last_update is no date: 'now'"),
    ],
)
def test_a_report_that_cannot_be_is_set_aside(
    publisher: Publisher, told_of: None, values: dict[str, Any], reason: str
) -> None:
    work_from_mongo()
    work_from_mongo("G_IAD")
    change(GENERATORS, "G_IAD", **values)
    change(GENERATORS, "G_SISEC", status="fallando")
    assert mirror(publisher) == 1
    assert reason in SetAside.objects.get().reason
    assert Generator.objects.get(name="G_IAD").status == "running"


def test_a_report_on_one_of_ours_is_overwritten(publisher: Publisher, told_of: None) -> None:
    change(GENERATORS, "G_SISEC", status="fallando", total_devices=99)
    assert mirror(publisher) == 0
    assert Generator.objects.get(name="G_SISEC").status == "running"
    told = seen(GENERATORS, "G_SISEC")
    assert (told["status"], told["total_devices"]) == ("running", 0)


def test_a_generators_document_that_was_there_first_is_left_alone(
    publisher: Publisher, mirrored: MongoClient[Any]
) -> None:
    put(GENERATORS, _id="G_SISEC", status="fallando")
    generators()
    Generator.objects.exclude(name="G_SISEC").delete()
    publish(publisher)
    door.collection(GENERATORS).replace_one({"_id": "G_SISEC"}, {"status": "fallando"})
    mirror(publisher)
    assert seen(GENERATORS, "G_SISEC") == {"_id": "G_SISEC", "status": "fallando"}
