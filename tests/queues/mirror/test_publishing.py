"""What Mongo is told: each change once, in the documents' own words."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from queues.mirror import door
from queues.mirror.kinds import MINI, NBC
from queues.mirror.publishing import Publisher
from queues.models import MirrorChange, NbcRecord, QueueEntry
from tests.distribution import assigned, pool

pytestmark = [pytest.mark.django_db, pytest.mark.database]


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
