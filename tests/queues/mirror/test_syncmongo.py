"""`syncmongo`: once, for ever, filling and comparing."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bson import ObjectId
from django.core.management import CommandError, call_command
from pymongo import MongoClient

from orchestrator_site import sessions
from orchestrator_site.models import Lease
from queues.mirror import door
from queues.mirror.kinds import NBC
from queues.models import MirrorChange, MirrorState, NbcRecord, SetAside
from tests.distribution import generators
from tests.factories import NbcRecordFactory
from tests.machine import Machine, wait_for
from tests.postgres import free_port

pytestmark = [pytest.mark.django_db, pytest.mark.database]
MongoUp = MongoClient[Any]


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop closes what it takes for old connections: the test's transaction is on one."""
    monkeypatch.setattr(sessions, "close_old_connections", lambda: None)


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command("syncmongo", *arguments, stdout=told, stderr=io.StringIO())
    return told.getvalue()


def person_in_mongo(status: str = "pending") -> str:
    values = {"curp": NbcRecordFactory.build().curp, "imss": {"status": status}}
    return str(door.collection(NBC).insert_one(values).inserted_id)


def test_without_an_address_it_says_what_to_set(db: None) -> None:
    with pytest.raises(CommandError, match="set MONGODB_URI"):
        run("--once")


def test_once_tells_and_reads_until_nothing_is_left(mirrored: MongoUp) -> None:
    here, there = NbcRecordFactory(), person_in_mongo()
    told = json.loads(run("--once", "--json"))
    assert door.collection(NBC).find_one({"_id": ObjectId(here.nbc_id)})
    assert NbcRecord.objects.filter(nbc_id=there).exists()
    assert told["taken_in"] == 1 and told["published"] >= 1
    assert (told["waiting"], told["set_aside"]) == (0, {"changes": 0, "documents": 0})
    assert not MirrorChange.objects.exists()


def test_once_counts_what_was_set_aside(mirrored: MongoUp) -> None:
    door.collection(NBC).insert_one({"curp": "nobody", "imss": {"status": "pending"}})
    assert "1 set aside" in run("--once")
    assert SetAside.objects.count() == 1


def test_once_waits_for_no_other_session(mirrored: MongoUp) -> None:
    assert Lease.acquire("mirror", "another", timedelta(minutes=1))
    with pytest.raises(CommandError, match="lease"):
        run("--once")


def test_a_mongo_that_is_away_is_told_at_once(
    mirrored: MongoUp, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(door, "NOTICED", 50)
    there = settings.MONGODB_URI
    settings.MONGODB_URI = f"mongodb://robot:hidden@127.0.0.1:{free_port()}/"
    try:
        with pytest.raises(CommandError, match="Mongo: ServerSelectionTimeoutError") as told:
            run("--once")
    finally:
        settings.MONGODB_URI = there
    assert "hidden" not in str(told.value)
    assert MirrorState.current().error
    assert Lease.objects.get(name="mirror").expires_at is None


def test_a_dry_run_says_what_waits(mirrored: MongoUp) -> None:
    NbcRecordFactory.create_batch(2)
    told = json.loads(run("--once", "--dry-run", "--json"))
    assert told == {"dry_run": True, "waiting": {"nbc": 2}}
    assert MirrorChange.objects.count() == 2
    assert door.collection(NBC).find_one() is None


# --- Filling and comparing --------------------------------------------------------------------


def test_an_empty_mongo_is_filled(mirrored: MongoUp) -> None:
    generators()
    MirrorState.switch(False)
    rows = NbcRecordFactory.create_batch(3)
    would = json.loads(run("--backfill", "to-mongo", "--dry-run", "--json"))
    assert would["waiting"]["nbc"] == 3
    told = json.loads(run("--backfill", "to-mongo", "--json"))
    assert told["published"] >= 3 and told["waiting"] == 0
    found = {str(one["_id"]) for one in door.collection(NBC).find()}
    assert found == {row.nbc_id for row in rows}


def test_what_was_filled_has_no_difference(mirrored: MongoUp) -> None:
    generators()
    NbcRecordFactory.create_batch(3)
    run("--once")
    run("--backfill", "to-mongo")
    told = json.loads(run("--verify", "--json"))
    assert (told["count"], told["differences"], told["compared"]["nbc"]) == (0, [], 3)


def test_differences_are_listed_and_fail(mirrored: MongoUp) -> None:
    row = NbcRecordFactory()
    run("--once")
    change = {"$set": {"imss.status": "perdido"}}
    door.collection(NBC).update_one({"_id": ObjectId(row.nbc_id)}, change)
    told = io.StringIO()
    with pytest.raises(CommandError, match="1 differences"):
        call_command("syncmongo", "--verify", "--json", stdout=told, stderr=io.StringIO())
    assert json.loads(told.getvalue())["differences"] == [
        {
            "kind": "nbc",
            "key": row.nbc_id,
            "field": "imss.status",
            "here": '"pending"',
            "there": '"perdido"',
        }
    ]


def test_an_empty_database_is_filled(mirrored: MongoUp) -> None:
    MirrorState.switch(False)
    found, lost = person_in_mongo("s"), person_in_mongo("perdido")
    told = run("--backfill", "from-mongo")
    assert NbcRecord.objects.get().nbc_id == found
    assert lost in told and "perdido" in told
    report = json.loads(run("--backfill", "from-mongo", "--json"))
    assert (report["known"], report["set_aside"]) == ({"people": 1}, {"people": 1})


# --- Processes --------------------------------------------------------------------------------


@pytest.fixture
def machine(migrated: Path, tmp_path: Path, mongo_uri: str) -> Iterator[Machine]:
    """With two databases in Mongo of its own."""
    names = {f"MONGODB_{name.upper()}_DATABASE": f"{name}_{uuid4().hex[:12]}" for name in PARTS}
    given = {"MONGODB_URI": mongo_uri, "MIRROR_POLL_SECONDS": "0.2", **names}
    machine = Machine.like(migrated, tmp_path, **given)
    yield machine
    with MongoClient[Any](mongo_uri) as client:
        for name in names.values():
            client.drop_database(name)


PARTS = ("mini", "main")


def people(machine: Machine) -> Any:
    client = MongoClient[Any](machine.environment["MONGODB_URI"])
    return client[machine.environment["MONGODB_MAIN_DATABASE"]][NBC[1]]


@pytest.mark.once
def test_sigterm_ends_the_mirror_quickly(machine: Machine) -> None:
    machine.shell("from tests.factories import NbcRecordFactory as F; F()")
    with machine.running("syncmongo") as mirror:
        wait_for(lambda: people(machine).find_one(), "the person in Mongo")
        mirror.send_signal(signal.SIGTERM)
        assert mirror.wait(5) == 0
    assert machine.ask("SELECT expires_at FROM orchestrator_site_lease WHERE name='mirror'") == [
        (None,)
    ]
    assert machine.ask("SELECT count(*) FROM mirror_outbox") == [(0,)]


@pytest.mark.once
def test_the_cluster_scrapers_mirrors_where_an_address_is_set(machine: Machine) -> None:
    asked = "from queues.doorbell import TICKS; print([t.function for t in TICKS])"
    assert "queues.tasks.mirror_session" in machine.shell(asked)
