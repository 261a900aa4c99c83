"""Looking at what the outside wrote, and the people that are found there."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from bson import ObjectId
from pymongo import MongoClient

from orchestrator_site.models import Event
from queues.mirror import door, reading, retrying
from queues.mirror.incoming import people, refusing
from queues.mirror.kinds import NBC
from queues.mirror.publishing import Publisher
from queues.models import MirrorChange, MirrorState, NbcRecord, QueueEntry, SetAside
from queues.results import Report, take_in
from tests import distribution
from tests.factories import NbcRecordFactory
from tests.queues.mirror.outside import NOBODY, change, mirror, publish, put, seen

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Status = NbcRecord.Status


def curp(number: int = 0) -> str:
    """Another one for each number."""
    return str(NbcRecordFactory.build(__sequence=number).curp)


def set_aside() -> SetAside:
    return SetAside.objects.get()


# --- Each look ------------------------------------------------------------------------------------


def test_a_part_that_breaks_stops_no_other(
    mirrored: MongoClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken() -> int:
        raise ZeroDivisionError("of the test's own")

    put(NBC, curp=curp())
    monkeypatch.setattr(reading, "PARTS", [broken, *reading.PARTS])
    assert reading.step() == 1
    assert MirrorState.current().error == "broken: ZeroDivisionError: of the test's own"


def test_a_look_that_goes_well_says_when(mirrored: MongoClient[Any]) -> None:
    MirrorState.failed("before")
    assert reading.step() == 0
    state = MirrorState.current()
    assert (state.error, state.error_at) == ("", None)
    assert state.read_at is not None


def test_mongo_away_is_told_to_the_caller(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(door, "NOTICED", 100)
    settings.MONGODB_URI = NOBODY
    with pytest.raises(door.PyMongoError):
        reading.step()
    assert MirrorState.current().read_at is None


def test_what_is_taken_in_is_written_down_under_mongo(mirrored: MongoClient[Any]) -> None:
    put(NBC, curp=curp())
    reading.step()
    assert str(Event.objects.get(new=Status.PENDING).actor) == "mongo"


# --- New people -----------------------------------------------------------------------------------


def test_new_people_are_those_that_nobody_has_begun(
    mirrored: MongoClient[Any], publisher: Publisher
) -> None:
    waiting = [
        put(NBC, curp=curp(1)),
        put(NBC, curp=curp(2), imss={"status": "pending"}),
        put(NBC, curp=curp(3), imss={"status": ""}),
        put(NBC, curp=curp(4), imss={"status": None}),
        put(NBC, _id="a text", curp=curp(5), imss={}),
    ]
    for status in ("p1", "s", "nf", "RETRY_AFTER_MIDNIGHT"):
        put(NBC, curp=curp(6), imss={"status": status})
    assert mirror(publisher) == 5
    assert set(NbcRecord.objects.values_list("nbc_id", flat=True)) == set(map(str, waiting))
    assert seen(NBC, waiting[0])["imss"] == {"status": "pending"}
    assert mirror(publisher) == 0


def test_the_oldest_come_first_and_so_many_at_once(
    mirrored: MongoClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "AT_ONCE", 2)
    ids = sorted(put(NBC, curp=curp(number)) for number in range(5))
    for taken in (2, 2, 1, 0):
        # Nothing is published meanwhile: those taken in are not in the way of the others.
        assert reading.step() == taken
    rows = NbcRecord.objects.order_by("pk")
    assert [row.nbc_id for row in rows] == [str(one) for one in ids]


def test_a_person_is_told_of_once_while_nobody_publishes(mirrored: MongoClient[Any]) -> None:
    put(NBC, curp=curp())
    for _look in range(3):
        reading.step()
    assert MirrorChange.objects.filter(kind="nbc").count() == 1


def test_a_documents_values_keep_their_types(
    mirrored: MongoClient[Any], publisher: Publisher
) -> None:
    born = datetime(1990, 1, 1, tzinfo=UTC)
    other = ObjectId()
    put(NBC, curp=f" {curp().lower()} ", born=born, other=other, priority=7.0)
    reading.step()
    row = NbcRecord.objects.get()
    assert (row.curp, row.priority) == (curp(), 7)
    assert row.data["born"] == {"$date": "1990-01-01T00:00:00Z"}
    assert row.data["other"] == {"$oid": str(other)}


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no CURP": ({}, "missing"),
    "a CURP of another type": ({"curp": 7}, "must be a text"),
    "a CURP that is too short": ({"curp": "ABC"}, "18 characters"),
    "a wrong check digit": ({"curp": f"{curp()[:-1]}{(int(curp()[-1]) + 1) % 10}"}, "check digit"),
    "a priority that is none": ({"curp": curp(), "priority": "soon"}, "whole number"),
    "imss that is a text": ({"curp": curp(), "imss": "done"}, "its imss is no object"),
    "a NUL": ({"curp": curp(), "name": "Ana\0"}, "cannot be stored"),
    "a number as _id": ({"_id": 7, "curp": curp()}, "its _id is no ObjectId"),
    "a text like an ObjectId": ({"_id": "f" * 24, "curp": curp()}, "its _id is no ObjectId"),
    "an object as _id": ({"_id": {"a": 1}, "curp": curp()}, "its _id is no ObjectId"),
    "an endless _id": ({"_id": "x" * 300, "curp": curp()}, "its _id is no ObjectId"),
    "no end of bytes": ({"curp": curp(), "much": "x" * refusing.LARGEST}, "1048576"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_wrong_document_is_set_aside_and_delays_nobody(
    mirrored: MongoClient[Any], name: str
) -> None:
    document, reason = REFUSED[name]
    put(NBC, **document)
    put(NBC, curp=curp(1))
    assert reading.step() == 1
    assert NbcRecord.objects.get().curp == curp(1)
    aside = set_aside()
    assert reason in aside.reason
    assert aside.collection == "Nueva_Base_Central"
    assert reading.step() == 0
    assert set_aside().last_seen_at == aside.last_seen_at  # it was not read again


def test_a_document_that_is_set_aside_is_marked_as_such(mirrored: MongoClient[Any]) -> None:
    _id = put(NBC, curp="ABC")
    reading.step()
    aside = set_aside()
    assert seen(NBC, _id)["_mirror"] == {"refused": aside.reason}
    assert aside.is_marked
    assert str(_id) in aside.excerpt


def test_tried_again_a_mended_document_is_taken_in(mirrored: MongoClient[Any]) -> None:
    _id = put(NBC, curp="ABC")
    reading.step()
    change(NBC, _id, curp=curp())
    assert reading.step() == 0
    assert retrying.read_again(set_aside(), "mended")
    assert reading.step() == 1
    assert not SetAside.objects.exists()


def test_large_ones_are_written_in_portions(
    mirrored: MongoClient[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(people, "HELD", 100)
    for number in range(3):
        put(NBC, curp=curp(number), name="Ana" * 50)
    assert reading.step() == 3


# --- Returned people ------------------------------------------------------------------------------


@pytest.fixture
def person(publisher: Publisher) -> NbcRecord:
    distribution.pool()
    distribution.assigned()
    entry = distribution.accepted()
    assert take_in(entry.document_id, Report(1))
    publish(publisher)
    return NbcRecord.objects.get()


def put_back(row: NbcRecord, **values: Any) -> None:
    change(NBC, ObjectId(row.nbc_id), **{"imss.status": "pending", **values})


def test_a_person_put_back_is_looked_up_again(publisher: Publisher, person: NbcRecord) -> None:
    put_back(person, nombre="Eva Inventada", curp=curp(99))
    assert mirror(publisher) == 1
    person = NbcRecord.objects.get()
    assert (person.status, person.attempts, person.curp) == (Status.PENDING, 0, curp(99))
    assert person.data["nombre"] == "Eva Inventada"
    assert seen(NBC, ObjectId(person.nbc_id))["_mirror"]["status"] == "pending"
    assert mirror(publisher) == 0


def test_a_person_put_back_without_a_curp_is_set_aside(
    publisher: Publisher, person: NbcRecord
) -> None:
    put_back(person, curp="ABC")
    assert mirror(publisher) == 0
    assert NbcRecord.objects.get().status == Status.FOUND
    aside = set_aside()
    assert mirror(publisher) == 0
    assert set_aside().last_seen_at == aside.last_seen_at


def test_news_of_ours_is_no_return(publisher: Publisher, person: NbcRecord) -> None:
    person.come_back("again")
    publish(publisher)
    distribution.come_due()
    person.refresh_from_db()
    assert person.move(Status.CANCELLED, "not any more")
    # Mongo still says `pending`: that is what we said before.
    assert reading.step() == 0
    assert NbcRecord.objects.get().status == Status.CANCELLED


def test_a_person_under_way_is_written_back(publisher: Publisher) -> None:
    distribution.pool()
    entry = distribution.assigned()
    publish(publisher)
    put_back(entry.nbc)
    assert mirror(publisher) == 0
    told = seen(NBC, ObjectId(entry.nbc.nbc_id))["imss"]
    assert told == {"status": "p1", "rw_id": entry.rw_id}


def test_a_person_who_waits_for_midnight_need_not(publisher: Publisher) -> None:
    distribution.pool()
    distribution.assigned()
    entry = distribution.accepted()
    take_in(entry.document_id, Report(4, "El correo ya fue modificado durante el dia"))
    publish(publisher)
    row = NbcRecord.objects.get()
    assert row.status == Status.AFTER_MIDNIGHT
    put_back(row)
    assert mirror(publisher) == 1
    assert NbcRecord.objects.get().status == Status.PENDING


def test_a_person_whose_row_is_no_more_comes_back_as_new(
    publisher: Publisher, person: NbcRecord
) -> None:
    QueueEntry.objects.all().delete()
    person.delete()
    publish(publisher)
    put_back(person)
    assert sum(mirror(publisher) for _look in range(2)) == 1
    assert NbcRecord.objects.get().nbc_id == person.nbc_id
