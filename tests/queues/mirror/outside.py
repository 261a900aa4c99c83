"""Mongo as those see it who know nothing else, for the tests of the mirror."""

from __future__ import annotations

from typing import Any

from bson import ObjectId

from queues.mirror import door, reading
from queues.mirror.kinds import MINI, NBC, WORKS, Place
from queues.mirror.publishing import Publisher
from queues.models import Generator, QueueEntry

SISEC: Place = (MINI, "imss_queue_sisec")
DEV_DEVICES: Place = (MINI, "dev_devices")
NOBODY = "mongodb://127.0.0.1:9/"


def put(place: Place, **document: Any) -> Any:
    """A document of somebody else's; returns its `_id`."""
    return door.collection(place).insert_one({"_id": ObjectId(), **document}).inserted_id


def change(place: Place, _id: Any, unset: str = "", **values: Any) -> None:
    """Written as a whole: the tests' own server keeps the types of what is put there so, while
    it makes a number of a flag and a text of a date that are `$set`."""
    document = seen(place, _id)
    for path, value in values.items():
        parent, _dot, name = path.rpartition(".")
        (document[parent] if parent else document)[name] = value
    document.pop(unset, None)
    door.collection(place).replace_one({"_id": _id}, document)


def seen(place: Place, _id: Any) -> dict[str, Any]:
    found = door.collection(place).find_one({"_id": _id})
    assert found is not None
    return dict(found)


def task_of(entry: QueueEntry) -> dict[str, Any]:
    return seen(SISEC, ObjectId(entry.document_id))


def change_task(entry: QueueEntry, **values: Any) -> None:
    change(SISEC, ObjectId(entry.document_id), **values)


def person_of(entry: QueueEntry) -> dict[str, Any]:
    return seen(NBC, ObjectId(entry.nbc.nbc_id))


def work_of(entry: QueueEntry) -> dict[str, Any]:
    found = door.collection(WORKS).find_one({"rw_id": entry.rw_id})
    assert found is not None
    return dict(found)


def device_of(entry: QueueEntry) -> dict[str, Any]:
    found = door.collection(DEV_DEVICES).find_one({"device": entry.device})
    assert found is not None
    return dict(found)


def publish(publisher: Publisher) -> None:
    while publisher.step():
        pass


def mirror(publisher: Publisher) -> int:
    """Both ways, until nothing is left to tell; returns how much was taken in."""
    publish(publisher)
    taken = reading.step()
    publish(publisher)
    return taken


def work_from_mongo(name: str = "G_SISEC") -> None:
    Generator.objects.filter(name=name).update(worked_by=Generator.WorkedBy.MONGO)
