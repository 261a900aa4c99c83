"""The mirror's session: on and off, in turns, through a Mongo that goes and comes."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from django.db import connection
from pymongo import MongoClient

from orchestrator_site import sessions
from orchestrator_site.models import Lease
from orchestrator_site.sessions import Watch
from orchestrator_site.stopping import Stop
from queues import tasks
from queues.mirror import door, reading
from queues.mirror import session as mirror
from queues.mirror.kinds import CONFIG, GENERATORS, KINDS, MINI, NBC
from queues.mirror.publishing import Publisher, Superseded, mark, open_changes
from queues.mirror.session import Session
from queues.models import Generator, MirrorChange, MirrorState, NbcRecord
from tests.distribution import assigned, generators, pool, reread
from tests.factories import NbcRecordFactory
from tests.postgres import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.database]
MINUTE = timedelta(minutes=1)
MongoUp = MongoClient[Any]


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop closes what it takes for old connections: the test's transaction is on one."""
    monkeypatch.setattr(sessions, "close_old_connections", lambda: None)


@pytest.fixture
def stop() -> Stop:
    return Stop()


@pytest.fixture
def watch(db: None, stop: Stop) -> Watch:
    lease = Lease.acquire("mirror", "tests", MINUTE)
    assert lease
    return Watch(lease, stop, MINUTE)


@pytest.fixture
def off(mirrored: MongoUp) -> MongoUp:
    """A Mongo, and a mirror that was never on."""
    MirrorState.switch(False)
    return mirrored


@pytest.fixture
def away(
    off: MongoUp, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], None]]:
    """Nobody answers; call it, and Mongo is back."""
    monkeypatch.setattr(door, "NOTICED", 50)
    monkeypatch.setattr(mirror, "FIRST_PAUSE", 0.01)
    there = settings.MONGODB_URI
    settings.MONGODB_URI = f"mongodb://robot:hidden@127.0.0.1:{free_port()}/"

    def come_back() -> None:
        settings.MONGODB_URI = there

    yield come_back
    come_back()


def person_in_mongo(**more: Any) -> ObjectId:
    values = {"curp": NbcRecordFactory.build().curp, "imss": {"status": "pending"}, **more}
    made = door.collection(NBC).insert_one(values).inserted_id
    assert isinstance(made, ObjectId)
    return made


def steps(session: Session, watch: Watch) -> None:
    """As long as there is work; no failure is waited for."""
    for _step in range(20):
        if not session.step(watch):
            return
    raise AssertionError(f"no end: {MirrorState.current().error}")


def settle(session: Session, watch: Watch) -> None:
    """Publish and read until nothing is left."""
    for _turn in range(20):
        while session.publish(watch):
            pass
        if not session.look(watch):
            session.publish(watch)  # what it found to write back
            return
    raise AssertionError("no end")


# --- In turns ---------------------------------------------------------------------------------


def test_a_step_publishes_and_reads(off: MongoUp, watch: Watch) -> None:
    pool(1)
    entry = assigned()
    came = person_in_mongo()
    steps(Session(Stop()), watch)
    assert NbcRecord.objects.filter(nbc_id=str(came)).exists()
    place = (MINI, entry.generator.queue_collection)
    assert door.collection(place).find_one({"_id": ObjectId(entry.document_id)})
    assert MirrorState.current().read_at


def test_it_looks_no_more_often_than_asked_for(off: MongoUp, watch: Watch, settings: Any) -> None:
    settings.MIRROR_POLL = timedelta(hours=1)
    session = Session(Stop())
    session.step(watch)
    person_in_mongo()
    for _step in range(3):
        session.step(watch)
    assert not NbcRecord.objects.exists()


def test_each_holder_of_the_lease_writes_by_a_newer_version(off: MongoUp, stop: Stop) -> None:
    versions = []
    for _holder in range(2):
        row = NbcRecordFactory()
        lease = Lease.acquire("mirror", "tests", MINUTE)
        assert lease
        settle(Session(stop), Watch(lease, stop, MINUTE))
        lease.release()
        document = door.collection(NBC).find_one({"_id": ObjectId(row.nbc_id)})
        assert document
        versions.append(document["_mirror"]["v"] >> 32)
    assert versions[0] < versions[1]


def test_a_publisher_that_breaks_stops_no_reading(
    off: MongoUp, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: Publisher) -> int:
        raise RuntimeError("out of order")

    monkeypatch.setattr(Publisher, "step", broken)
    monkeypatch.setattr(mirror, "FIRST_PAUSE", 0.01)
    person_in_mongo()
    assert Session(Stop()).step(watch)
    assert NbcRecord.objects.exists()
    assert MirrorState.current().error == "RuntimeError: out of order"


def test_a_session_whose_lease_passed_on_ends(
    off: MongoUp, watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def late(self: Publisher) -> int:
        raise Superseded("over")

    monkeypatch.setattr(Publisher, "step", late)
    assert Session(Stop()).step(watch) is False
    assert watch() is True
    assert MirrorState.current().error == "", "Mongo is well"


# --- Mongo away -------------------------------------------------------------------------------


def test_a_mongo_that_is_away_is_told_without_its_password(
    away: Callable[[], None], watch: Watch
) -> None:
    assert Session(Stop()).step(watch)
    error = MirrorState.current().error
    assert "ServerSelectionTimeoutError" in error and "hidden" not in error
    assert MirrorState.current().is_on, "changes are written down meanwhile"


def test_what_changes_while_mongo_is_away_is_told_when_it_is_back(
    away: Callable[[], None], watch: Watch
) -> None:
    session = Session(Stop())
    session.step(watch)
    row = NbcRecordFactory()
    session.step(watch)
    assert MirrorChange.objects.exists()
    away()
    steps(session, watch)
    assert door.collection(NBC).find_one({"_id": ObjectId(row.nbc_id)})
    assert (MirrorState.current().error, open_changes().count()) == ("", 0)


def test_the_pause_grows_to_its_limit_and_begins_anew(
    away: Callable[[], None], watch: Watch, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "LONGEST_PAUSE", 0.03)
    session, pauses = Session(Stop()), []
    for _failure in range(3):
        session.step(watch)
        pauses.append(session._pause)
    assert pauses == [0.01, 0.02, 0.03]
    away()
    session.step(watch)
    assert session._pause == 0


def test_the_pause_ends_when_asked_to_stop(
    away: Callable[[], None], watch: Watch, stop: Stop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "FIRST_PAUSE", 15.0)
    asker = threading.Timer(0.3, stop.request)
    asker.start()
    begun = time.monotonic()
    Session(stop).step(watch)
    asker.join()
    assert time.monotonic() - begun < 5


# --- On and off -------------------------------------------------------------------------------


def test_what_changed_while_it_was_off_is_told_once(off: MongoUp, watch: Watch) -> None:
    rows = NbcRecordFactory.create_batch(3)
    assert not MirrorChange.objects.exists()
    settle(Session(Stop()), watch)
    assert door.collection(NBC).count_documents({}) == 3
    assert mirror.begin(watch)
    assert not MirrorChange.objects.exists(), "the next session marks nothing"
    MirrorState.switch(False)
    NbcRecord.objects.filter(pk=rows[0].pk).update(message="while it was off")
    settle(Session(Stop()), watch)
    document = door.collection(NBC).find_one({"_id": ObjectId(rows[0].nbc_id)})
    assert document and document["imss"]["message"] == "while it was off"


def test_marking_that_was_cut_short_is_begun_anew(off: MongoUp, watch: Watch) -> None:
    NbcRecordFactory.create_batch(2)
    asked = iter([False] * 2)
    assert not mirror.begin(lambda: next(asked, True))
    assert MirrorState.current().is_on
    settle(Session(Stop()), watch)
    assert door.collection(NBC).count_documents({}) == 2


def test_a_person_put_back_while_it_was_off_comes_back(off: MongoUp, watch: Watch) -> None:
    row = NbcRecordFactory(status=NbcRecord.Status.FOUND)
    settle(Session(Stop()), watch)
    MirrorState.switch(False)
    put_back = {"$set": {"imss.status": "pending"}}
    door.collection(NBC).update_one({"_id": ObjectId(row.nbc_id)}, put_back)
    settle(Session(Stop()), watch)
    assert reread(row).status == NbcRecord.Status.PENDING


def test_a_first_contact_leaves_the_outsides_generators_alone(off: MongoUp, watch: Watch) -> None:
    generators()
    theirs = {"_id": "G_SISEC", "status": "fallando", "total_devices": 7}
    door.collection(GENERATORS).insert_one(dict(theirs))
    settle(Session(Stop()), watch)
    found = {one.pop("_id"): one for one in door.collection(GENERATORS).find()}
    assert found.pop("G_SISEC") == {"status": "fallando", "total_devices": 7}
    assert set(found) == {"G_IAD", "G_IAD2", "G_MASTER"}
    Generator.objects.filter(name="G_SISEC").update(total_devices=3)
    settle(Session(Stop()), watch)
    told = door.collection(GENERATORS).find_one({"_id": "G_SISEC"})
    assert told and told["total_devices"] == 3, "there is news of it"


def test_a_first_contact_takes_the_outsides_configuration(off: MongoUp, watch: Watch) -> None:
    if "config" not in KINDS:
        pytest.skip("nobody mirrors it")
    generators()
    shares = {f"distribution_{level}": [10, 20, 30, 40] for level in ("good", "normal", "bad")}
    door.collection(CONFIG).insert_one({"_id": "main_config", **shares})
    settle(Session(Stop()), watch)
    document = door.collection(CONFIG).find_one({"_id": "main_config"})
    assert document and {name: document[name] for name in shares} == shares
    assert Generator.objects.get(array_position=3).share_good == 40


def test_switching_off_forgets_what_was_written_down(off: MongoUp) -> None:
    MirrorState.switch(True)
    mark("nbc", ["one"])
    assert mirror.switch_off()
    assert not MirrorChange.objects.exists()
    NbcRecordFactory()
    assert not MirrorChange.objects.exists()
    assert not mirror.switch_off(), "it is off"


def test_it_is_not_switched_off_while_a_session_is_at_work(off: MongoUp) -> None:
    MirrorState.switch(True)
    assert Lease.acquire("mirror", "another host", MINUTE)
    assert not mirror.switch_off()
    assert MirrorState.current().is_on


# --- On the cluster ---------------------------------------------------------------------------


def test_a_schedule_that_outlives_the_setting_switches_it_off(db: None) -> None:
    MirrorState.switch(True)
    assert tasks.mirror_session() is False
    assert not MirrorState.current().is_on


def test_the_cluster_s_session_mirrors_and_hands_over(off: MongoUp, settings: Any) -> None:
    settings.LOOP_SESSION = timedelta(seconds=0.5)
    came = person_in_mongo()
    assert tasks.mirror_session() is True
    assert NbcRecord.objects.filter(nbc_id=str(came)).exists()
    assert Lease.objects.get(name="mirror").expires_at is None


def test_one_session_at_a_time(off: MongoUp, monkeypatch: pytest.MonkeyPatch) -> None:
    assert Lease.acquire("mirror", "another", MINUTE)
    monkeypatch.setattr(reading, "step", lambda: pytest.fail("it read"))
    assert tasks.mirror_session() is False


@pytest.mark.django_db(transaction=True)
def test_a_change_that_began_before_the_switch_is_told_too(off: MongoUp, watch: Watch) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("SQLite has one writer at a time")
    row = NbcRecordFactory()
    other = connection.copy()
    other.set_autocommit(False)
    with other.cursor() as cursor:
        cursor.execute("UPDATE nueva_base_central SET message = 'begun before'")
    committer = threading.Timer(0.7, other.connection.commit)
    committer.start()
    try:
        settle(Session(Stop()), watch)
    finally:
        committer.join()
        other.close()
    document = door.collection(NBC).find_one({"_id": ObjectId(row.nbc_id)})
    assert document and document["imss"]["message"] == "begun before"
