"""What Mongo is told: each change, in the documents' own words, and never an older state."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from bson import ObjectId
from django.utils import timezone
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from devices.models import Device, Fleet
from orchestrator_site.models import Lease
from queues import endings, settling
from queues.mirror import door, kinds, publishing
from queues.mirror.kinds import GENERATORS, MINI, NBC, WORKS, Place, object_id
from queues.mirror.publishing import LEASE, Publisher, Superseded, mark, open_changes
from queues.models import Generator, MirrorChange, MirrorState, NbcRecord, QueueEntry, RegistroWork
from tests import mongo
from tests.distribution import accepted, assigned, person_of, pool, posted, reread
from tests.factories import DeviceFactory, NbcRecordFactory
from tests.postgres import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.database]
DATE = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?")
Ending = endings.Ending
FOUND = Ending(QueueEntry.Condition.FOUND, "found", endings.Person.FOUND)


def publish(publisher: Publisher) -> None:
    while publisher.step():
        pass
    assert not open_changes().exists()


def document(place: Place, **by: Any) -> dict[str, Any]:
    (found,) = door.collection(place).find(by)
    found.pop("_mirror")
    return {name: dated(value) for name, value in found.items()}


def dated(value: Any) -> Any:
    """The tests' own server makes a text of a date that an update sets."""
    if mongo.configured() or not isinstance(value, str) or not DATE.fullmatch(value):
        return value
    return datetime.fromisoformat(value).replace(tzinfo=UTC)


def task(entry: QueueEntry) -> dict[str, Any]:
    place = (MINI, entry.generator.queue_collection)
    return document(place, _id=ObjectId(entry.document_id))


def person(row: NbcRecord) -> dict[str, Any]:
    return document(NBC, _id=object_id(row.nbc_id))


def device(row: Device) -> dict[str, Any]:
    return document((MINI, row.fleet), device=row.device)


def in_mongo(moment: datetime) -> datetime:
    """As it comes back: in milliseconds, UTC."""
    return moment.astimezone(UTC).replace(microsecond=moment.microsecond // 1000 * 1000)


def test_an_assignment_is_seen_in_mongo(publisher: Publisher, mirrored: MongoClient[Any]) -> None:
    pool(2)
    entry = assigned()
    while publisher.step():
        pass
    assert not MirrorChange.objects.exists()
    entry = QueueEntry.objects.get(pk=entry.pk)
    told = door.collection((MINI, entry.generator.queue_collection)).find_one()
    assert told is not None
    told.pop("_mirror")
    assert told.pop("task_data")["curp"] == entry.curp
    assert told == {
        "_id": ObjectId(entry.document_id),
        "nbc_id": ObjectId(entry.nbc.nbc_id),
        "curp": entry.curp,
        "rw_id": entry.rw_id,
        "device": entry.device,
        "device_name": entry.device_name,
        "created_at": entry.created_at.replace(
            microsecond=entry.created_at.microsecond // 1000 * 1000
        ),
        "taskid": entry.pk,
        "Status": "Assigned",
        "success": None,
    }
    person = door.collection(NBC).find_one({"_id": ObjectId(entry.nbc.nbc_id)})
    assert person is not None
    assert person["imss"] == {"status": "p1", "rw_id": entry.rw_id}
    assert NbcRecord.objects.get().status == "p1"


# --- Each kind, through its life ------------------------------------------------------------------


def test_a_task_is_processing_while_it_is_posted_and_while_its_scraper_has_it(
    publisher: Publisher,
) -> None:
    pool()
    assigned()
    entry = posted()
    publish(publisher)
    assert task(entry)["Status"] == "Processing"
    assert entry.move(QueueEntry.Status.ACCEPTED, lease_token=None, lease_expires_at=None)
    publish(publisher)
    assert (task(entry)["Status"], task(entry)["success"]) == ("Processing", None)
    assert not {"Condition", "Message"} & task(entry).keys()


def test_a_task_that_ended_well_is_told_with_all_that_it_held(publisher: Publisher) -> None:
    (held,) = pool()
    assigned()
    publish(publisher)
    told = device(held)
    assert (told["available"], told["task_id"]) == (False, QueueEntry.objects.get().pk)
    assert told["current_task"] == QueueEntry.objects.get().curp
    assert told["task_start_time"] == in_mongo(reread(held).task_start_time)
    entry = accepted()
    assert settling.settle(entry, FOUND)
    publish(publisher)
    told = task(entry)
    assert (told["Status"], told["success"], told["Condition"]) == ("Complete", True, 1)
    assert told["Message"] == "found"
    work = document(WORKS, rw_id=entry.rw_id)
    assert (work["Status"], work["Condition"], work["Message"]) == ("Complete", 1, "found")
    assert work["f_date"].tzinfo and work["i_date"] <= work["f_date"]
    assert person(person_of(entry))["imss"] == {
        "status": "s",
        "rw_id": entry.rw_id,
        "message": "found",
    }
    told = device(held)
    assert told["available"] == True  # noqa: E712 - or 1, by the tests' own server
    assert not {"current_task", "task_id", "task_start_time"} & told.keys()
    assert told["updated_at"] == in_mongo(reread(held).updated_at)


def test_a_task_that_failed_leaves_no_success_and_a_person_who_waits(publisher: Publisher) -> None:
    pool()
    assigned()
    entry = accepted()
    publish(publisher)
    assert settling.settle(entry, Ending(4, "no luck", endings.Person.PENDING))
    publish(publisher)
    told = task(entry)
    assert (told["Status"], told["success"], told["Condition"]) == ("Complete", False, 4)
    assert person(person_of(entry))["imss"]["status"] == "pending"


@pytest.mark.parametrize("fleet", Fleet.values)
def test_a_device_is_told_to_the_collection_of_its_fleet(publisher: Publisher, fleet: str) -> None:
    row = DeviceFactory(fleet=fleet, device="D'1", online=False)
    publish(publisher)
    told = device(row)
    assert isinstance(told.pop("_id"), ObjectId)
    assert told == {
        "device": "D'1",
        "device_name": row.device_name,
        "process": row.process,
        "instance": row.instance,
        "online": False,
        "available": True,
        "updated_at": in_mongo(row.updated_at),
    }


def test_the_online_flag_of_a_device_that_is_there_stays_the_outsides(
    publisher: Publisher,
) -> None:
    row = DeviceFactory()
    mine = ObjectId()
    place = (MINI, row.fleet)
    door.collection(place).insert_one({"_id": mine, "device": row.device, "online": False})
    for available in (True, False):  # the second time its `_id` is known
        Device.objects.update(available=available)
        publish(publisher)
        told = device(row)
        assert (told["_id"], told["online"], told["available"]) == (mine, False, available)


def test_a_device_that_is_renamed_or_deleted_leaves_no_document(publisher: Publisher) -> None:
    row, other = DeviceFactory.create_batch(2)
    publish(publisher)
    Device.objects.filter(pk=row.pk).update(device="another")
    Device.objects.filter(pk=other.pk).delete()
    publish(publisher)
    names = [one["device"] for one in door.collection((MINI, row.fleet)).find()]
    assert names == ["another"]


def test_a_person_who_is_deleted_stays_in_mongo(publisher: Publisher) -> None:
    row = NbcRecordFactory()
    publish(publisher)
    row.delete()
    mark("nbc", [row.nbc_id])
    publish(publisher)
    assert person(row)["curp"] == row.curp


def test_a_generator_of_ours_is_told_and_one_of_mongos_only_named(publisher: Publisher) -> None:
    moment = timezone.now()
    pool()
    Generator.objects.filter(name="G_SISEC").update(last_update=moment, total_devices=3)
    Generator.objects.filter(name="G_IAD").update(worked_by=Generator.WorkedBy.MONGO)
    publish(publisher)
    assert document(GENERATORS, _id="G_SISEC") == {
        "_id": "G_SISEC",
        "generator_name": "G_SISEC",
        "instance": "SISEC",
        "status": "running",
        "available_devices": 0,
        "total_devices": 3,
        "available_capacity": 0,
        "current_active_tasks": 0,
        "last_update": in_mongo(moment),
    }
    theirs = {"status": "fallando", "total_devices": 7}
    door.collection(GENERATORS).update_one({"_id": "G_IAD"}, {"$set": theirs})
    Generator.objects.filter(name="G_IAD").update(short_name="other")
    publish(publisher)
    told = document(GENERATORS, _id="G_IAD")
    assert (told["status"], told["total_devices"], told["instance"]) == ("fallando", 7, "other")


# --- Values ---------------------------------------------------------------------------------------


def test_a_record_has_the_types_that_it_came_with(publisher: Publisher) -> None:
    other, moment = ObjectId(), datetime(2020, 2, 29, 12, tzinfo=UTC)
    data = {
        "alta": {"$date": "2020-02-29T12:00:00Z"},
        "seen": [{"by": {"$oid": str(other)}}, 2**40, 1.5, None],
        "imss": {"status": "old", "rw_id": "old", "since": 3},
        "_mirror": {"v": 2**61},
        "_id": "another",
    }
    pool()
    entry = assigned(data=data)
    row = person_of(entry)
    publish(publisher)
    told = person(row)
    assert told["_id"] == ObjectId(row.nbc_id)
    assert told["alta"] == moment and told["seen"] == [{"by": other}, 2**40, 1.5, None]
    assert told["imss"] == {"status": "p1", "rw_id": entry.rw_id, "since": 3}
    told = task(entry)["task_data"]
    assert (told["_id"], told["alta"]) == (ObjectId(row.nbc_id), moment)


def test_an_id_that_never_was_an_object_id_stays_a_text(publisher: Publisher) -> None:
    row = NbcRecordFactory(nbc_id="person-17")
    publish(publisher)
    assert person(row)["_id"] == "person-17"


def test_what_others_keep_in_a_persons_document_stays(publisher: Publisher) -> None:
    row = NbcRecordFactory(rw_id="IMSS_1")
    kept = {"_id": ObjectId(row.nbc_id), "curp": "theirs", "imss": {"rw_id": "x", "own": 1}}
    door.collection(NBC).insert_one(kept)
    publish(publisher)
    NbcRecord.objects.update(rw_id="")
    publish(publisher)
    told = person(row)
    assert told["curp"] == "theirs" and told["imss"] == {"own": 1, "status": "pending"}


# --- Twice, late, and at the same time ------------------------------------------------------------


def test_the_same_batch_twice_is_harmless(publisher: Publisher) -> None:
    pool(2)
    entry = assigned()
    changes = list(MirrorChange.objects.all())
    publish(publisher)
    first = [task(entry), person(person_of(entry)), document(WORKS, rw_id=entry.rw_id)]
    MirrorChange.objects.bulk_create(changes)
    publish(publisher)
    again = [task(entry), person(person_of(entry)), document(WORKS, rw_id=entry.rw_id)]
    assert first == again


def test_a_publisher_with_an_older_lease_changes_nothing(publisher: Publisher) -> None:
    row = NbcRecordFactory()
    publish(publisher)
    NbcRecord.objects.update(message="new")
    publish(Publisher(epoch=2))
    NbcRecord.objects.update(message="newer")
    with pytest.raises(Superseded):
        publisher.step()
    assert person(row)["imss"]["message"] == "new"
    assert open_changes().count() == 1
    publish(Publisher(epoch=3))
    assert person(row)["imss"]["message"] == "newer"


def test_a_publisher_whose_lease_has_passed_on_takes_nothing_off_the_outbox(
    publisher: Publisher,
) -> None:
    NbcRecordFactory()
    Lease.objects.create(name=LEASE, epoch=2)
    with pytest.raises(Superseded):
        publisher.step()
    assert open_changes().count() == 1


def test_a_late_write_does_not_undo_a_newer_one(publisher: Publisher) -> None:
    row = NbcRecordFactory(message="old")
    late = kinds.KINDS["nbc"].documents([row.nbc_id])
    publish(publisher)
    NbcRecord.objects.update(message="new")
    publish(Publisher(epoch=2))
    with pytest.raises(publishing.Newer):
        publishing.send(NBC, late, publisher.version, {})
    assert person(row)["imss"]["message"] == "new"


def test_two_publishers_under_one_lease_do_not_take_each_others_documents_for_their_own(
    publisher: Publisher,
) -> None:
    row = NbcRecordFactory()
    publish(publisher)
    second = Publisher(epoch=1)
    second.version = publisher.version - 5
    NbcRecord.objects.update(message="new")
    publish(second)
    assert person(row)["imss"]["message"] == "new"


def test_after_a_restored_database_the_next_lease_is_later_than_the_documents(
    publisher: Publisher,
) -> None:
    NbcRecordFactory()
    publish(Publisher(epoch=40))
    lease = Lease.acquire(LEASE, "one", timedelta(minutes=1))
    assert lease and lease.epoch == 1
    NbcRecord.objects.update(message="new")
    with pytest.raises(Superseded):
        publisher.step()
    assert not lease.renew(timedelta(minutes=1))
    Lease.objects.update(expires_at=None)
    lease = Lease.acquire(LEASE, "two", timedelta(minutes=1))
    assert lease and lease.epoch == 41
    publish(Publisher(lease.epoch))


def test_a_scrapers_complete_is_not_overwritten_by_a_task_that_lives_here(
    publisher: Publisher,
) -> None:
    pool()
    assigned()
    publish(publisher)
    place = (MINI, QueueEntry.objects.get().generator.queue_collection)
    theirs = {"Status": "Complete", "success": True, "Message": "done"}
    door.collection(place).update_one({}, {"$set": theirs})
    entry = accepted()
    publish(publisher)
    told = task(entry)
    assert (told["Status"], told["success"], told["Message"]) == ("Complete", True, "done")
    assert settling.settle(entry, FOUND)
    publish(publisher)
    assert task(entry)["Message"] == "found"


def test_a_task_of_an_old_worker_keeps_the_status_that_it_gave(publisher: Publisher) -> None:
    pool()
    Generator.objects.update(worked_by=Generator.WorkedBy.MONGO)
    entry = assigned()
    publish(publisher)
    assert (task(entry)["Status"], task(entry)["success"]) == ("Assigned", None)
    place = (MINI, entry.generator.queue_collection)
    door.collection(place).update_one({}, {"$set": {"Status": "Processing"}})
    QueueEntry.objects.update(message="any")
    publish(publisher)
    assert task(entry)["Status"] == "Processing"


def test_a_document_that_somebody_deleted_is_written_again(publisher: Publisher) -> None:
    row = NbcRecordFactory(rw_id="IMSS_1")
    publish(publisher)
    door.collection(NBC).delete_one({})
    NbcRecord.objects.update(message="new")
    publish(publisher)
    assert person(row)["imss"]["message"] == "new"


# --- What cannot be written -----------------------------------------------------------------------

POISON: dict[str, dict[str, Any]] = {
    "an integer over 64 bits": {"n": 2**70},
    "an ObjectId that is none": {"n": {"$oid": "zz"}},
    "a date that is none": {"n": {"$date": "yesterday"}},
    "a document that is too large": {"n": "x" * 17 * 2**20},
}


@pytest.mark.parametrize("what", POISON)
def test_a_person_who_cannot_be_written_is_set_aside_alone(publisher: Publisher, what: str) -> None:
    good = NbcRecordFactory()
    bad = NbcRecordFactory(data=POISON[what])
    last = NbcRecordFactory()
    publish(publisher)
    assert person(good) and person(last)
    (aside,) = MirrorChange.objects.all()
    assert (aside.key, bool(aside.error), bool(aside.set_aside_at)) == (bad.nbc_id, True, True)
    # A change more is no row more; mended, it goes through when it is tried again.
    NbcRecord.objects.filter(pk=bad.pk).update(message="new")
    publish(publisher)
    (aside,) = MirrorChange.objects.all()
    NbcRecord.objects.filter(pk=bad.pk).update(data={"n": 1})
    assert aside.retry("mended") and not aside.retry("mended")
    publish(publisher)
    assert not MirrorChange.objects.exists()
    assert person(bad)["n"] == 1


def test_a_document_that_the_server_refuses_is_set_aside_alone(publisher: Publisher) -> None:
    door.collection(NBC).create_index("curp", unique=True)
    good, bad = NbcRecordFactory.create_batch(2)
    door.collection(NBC).insert_one({"_id": "theirs", "curp": bad.curp})
    publish(publisher)
    assert person(good)
    (aside,) = MirrorChange.objects.all()
    assert aside.key == bad.nbc_id and aside.error
    door.collection(NBC).delete_one({"_id": "theirs"})
    NbcRecord.objects.filter(pk=bad.pk).update(message="news")
    publish(publisher)  # what went through is no longer set aside
    assert not MirrorChange.objects.exists()


@pytest.mark.skipif(not mongo.configured(), reason="the tests' own server takes it")
def test_a_field_that_cannot_hold_a_status_is_set_aside(publisher: Publisher) -> None:
    row = NbcRecordFactory()
    door.collection(NBC).insert_one({"_id": ObjectId(row.nbc_id), "imss": "a text"})
    publish(publisher)
    (aside,) = MirrorChange.objects.all()
    assert aside.error and aside.set_aside_at


def test_a_change_of_a_kind_that_nobody_knows_is_set_aside(publisher: Publisher) -> None:
    mark("of older code", ["1"])
    row = NbcRecordFactory()
    publish(publisher)
    assert person(row)
    (aside,) = MirrorChange.objects.all()
    assert aside.kind == "of older code" and aside.set_aside_at


class Refusing:
    """A server that refuses a whole command for one document of it."""

    def __init__(self, code: int) -> None:
        self.code = code
        self.taken: list[Any] = []

    def find(self, query: Any, fields: Any) -> list[Any]:
        return []

    def bulk_write(self, operations: list[Any], ordered: bool) -> Any:
        if any("bad" in one._doc["_id"] for one in operations):
            raise OperationFailure("no", self.code)
        self.taken += [one._doc["_id"] for one in operations]
        return type("Result", (), {"matched_count": 0})


def test_a_command_that_is_refused_for_one_document_is_sent_in_parts(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = Refusing(10334)
    monkeypatch.setattr(door, "collection", lambda place, read: server)
    for name in ("a", "b", "bad", "c", "d"):
        NbcRecordFactory(nbc_id=name)
    publish(publisher)
    assert sorted(server.taken) == ["a", "b", "c", "d"]
    assert [one.key for one in MirrorChange.objects.all()] == ["bad"]


def test_a_server_that_refuses_everything_for_now_sets_nothing_aside(
    publisher: Publisher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "collection", lambda place, read: Refusing(13))
    NbcRecordFactory(nbc_id="bad")
    with pytest.raises(PyMongoError):
        publisher.step()
    assert open_changes().count() == 1


def test_a_broken_document_of_somebody_else_is_in_nobodys_way(publisher: Publisher) -> None:
    row = DeviceFactory()
    place = (MINI, row.fleet)
    door.collection(place).insert_one({"device": [row.device, "other"]})
    door.collection(place).insert_one({"device": row.device, "_mirror": {"v": "x"}, "Status": []})
    publish(publisher)
    told = [one for one in door.collection(place).find() if one["device"] == row.device]
    assert [one["process"] for one in told] == [row.process]


# --- Mongo away -----------------------------------------------------------------------------------


def test_without_mongo_nothing_is_taken_off_the_outbox(
    publisher: Publisher, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    NbcRecordFactory()
    there = settings.MONGODB_URI
    monkeypatch.setattr(door, "NOTICED", 200)
    settings.MONGODB_URI = f"mongodb://127.0.0.1:{free_port()}/"
    with pytest.raises(PyMongoError):
        publisher.step()
    assert open_changes().count() == 1
    settings.MONGODB_URI = there
    publish(publisher)


@pytest.mark.skipif(bool(mongo.configured()), reason="it is not ours to kill")
def test_after_a_kill_of_the_server_all_that_changed_is_told(
    db: None, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A server is asked again half a second after it was found away, at the soonest.
    monkeypatch.setattr(door, "NOTICED", 2000)
    monkeypatch.setattr(publishing, "AT_ONCE", 10)
    with mongo.running() as server:
        settings.MONGODB_URI = server.uri
        MirrorState.switch(True)
        publisher = Publisher(epoch=1)
        rows = NbcRecordFactory.create_batch(40)
        assert publisher.step() == 10
        server.kill()
        NbcRecord.objects.update(message="meanwhile")
        with pytest.raises(PyMongoError):
            publish(publisher)
        assert open_changes().count() == 70
        server.start()
        publish(publisher)
        told = {one["_id"]: one["imss"]["message"] for one in door.collection(NBC).find()}
        assert told == {ObjectId(one.nbc_id): "meanwhile" for one in rows}
        assert RegistroWork.objects.count() == 0
