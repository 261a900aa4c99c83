"""Mongo away, killed, and heard in part: both sides come to say the same, and nothing counts
twice."""

from __future__ import annotations

import contextlib
import os
import threading
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from typing import Any

import bson
import pytest
from bson import ObjectId
from bson.codec_options import CodecOptions
from django.db import connections
from pymongo import MongoClient

from brain import assigning
from orchestrator_site.models import Event
from queues import claims, results
from queues.mirror import door, reading
from queues.mirror.kinds import KINDS, MINI, NBC, WORKS, Document, Place
from queues.mirror.publishing import Publisher
from queues.models import MirrorChange, MirrorState, NbcRecord, QueueEntry, SetAside
from queues.results import Report
from tests import faulty, mongo
from tests.distribution import TTL, pool
from tests.factories import NbcRecordFactory
from tests.faulty import Fault, Proxy
from tests.mongo import Server

pytestmark = [pytest.mark.long, pytest.mark.django_db, pytest.mark.database]
SOON = 10.0  # seconds until both sides agree
STEP = 1.2  # seconds for an answer of Mongo's
MANY = 200  # people whose documents are written at once
UTC_DATES: CodecOptions[Any] = CodecOptions(tz_aware=True)
Status = QueueEntry.Status


@pytest.fixture(scope="module")
def own_server() -> Iterator[Server]:
    """One that may be killed."""
    try:
        with mongo.running() as server:
            yield server
    except FileNotFoundError:
        if os.environ.get("CI"):
            raise
        pytest.skip("MISSING nx-27017: run make test")


@pytest.fixture
def server(own_server: Server) -> Server:
    if own_server.process is None:
        own_server.start()
    return own_server


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    with faulty.between(server.port) as proxy:
        yield proxy


@pytest.fixture
def publisher(
    db: None, proxy: Proxy, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Publisher]:
    """The mirror on, by way of the proxy, and little patience."""
    mark = uuid.uuid4().hex[:12]
    monkeypatch.setattr(door, "NOTICED", 700)
    monkeypatch.setattr(door, "LONGEST", int(STEP * 1000))
    settings.MONGODB_URI = proxy.uri
    settings.MONGODB_DATABASES = {"mini": f"mini_{mark}", "main": f"main_{mark}"}
    MirrorState.switch(True)
    yield Publisher(epoch=1)
    door.client().close()


# --- What goes on meanwhile -----------------------------------------------------------------------


def assign(count: int) -> list[QueueEntry]:
    NbcRecordFactory.create_batch(count)
    decisions = assigning.run_round().decisions
    assert len(decisions) == count
    return list(QueueEntry.objects.filter(pk__in=[one.entry_id for one in decisions]))


def call(entries: list[QueueEntry]) -> None:
    """Their scrapers have them."""
    now = claims.DatabaseNow()
    rows = QueueEntry.objects.filter(pk__in=[one.pk for one in entries])
    taken = rows.take("w1", TTL, len(entries))
    begun = claims.begin_irrevocable_all(taken, called_at=now, result_due_at=now)
    assert len(begun) == len(entries)


def finish(entries: list[QueueEntry]) -> None:
    call(entries)
    for entry in entries:
        assert results.take_in(entry.document_id, Report(1, "Trabajador localizado"))


def write_results(server: Server, entries: list[QueueEntry]) -> None:
    """An old scraper's: into Mongo, by a connection in which nothing goes wrong."""
    with MongoClient[dict[str, Any]](server.uri) as client:
        mini = client[door.settings.MONGODB_DATABASES[MINI]]
        for entry in entries:
            told = {"Status": "Complete", "success": True, "Message": "ok", "Condition": 1}
            queue = mini[entry.generator.queue_collection]
            queue.update_one({"_id": ObjectId(entry.document_id)}, {"$set": told})


def add_people(server: Server, curps: list[str]) -> None:
    with MongoClient[dict[str, Any]](server.uri) as client:
        database, name = NBC
        people = client[door.settings.MONGODB_DATABASES[database]][name]
        people.insert_many([{"curp": curp, "imss": {"status": "pending"}} for curp in curps])


# --- What both sides say --------------------------------------------------------------------------


def passed(publisher: Publisher) -> bool:
    """Publish and read once; False: there was nothing to do."""
    published, taken = publisher.step(), reading.step()
    return bool(published or taken or MirrorChange.objects.filter(set_aside_at=None).exists())


def converge(publisher: Publisher) -> None:
    until = time.monotonic() + SOON
    error = None
    while time.monotonic() < until:
        try:
            if not passed(publisher):
                return
        except door.PyMongoError as failed:
            error = failed
    left = list(MirrorChange.objects.values_list("kind", "key", "error"))
    pytest.fail(f"no agreement after {SOON} s; still to be told: {left}; {error}")


def differences() -> list[str]:
    """What Mongo says otherwise than the rows, has not, or has besides."""
    told: dict[Place, list[Document]] = {}
    for kind in KINDS.values():
        for document in kind.documents(list(kind.all_keys())).values():
            told.setdefault(document.place, []).append(document)
    return [wrong for place, documents in told.items() for wrong in _differing(place, documents)]


def _differing(place: Place, documents: list[Document]) -> Iterator[str]:
    there = list(door.collection(place).find())
    for document in documents:
        name, value = document.match
        found = [one for one in there if one.get(name) == value]
        if len(found) != 1:
            yield f"{place[1]} {value}: {len(found)} documents"
            continue
        for path, here in document.owned.items():
            if (says := _at(found[0], path)) != _as_kept(here):
                yield f"{place[1]} {value} {path}: {here!r} here, {says!r} there"
    if len(there) != len(documents):
        yield f"{place[1]}: {len(documents)} rows, {len(there)} documents"


def _at(document: Any, path: str) -> Any:
    for name in path.split("."):
        document = document.get(name, None) if isinstance(document, dict) else None
    return document


def _as_kept(value: Any) -> Any:
    """With the precision of Mongo's dates."""
    return bson.decode(bson.encode({"value": value}), UTC_DATES)["value"]


def assert_same() -> None:
    assert differences() == []
    assert not MirrorChange.objects.exists()
    assert not SetAside.objects.exists()


def assert_each_ended_once(entries: list[QueueEntry]) -> None:
    ends = Event.objects.filter(object_type="queues.queueentry", new=Status.COMPLETE)
    assert Counter(ends.values_list("object_id", flat=True)) == Counter(
        str(entry.pk) for entry in entries
    )
    people = NbcRecord.objects.filter(pk__in=[entry.nbc_id for entry in entries])
    assert set(people.values_list("status", "attempts")) == {("s", 1)}


# --- Telling Mongo --------------------------------------------------------------------------------


def test_the_comparison_sees_what_differs(publisher: Publisher) -> None:
    pool(2)
    first, second = assign(2)
    converge(publisher)
    assert_same()
    queue = door.collection((MINI, first.generator.queue_collection))
    queue.update_one({"_id": ObjectId(first.document_id)}, {"$set": {"device": "another"}})
    queue.delete_one({"_id": ObjectId(second.document_id)})
    door.collection(WORKS).insert_one({"rw_id": first.rw_id})
    wrong = " ".join(differences())
    assert "device: " in wrong
    assert f"{second.document_id}: 0 documents" in wrong
    assert f"{first.rw_id}: 2 documents" in wrong


def test_what_happened_while_mongo_was_away_is_told_when_it_is_back(
    publisher: Publisher, server: Server
) -> None:
    pool(12)
    before = assign(4)
    converge(publisher)
    server.kill()
    finish(before)
    during = assign(8)
    finish(during[:4])
    changes = list(MirrorChange.objects.values_list("pk", flat=True))
    with pytest.raises(door.PyMongoError):
        publisher.step()
    with pytest.raises(door.PyMongoError):
        reading.step()
    assert list(MirrorChange.objects.values_list("pk", flat=True)) == changes
    server.start()
    converge(publisher)
    assert_same()
    assert_each_ended_once([*before, *during[:4]])


@pytest.mark.once
@pytest.mark.parametrize("fault", list(Fault))
@pytest.mark.parametrize("command", ["insert", "update", "find"])
def test_a_broken_exchange_is_made_good(
    publisher: Publisher, proxy: Proxy, fault: Fault, command: str
) -> None:
    """Whether the server did it nobody knows: it is done once more, and is done once."""
    pool(4)
    times = 2 if command == "find" else 1  # the driver reads once more by itself
    if command == "insert":
        proxy.fail(fault, command, times)
    entries = assign(4)
    converge(publisher)
    if command != "insert":
        proxy.fail(fault, command, times)
    finish(entries)
    converge(publisher)
    assert proxy.met == [f"{command} {fault}"] * times
    assert_same()
    assert_each_ended_once(entries)


@pytest.mark.once
@pytest.mark.parametrize("pause", [0.0, 0.03, 0.1])
@pytest.mark.parametrize("command", ["insert", "update"])
def test_a_server_killed_while_it_writes_comes_to_say_the_same(
    publisher: Publisher, proxy: Proxy, server: Server, command: str, pause: float
) -> None:
    """At whatever moment it dies: before, between, or after many of its writes."""
    killed = threading.Event()

    def kill() -> None:
        time.sleep(pause)
        server.kill()
        killed.set()

    people = NbcRecord.objects.bulk_create(NbcRecordFactory.build_batch(MANY))
    if command == "update":
        converge(publisher)
        NbcRecord.objects.update(message="another word")
    proxy.when(command, kill)
    with contextlib.suppress(door.PyMongoError):
        publisher.step()
    assert killed.wait(5)
    server.start()
    converge(publisher)
    assert door.collection(NBC).count_documents({}) == len(people)
    assert_same()


def test_a_door_that_is_shut_for_a_while_loses_nothing(publisher: Publisher, proxy: Proxy) -> None:
    pool(6)
    first = assign(3)
    converge(publisher)
    proxy.refuse()
    finish(first)
    second = assign(3)
    with pytest.raises(door.PyMongoError):
        publisher.step()
    proxy.serve_again()
    converge(publisher)
    assert_same()
    assert_each_ended_once(first)
    assert QueueEntry.objects.filter(pk__in=[one.pk for one in second], status="Assigned").exists()


# --- Being told -----------------------------------------------------------------------------------


@pytest.mark.once
@pytest.mark.parametrize("fault", list(Fault))
def test_results_are_taken_in_once_however_they_are_heard(
    publisher: Publisher, proxy: Proxy, server: Server, fault: Fault
) -> None:
    pool(5)
    entries = assign(5)
    call(entries)
    converge(publisher)
    write_results(server, entries)
    proxy.fail(fault, "find", 2)
    converge(publisher)
    proxy.fail(fault, "update")
    MirrorChange.objects.create(kind="work", key=entries[0].rw_id)
    converge(publisher)
    assert_same()
    assert_each_ended_once(entries)


@pytest.mark.once
@pytest.mark.parametrize("fault", list(Fault))
def test_new_people_are_created_once(
    publisher: Publisher, proxy: Proxy, server: Server, fault: Fault
) -> None:
    curps = [NbcRecordFactory.build().curp for _number in range(20)]
    add_people(server, curps)
    proxy.fail(fault, "find", 2)
    proxy.fail(fault, "update", 1)
    converge(publisher)
    assert proxy.met.count(f"update {fault}") == 1
    assert Counter(NbcRecord.objects.values_list("curp", flat=True)) == Counter(curps)
    assert_same()


@pytest.mark.once
@pytest.mark.parametrize("fault", list(Fault))
def test_a_person_is_set_aside_once(
    publisher: Publisher, proxy: Proxy, server: Server, fault: Fault
) -> None:
    add_people(server, ["no CURP at all", NbcRecordFactory.build().curp])
    proxy.fail(fault, "update", 2)
    proxy.fail(fault, "find", 2)
    converge(publisher)
    converge(publisher)
    assert proxy.met
    (aside,) = SetAside.objects.all()
    assert "no CURP at all" in aside.excerpt
    assert NbcRecord.objects.count() == 1


# --- Both, under load -----------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_a_mirror_at_work_outlives_everything_that_goes_wrong(
    publisher: Publisher, proxy: Proxy, server: Server
) -> None:
    """A publisher and reader of its own thread, people assigned and finished all the while."""
    stopped = threading.Event()
    errors: list[BaseException] = []

    def run() -> None:
        try:
            while not stopped.is_set():
                try:
                    passed(publisher)
                except door.PyMongoError:
                    stopped.wait(0.1)
        except BaseException as error:
            errors.append(error)
        finally:
            connections.close_all()

    pool(40)
    ended: list[QueueEntry] = []
    thread = threading.Thread(target=run)
    thread.start()
    troubles = [
        lambda: proxy.fail(Fault.CUT, "insert"),
        server.kill,
        server.start,
        lambda: proxy.fail(Fault.LOST, "update"),
        proxy.refuse,
        proxy.serve_again,
        lambda: proxy.fail(Fault.STALLED, "update"),
    ]
    for trouble in troubles:
        trouble()
        entries = assign(5)
        finish(entries)
        ended += entries
    stopped.set()
    thread.join()
    assert errors == []
    converge(publisher)
    assert_same()
    assert_each_ended_once(ended)
