"""Changes told to Mongo by the publisher, against a bare `bulk_write` of the same documents.

A quarter each of people, work records, tasks and devices. Devices are there already; the others
are new first, then all are changed. Both sides write to the same server, in turns, each a thousand
documents at a time.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

from django.utils import timezone
from pymongo import InsertOne, UpdateOne

from devices.models import Device
from queues.mirror import door
from queues.mirror.kinds import MAIN, MINI
from queues.mirror.publishing import Publisher
from queues.models import (
    Generator,
    MirrorChange,
    MirrorState,
    NbcRecord,
    QueueEntry,
    RegistroWork,
)
from tests import mongo
from tests.bench.support import inside, people, tasks
from tests.bench.support.figure import Figure, Target, compared

ROWS, RUNS = 20_000, 5
QUICK_ROWS, QUICK_RUNS = 2000, 3
TARGET = Target("ratio", ">=", 0.7)
BARE = "_bare"  # what the other side's databases end in
ENDED = {"status": "Complete", "success": True, "condition": 1}
Document = dict[str, Any]
Documents = Mapping[tuple[str, str], list[Document]]


def run(quick: bool) -> list[Figure]:
    with inside.on_postgresql() as environment, mongo.running() as server:
        environment = {**environment, "MONGODB_URI": mongo.configured() or server.uri}
        return inside.call(__name__, "measured", quick, environment=environment)


def measured(quick: bool) -> list[Figure]:
    rows, times = (QUICK_ROWS, QUICK_RUNS) if quick else (ROWS, RUNS)
    MirrorState.switch(True)
    publisher = Publisher(epoch=1)
    runs = [_run(publisher, rows) for _time in range(times)]
    return [
        compared(
            f"mirror_publish.{what}",
            [count / one[what, "ours"] for one in runs],
            [count / one[what, "bare"] for one in runs],
            "documents/s",
            TARGET,
            f"{count:,} rows",
        )
        for what, count in (("inserted", rows * 3 // 4), ("changed", rows))
    ]


def _run(publisher: Publisher, rows: int) -> dict[tuple[str, str], float]:
    """Seconds of either side."""
    _nothing()
    generator = Generator.objects.get(name="G_SISEC")
    people.add_devices(generator, rows // 4)
    _in_turns(publisher, _insert)
    _make(generator, rows // 4)
    new = _in_turns(publisher, _insert)
    _change()
    changed = _in_turns(publisher, _update)
    assert [new.pop("rows"), changed.pop("rows")] == [rows * 3 // 4, rows]
    return {
        (what, side): seconds
        for what, told in (("inserted", new), ("changed", changed))
        for side, seconds in told.items()
    }


def _in_turns(publisher: Publisher, operation: Callable[[Document], Any]) -> dict[str, float]:
    """Seconds of either side, each writing what the other one wrote just before."""
    told: dict[str, float] = {"rows": 0, "ours": 0, "bare": 0}
    tasks.settle()
    while True:
        began = time.perf_counter()
        done = publisher.step()
        took = time.perf_counter() - began
        if not done:
            assert not MirrorChange.objects.exists()
            return told
        told["rows"] += done
        told["ours"] += took
        told["bare"] += _bare(_written(publisher.version), operation)


# --- Rows -----------------------------------------------------------------------------------------


def _nothing() -> None:
    people.nobody()
    MirrorChange.objects.all().delete()
    for database in (MINI, MAIN):
        name = door.collection((database, "any")).database.name
        for one in (name, name + BARE):
            door.client().drop_database(one)


def _make(generator: Generator, each: int) -> None:
    people.add(each)
    moment = timezone.now()
    persons = list(NbcRecord.objects.order_by("pk"))
    devices = Device.objects.order_by("pk").values_list("device", flat=True)
    named = [(one, device, f"IMSS_{one.nbc_id}_1") for one, device in zip(persons, devices)]  # noqa: B905
    RegistroWork.objects.bulk_create(
        [RegistroWork(rw_id=rw_id, nbc=one, i_date=moment) for one, _device, rw_id in named],
        batch_size=tasks.BATCH,
    )
    QueueEntry.objects.bulk_create(
        [
            QueueEntry(
                generator=generator,
                nbc=one,
                curp=one.curp,
                task_data=one.data,
                rw_id=rw_id,
                device=device,
                device_name=f"Device {device}",
            )
            for one, device, rw_id in named
        ],
        batch_size=tasks.BATCH,
    )


def _change() -> None:
    moment = timezone.now()
    NbcRecord.objects.update(status="p1", rw_id="IMSS_1_1")
    RegistroWork.objects.update(condition=1, message="found", f_date=moment)
    QueueEntry.objects.update(**ENDED, message="found", processed_at=moment)
    Device.objects.update(available=False, current_task="any", updated_at=moment)


# --- The bare side --------------------------------------------------------------------------------


def _bare(documents: Documents, operation: Callable[[Document], Any]) -> float:
    ready = {place: [operation(one) for one in all_of] for place, all_of in documents.items()}
    began = time.perf_counter()
    for (database, name), operations in ready.items():
        door.client()[database + BARE][name].bulk_write(operations, ordered=False)
    return time.perf_counter() - began


def _written(version: int) -> Documents:
    """What the publisher wrote last, by database and collection."""
    found: dict[tuple[str, str], list[Document]] = {}
    for database in (door.collection((one, "any")).database for one in (MINI, MAIN)):
        for name in database.list_collection_names():
            if documents := list(database[name].find({"_mirror.v": version})):
                found[database.name, name] = documents
    return found


def _insert(document: Document) -> InsertOne[Any]:
    return InsertOne(document)


def _update(document: Document) -> UpdateOne:
    """The fields that a change writes: not those of the outside."""
    outside = {"_id", "task_data", "online", *(("curp",) if "imss" in document else ())}
    owned = {name: value for name, value in document.items() if name not in outside}
    return UpdateOne({"_id": document["_id"]}, {"$set": owned})
