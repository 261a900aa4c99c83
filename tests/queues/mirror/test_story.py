"""An old scraper and the application side by side: the one knows only Mongo, and has never heard
of the other."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from django.conf import settings
from pymongo import MongoClient, ReturnDocument

from brain import assigning
from devices.models import Device, PersonWindow
from queues.mirror.publishing import Publisher
from queues.models import NbcRecord, QueueEntry, RegistroWork
from tests.distribution import accepted, come_due, generators, pool, reread
from tests.factories import NbcRecordFactory
from tests.queues.mirror.outside import mirror, work_from_mongo

pytestmark = [pytest.mark.django_db, pytest.mark.database]
DEVICE = {
    "device": "SISEC-OM-001",
    "device_name": "SISEC Test Device 1",
    "process": "SISEC",
    "instance": "SISEC-OM",
    "online": True,
    "available": True,
}
HELD = ("current_task", "task_id", "task_start_time")


class OldScraper:
    """G_SISEC as it always was: it takes what is assigned, writes how it ended, frees nothing."""

    def __init__(self, client: MongoClient[Any]) -> None:
        mini = client[settings.MONGODB_DATABASES["mini"]]
        main = client[settings.MONGODB_DATABASES["main"]]
        self.queue, self.devices = mini["imss_queue_sisec"], mini["dev_devices"]
        self.generators = mini["imss_generators"]
        self.people, self.works = main["Nueva_Base_Central"], main["Registro_works"]

    def add_device(self) -> None:
        self.devices.insert_one({**DEVICE, "updated_at": datetime.now(UTC)})

    def add_person(self, curp: str) -> ObjectId:
        person = {"_id": ObjectId(), "curp": curp, "nombre": "Ana Inventada"}
        self.people.insert_one(person)
        return person["_id"]

    def take(self) -> dict[str, Any] | None:
        """Another worker cannot take the same."""
        found = self.queue.find_one_and_update(
            {"Status": "Assigned"},
            {"$set": {"Status": "Processing"}},
            sort=[("created_at", 1)],
            return_document=ReturnDocument.AFTER,
        )
        return dict(found) if found else None

    def finish(self, task: Mapping[str, Any], condition: int, message: str) -> None:
        ending = {
            "Status": "Complete",
            "success": condition != 4,
            "Condition": condition,
            "Message": message,
        }
        self.queue.update_one({"_id": task["_id"]}, {"$set": ending})

    def device(self) -> dict[str, Any]:
        return dict(self.devices.find_one({"device": DEVICE["device"]}) or {})

    def person(self, nbc_id: Any) -> dict[str, Any]:
        return dict(self.people.find_one({"_id": nbc_id}) or {})

    def task(self, _id: Any) -> dict[str, Any]:
        return dict(self.queue.find_one({"_id": _id}) or {})

    def work(self, rw_id: str) -> dict[str, Any]:
        return dict(self.works.find_one({"rw_id": rw_id}) or {})


@pytest.fixture
def scraper(mirrored: MongoClient[Any]) -> OldScraper:
    generators()
    return OldScraper(mirrored)


@pytest.fixture
def curp() -> str:
    return str(NbcRecordFactory.build().curp)


def distribute(publisher: Publisher) -> None:
    come_due()
    assert len(assigning.run_round().decisions) == 1
    mirror(publisher)


def assert_free(device: Mapping[str, Any]) -> None:
    assert device["available"]
    assert not set(HELD) & set(device)


def test_a_person_is_looked_up_by_a_scraper_that_knows_only_mongo(
    scraper: OldScraper, publisher: Publisher, curp: str
) -> None:
    work_from_mongo()
    scraper.add_device()
    nbc_id = scraper.add_person(curp)
    mirror(publisher)
    assert (Device.objects.count(), NbcRecord.objects.get().nbc_id) == (1, str(nbc_id))
    assert scraper.person(nbc_id)["imss"] == {"status": "pending"}

    distribute(publisher)
    task = scraper.take()
    assert task is not None
    assert scraper.take() is None
    assert (task["curp"], task["nbc_id"], task["device"]) == (curp, nbc_id, DEVICE["device"])
    assert task["task_data"]["nombre"] == "Ana Inventada"
    assert isinstance(task["taskid"], int)
    assert scraper.person(nbc_id)["imss"] == {"status": "p1", "rw_id": task["rw_id"]}
    device = scraper.device()
    assert not device["available"]
    assert (device["current_task"], device["task_id"]) == (curp, task["taskid"])

    mirror(publisher)
    entry = QueueEntry.objects.get()
    assert entry.status == QueueEntry.Status.ACCEPTED
    assert scraper.task(task["_id"])["Status"] == "Processing"

    scraper.finish(task, 1, "Semanas encontradas")
    mirror(publisher)
    assert_is_found(scraper, task)
    assert mirror(publisher) == 0


def assert_is_found(scraper: OldScraper, task: Mapping[str, Any]) -> None:
    """On both sides."""
    entry = QueueEntry.objects.get(document_id=str(task["_id"]))
    assert (entry.status, entry.success, entry.condition) == ("Complete", True, 1)
    assert Device.objects.get().available
    assert NbcRecord.objects.get().status == NbcRecord.Status.FOUND
    record = RegistroWork.objects.get()
    assert (record.status, record.condition) == ("Complete", 1)

    assert_free(scraper.device())
    imss = scraper.person(task["nbc_id"])["imss"]
    assert (imss["status"], imss["rw_id"]) == ("s", task["rw_id"])
    work = scraper.work(task["rw_id"])
    assert (work["Status"], work["Condition"]) == ("Complete", 1)
    assert work["Message"] == "Semanas encontradas"
    assert work["f_date"] is not None
    told = scraper.task(task["_id"])
    assert (told["Status"], told["Condition"]) == ("Complete", 1)
    assert told["success"]


def test_a_scraper_writes_its_result_after_our_call(
    scraper: OldScraper, publisher: Publisher, curp: str
) -> None:
    scraper.add_device()
    scraper.add_person(curp)
    pool(0)
    mirror(publisher)
    distribute(publisher)
    entry = accepted()  # our worker's call, and the scraper's answer to it
    mirror(publisher)
    assert scraper.take() is None  # nobody else may take what is ours
    task = scraper.task(ObjectId(entry.document_id))
    assert task["Status"] == "Processing"

    scraper.finish(task, 1, "Semanas encontradas")
    mirror(publisher)
    assert_is_found(scraper, task)


def test_a_scraper_that_failed_gives_the_person_another_try(
    scraper: OldScraper, publisher: Publisher, curp: str
) -> None:
    work_from_mongo()
    scraper.add_device()
    nbc_id = scraper.add_person(curp)
    mirror(publisher)
    distribute(publisher)
    first = scraper.take()
    assert first is not None

    scraper.finish(first, 4, "the scraper is busy")
    mirror(publisher)
    assert_free(scraper.device())
    assert scraper.person(nbc_id)["imss"]["status"] == "pending"
    work = scraper.work(first["rw_id"])
    assert (work["Status"], work["Condition"]) == ("Complete", 4)
    told = scraper.task(first["_id"])
    assert not told["success"]
    assert told["Message"] == "the scraper is busy"

    distribute(publisher)
    second = scraper.take()
    assert second is not None
    assert (second["nbc_id"], second["_id"] == first["_id"]) == (nbc_id, False)
    assert second["rw_id"] != first["rw_id"]
    scraper.finish(second, 2, "Acuda a su subdelegación")
    mirror(publisher)
    assert scraper.person(nbc_id)["imss"]["status"] == "subdelegacion"
    assert scraper.work(first["rw_id"])["Condition"] == 4
    assert scraper.work(second["rw_id"])["Condition"] == 2


def test_a_person_put_back_is_looked_up_once_more(
    scraper: OldScraper, publisher: Publisher, curp: str
) -> None:
    work_from_mongo()
    scraper.add_device()
    nbc_id = scraper.add_person(curp)
    mirror(publisher)
    distribute(publisher)
    first = scraper.take()
    assert first is not None
    scraper.finish(first, 3, "sin datos")
    mirror(publisher)
    assert scraper.person(nbc_id)["imss"]["status"] == "nf"

    scraper.people.update_one({"_id": nbc_id}, {"$set": {"imss.status": "pending"}})
    mirror(publisher)
    row = NbcRecord.objects.get()
    assert (row.status, row.attempts) == (NbcRecord.Status.PENDING, 0)
    reopen_window()
    distribute(publisher)
    second = scraper.take()
    assert second is not None
    scraper.finish(second, 1, "Semanas encontradas")
    mirror(publisher)
    assert scraper.person(nbc_id)["imss"]["status"] == "s"
    assert reread(row).status == NbcRecord.Status.FOUND


def reopen_window() -> None:
    """The person has rested."""
    PersonWindow.objects.update(until=datetime(2020, 1, 1, tzinfo=UTC))
