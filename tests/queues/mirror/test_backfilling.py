"""Taking over what Mongo has: people in any state, and what was done for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from devices.models import Device
from orchestrator_site.models import Event
from queues.mirror import door
from queues.mirror.backfilling import from_mongo
from queues.mirror.kinds import MINI, NBC, WORKS
from queues.models import MirrorState, NbcRecord, QueueEntry, RegistroWork, SetAside
from tests.distribution import generators
from tests.factories import NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SISEC = (MINI, "imss_queue_sisec")
BEGUN, ENDED = datetime(2026, 1, 2, 8, tzinfo=UTC), datetime(2026, 1, 2, 9, tzinfo=UTC)


@pytest.fixture(autouse=True)
def empty(mirrored: MongoClient[Any]) -> None:
    """A database with the generators alone, and a mirror that was never on."""
    MirrorState.switch(False)
    generators()


def person(status: str | None, **more: Any) -> str:
    values = {"curp": NbcRecordFactory.build().curp, "nombre": "Ana Inventada", **more}
    imss = {} if status is None else {"imss": {"status": status, "rw_id": "IMSS_x_1"}}
    return str(door.collection(NBC).insert_one({**values, **imss}).inserted_id)


def task(whose: str, /, **more: Any) -> str:
    """As an old distributor left it, with its work."""
    rw_id = f"IMSS_{whose}_{ObjectId()}"
    values = {
        "nbc_id": ObjectId(whose),
        "rw_id": rw_id,
        "device": "SISEC-OM-001",
        "created_at": BEGUN,
        "Status": "Complete",
        "success": True,
        "Message": "hallado",
        "taskid": 77,
    }
    work = {"rw_id": rw_id, "Status": "Complete", "Condition": 1, "i_date": BEGUN, "f_date": ENDED}
    if more.get("Status", "Complete") == "Complete":
        door.collection(WORKS).insert_one(work)
    return str(door.collection(SISEC).insert_one({**values, **more}).inserted_id)


@pytest.mark.parametrize(
    ("there", "here"),
    [
        (None, "pending"),
        ("pending", "pending"),
        ("p1", "pending"),  # nobody works it any more
        ("s", "s"),
        ("subdelegacion", "subdelegacion"),
        ("nf", "nf"),
        ("RETRY_AFTER_MIDNIGHT", "RETRY_AFTER_MIDNIGHT"),
    ],
)
def test_people_are_taken_over_in_any_state(there: str | None, here: str) -> None:
    nbc_id = person(there)
    report = from_mongo()
    row = NbcRecord.objects.get(nbc_id=nbc_id)
    assert (row.status, row.data["nombre"]) == (here, "Ana Inventada")
    assert (report.created["people"], report.set_aside.total()) == (1, 0)
    event = Event.objects.get(case_id=row.case_id)
    assert (event.new, event.reason) == (here, "taken over from Mongo")


def test_who_waits_for_midnight_goes_on_waiting() -> None:
    nbc_id = person("RETRY_AFTER_MIDNIGHT")
    from_mongo()
    row = NbcRecord.objects.get(nbc_id=nbc_id)
    assert row.available_at > row.created_at


def test_a_finished_task_is_taken_over_with_its_work() -> None:
    nbc_id = person("s")
    document_id = task(nbc_id)
    report = from_mongo()
    entry = QueueEntry.objects.get(document_id=document_id)
    work = RegistroWork.objects.get(rw_id=entry.rw_id)
    assert (entry.nbc.nbc_id, entry.generator_id) == (nbc_id, "G_SISEC")
    assert (entry.status, entry.success, entry.condition) == ("Complete", True, 1)
    assert (entry.created_at, entry.processed_at, entry.message) == (BEGUN, ENDED, "hallado")
    assert (work.i_date, work.f_date, work.condition) == (BEGUN, ENDED, 1)
    assert entry.case_id == entry.nbc.case_id
    assert (report.created["works"], report.created["tasks"]) == (1, 1)


def test_devices_come_too() -> None:
    device = {"device": "SISEC-OM-001", "process": "SISEC", "online": True, "available": True}
    door.collection((MINI, "dev_devices")).insert_one(device)
    from_mongo()
    assert Device.objects.get().device == "SISEC-OM-001"


def test_a_task_under_way_stays_in_mongo_with_its_person() -> None:
    nbc_id = person("p1")
    earlier, document_id = task(nbc_id), task(nbc_id, Status="Processing", success=None)
    report = from_mongo()
    assert not NbcRecord.objects.exists() and not QueueEntry.objects.exists()
    assert report.under_way == {"people": 1, "works": 1, "tasks": 2}
    assert not SetAside.objects.exists()
    ended = {"$set": {"Status": "Complete", "success": False}}
    door.collection(SISEC).update_one({"_id": ObjectId(document_id)}, ended)
    from_mongo()
    taken = set(QueueEntry.objects.values_list("document_id", flat=True))
    assert taken == {earlier, document_id}


def test_what_is_here_already_stays_as_it_is() -> None:
    task(person("s"))
    from_mongo()
    NbcRecord.objects.update(message="ours")
    report = from_mongo()
    assert report.known == {"people": 1, "works": 1, "tasks": 1}
    assert report.created.total() == 0
    assert NbcRecord.objects.get().message == "ours"


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"imss": {"status": "perdido"}}, "unknown imss.status"),
        ({"imss": ["s"]}, "imss is no object"),
        ({"imss": {"status": "s"}, "curp": "X"}, ""),
        ({"imss": {"status": "s"}, "nombre": "x" * 2**20}, "bytes"),
        ({"imss": {"status": "s"}, "nombre": "\x00"}, "cannot be stored"),
    ],
)
def test_a_person_that_cannot_be_taken_over_delays_nobody(
    values: dict[str, Any], reason: str
) -> None:
    person(None, **values)
    nbc_id = person("s")
    report = from_mongo()
    assert [row.nbc_id for row in NbcRecord.objects.all()] == [nbc_id]
    assert (report.set_aside["people"], report.created["people"]) == (1, 1)
    assert reason in SetAside.objects.get().reason


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ({"Status": "Perdida"}, "unknown Status"),
        ({"success": None, "rw_id": "IMSS_other_1"}, "neither a Condition nor a success"),
        ({"Condition": 9}, "unknown Condition"),
        ({"created_at": "ayer"}, "no date"),
        ({"device": 5}, "device is no text"),
        ({"nbc_id": ObjectId(), "rw_id": "IMSS_other_1"}, "nobody here"),
        ({"_id": "a text"}, "no ObjectId"),
    ],
)
def test_a_task_that_cannot_be_taken_over_is_set_aside(values: dict[str, Any], reason: str) -> None:
    nbc_id = person("s")
    task(nbc_id, **values)
    good = task(nbc_id)
    report = from_mongo()
    assert [row.document_id for row in QueueEntry.objects.all()] == [good]
    assert report.set_aside["tasks"] == 1
    assert reason in SetAside.objects.get(collection=SISEC[1]).reason


def test_two_tasks_of_one_work_are_one() -> None:
    nbc_id = person("s")
    task(nbc_id, rw_id="IMSS_x_1")
    task(nbc_id, rw_id="IMSS_x_1")
    report = from_mongo()
    assert (QueueEntry.objects.count(), report.set_aside["tasks"]) == (1, 1)


def test_a_dry_run_writes_nothing_on_either_side() -> None:
    task(person("s"))
    person("perdido")
    report = from_mongo(dry_run=True)
    assert (report.created["people"], report.created["tasks"]) == (1, 1)
    assert report.set_aside["people"] == 1
    for model in (NbcRecord, RegistroWork, QueueEntry, SetAside, Event):
        assert not model.objects.exists()
    assert door.collection(NBC).find_one({"_mirror": {"$exists": True}}) is None
