"""Comparing both sides: what differs is found, and what is on its way is no difference."""

from __future__ import annotations

from typing import Any

import pytest
from bson import ObjectId
from django.utils import timezone
from pymongo import MongoClient

from devices.models import Device
from queues.mirror import door, reading
from queues.mirror.kinds import MINI, NBC
from queues.mirror.publishing import Publisher
from queues.mirror.session import mark_all
from queues.mirror.verifying import Comparison, Difference, differences
from queues.models import MirrorChange, MirrorState, NbcRecord, QueueEntry, RegistroWork, SetAside
from tests.distribution import assigned, pool
from tests.factories import NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def entry(publisher: Publisher) -> QueueEntry:
    """An assignment that both sides have."""
    pool(2)
    entry = assigned()
    tell_all(publisher)
    return QueueEntry.objects.select_related("generator", "nbc").get(pk=entry.pk)


def tell_all(publisher: Publisher) -> None:
    """A first contact: the configuration's document is written once it was looked for."""
    reading.step()
    mark_all(lambda: False)
    publish(publisher)


def publish(publisher: Publisher) -> None:
    while publisher.step():
        pass


def found() -> tuple[list[tuple[str, str]], Comparison]:
    """Kind and field of each difference."""
    result = Comparison()
    return [(one.kind, one.field) for one in differences(result)], result


def queue_of(entry: QueueEntry) -> Any:
    return door.collection((MINI, entry.generator.queue_collection))


def unseen(**changes: Any) -> None:
    """The person changes, and nobody writes it down."""
    MirrorState.switch(False)
    NbcRecord.objects.update(**changes)
    MirrorState.switch(True)


def test_both_sides_alike_have_no_difference(entry: QueueEntry) -> None:
    unlike, result = found()
    assert unlike == []
    assert {"nbc": 1, "queue": 1, "work": 1, "device": 2}.items() <= result.compared.items()
    assert result.differences == result.waiting.total() == 0


def test_dates_are_compared_as_mongo_keeps_them(entry: QueueEntry) -> None:
    moment = timezone.now().replace(microsecond=123_456)
    RegistroWork.objects.update(f_date=moment)
    publish(Publisher(epoch=2))
    assert list(differences(Comparison())) == []


def test_a_field_that_differs_is_told_with_both_values(entry: QueueEntry) -> None:
    unseen(message="ours")
    one = {"_id": ObjectId(entry.nbc.nbc_id)}
    door.collection(NBC).update_one(one, {"$set": {"imss.message": "theirs"}})
    (difference,) = differences(Comparison())
    nbc_id = entry.nbc.nbc_id
    assert difference == Difference("nbc", nbc_id, "imss.message", '"ours"', '"theirs"')


def test_what_is_unset_here_must_not_be_null_there(entry: QueueEntry) -> None:
    queue_of(entry).update_one({"_id": ObjectId(entry.document_id)}, {"$set": {"Condition": None}})
    (difference,) = differences(Comparison())
    assert (difference.field, difference.here, difference.there) == ("Condition", "", "null")


def test_what_belongs_to_the_outside_is_not_compared(entry: QueueEntry) -> None:
    more = {"$set": {"task_data": {}, "screenshot": "x"}}
    queue_of(entry).update_one({"_id": ObjectId(entry.document_id)}, more)
    for device in Device.objects.all():
        place = (MINI, device.fleet)
        door.collection(place).update_one({"device": device.device}, {"$set": {"online": False}})
    assert found()[0] == []


def test_a_document_that_is_missing_is_told(entry: QueueEntry) -> None:
    queue_of(entry).delete_one({"_id": ObjectId(entry.document_id)})
    (difference,) = differences(Comparison())
    told = (difference.kind, difference.key, difference.field, difference.there)
    assert told == ("queue", entry.document_id, "", "missing")


def test_what_waits_to_be_published_is_no_difference(entry: QueueEntry) -> None:
    NbcRecordFactory()
    unlike, result = found()
    assert (unlike, result.waiting["nbc"]) == ([], 1)


def test_what_was_set_aside_here_is_a_difference(entry: QueueEntry) -> None:
    NbcRecordFactory()
    MirrorChange.objects.update(set_aside_at=timezone.now())
    assert found()[0] == [("nbc", "")]


def test_a_result_that_was_not_read_yet_is_no_difference(entry: QueueEntry) -> None:
    ended = {"$set": {"Status": "Complete", "success": True}}
    queue_of(entry).update_one({"_id": ObjectId(entry.document_id)}, ended)
    unlike, result = found()
    assert (unlike, result.waiting["queue"]) == ([], 1)


def test_a_document_without_a_row_is_listed(entry: QueueEntry) -> None:
    stranger = queue_of(entry).insert_one({"Status": "Assigned"}).inserted_id
    (difference,) = differences(Comparison())
    told = (difference.kind, difference.key, difference.here)
    assert told == ("queue", f"{entry.generator.queue_collection} {stranger}", "missing")


def test_a_document_that_outlived_its_row_is_no_difference(publisher: Publisher) -> None:
    row = NbcRecordFactory()
    tell_all(publisher)
    row.delete()
    publish(publisher)
    unlike, result = found()
    assert (unlike, result.outlived["nbc"]) == ([], 1)


def test_a_document_that_was_set_aside_is_counted(mirrored: MongoClient[Any]) -> None:
    strange = door.collection(NBC).insert_one({"curp": "?"}).inserted_id
    SetAside.note(NBC[1], f'{{"_id": {{"$oid": "{strange}"}}}}', "no CURP")
    result = Comparison()
    assert [one for one in differences(result) if one.kind == "nbc"] == []
    assert result.set_aside == {NBC[1]: 1}


def test_the_works_of_others_are_no_business_of_ours(entry: QueueEntry) -> None:
    door.collection(("main", "Registro_works")).insert_one({"rw_id": "INFONAVIT_1"})
    assert found()[0] == []
