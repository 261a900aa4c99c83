"""Log lines of a task in Mongo: whose they are, without secrets, and never in the work's way."""

from __future__ import annotations

import logging
import multiprocessing
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from django.conf import settings
from pymongo import MongoClient

from orchestrator_site.logs import REDACTED
from queues import results, settling
from queues.mirror import door, logs
from queues.mirror.kinds import MINI
from queues.mirror.logs import ToMongo, about, within
from queues.models import QueueEntry
from queues.posting import ScraperWorker
from queues.results import Report
from tests.distribution import accepted, assigned, pool
from tests.machine import ROOT
from tests.postgres import free_port
from tests.scraper import serving

pytestmark = [pytest.mark.django_db, pytest.mark.database]
COLLECTION = "imss_logs"
SOON = 5.0  # seconds
TELLING = logging.getLogger("queues.of_these_tests")


@pytest.fixture
def handler(mirrored: MongoClient[Any], settings: Any) -> Iterator[ToMongo]:
    """The handler where the settings put it, and every line of ours heard."""
    settings.MONGODB_LOG_COLLECTION = COLLECTION
    handler, root, ours = ToMongo(), logging.getLogger(), logging.getLogger("queues")
    level = ours.level
    root.addHandler(handler)
    ours.setLevel(logging.INFO)
    yield handler
    root.removeHandler(handler)
    ours.setLevel(level)
    handler.close()


def sent(handler: ToMongo, *wanted: str) -> list[dict[str, Any]]:
    """What stands in Mongo, the oldest first, once lines with these words do."""
    until = time.monotonic() + SOON
    while True:
        handler.flush()
        lines = list(door.collection((MINI, COLLECTION)).find().sort("at", 1))
        told = "\n".join(one["message"] for one in lines)
        if all(one in told for one in wanted) or time.monotonic() > until:
            return lines
        time.sleep(0.05)


def task(**values: Any) -> QueueEntry:
    """One that no database knows."""
    return QueueEntry(pk=7, curp="XEXX010101HNEXXXA4", **values)


def test_a_line_says_whose_it_is(handler: ToMongo) -> None:
    pool()
    entry = assigned()
    before = datetime.now(UTC)
    with about(entry):
        TELLING.info("posted to %s", "a scraper")
    (line,) = sent(handler)
    assert before.timestamp() - 1 < line.pop("at").timestamp() < before.timestamp() + 5
    assert line.pop("_id")
    assert line == {
        "level": "INFO",
        "logger": TELLING.name,
        "message": "posted to a scraper",
        "curp": entry.curp,
        "taskid": entry.pk,
        "device": entry.device,
        "generator": "G_SISEC",
        "case_id": str(entry.case_id),
        "host": os.uname().nodename,
    }


def test_what_is_about_no_task_is_not_sent(handler: ToMongo) -> None:
    TELLING.warning("before")
    with about(task()):
        with about(task(device="inner")):
            TELLING.warning("inside")
        TELLING.warning("outside")
    TELLING.warning("after")
    assert [(one["message"], one.get("device")) for one in sent(handler)] == [
        ("inside", "inner"),
        ("outside", None),
    ]


def test_a_task_read_in_part_is_told_without_asking_the_database(
    handler: ToMongo, django_assert_num_queries: Any
) -> None:
    pool()
    entry = QueueEntry.objects.only("pk", "curp").get(pk=assigned().pk)
    with django_assert_num_queries(0), about(entry):
        TELLING.warning("in part")
    (line,) = sent(handler)
    assert line["curp"] == entry.curp
    assert "device" not in line


def test_secrets_stay_here(handler: ToMongo) -> None:
    with about(task()):
        TELLING.warning("password=hunter2 at mongodb://who:hunter2@host/")
        try:
            raise ValueError("token=hunter2")
        except ValueError:
            TELLING.exception("it failed")
    first, second = (one["message"] for one in sent(handler))
    assert REDACTED in first
    assert "ValueError" in second
    assert "hunter2" not in first + second


def test_text_that_is_no_text_is_sent_nevertheless(handler: ToMongo) -> None:
    with about(task()):  # not by way of the loggers: others could not print it
        for text in ("half a pair: \ud83d, NUL: \0", "x" * 100_000):
            handler.handle(logging.makeLogRecord({"name": TELLING.name, "msg": text}))
    first, second = (one["message"] for one in sent(handler))
    assert first == "half a pair: \\ud83d, NUL: \0"
    assert len(second) == logs.LONGEST


def test_a_call_in_another_thread_is_about_its_task(handler: ToMongo) -> None:
    def call(number: int) -> None:
        TELLING.info("call %s", number)

    threads = [
        threading.Thread(target=within, args=(task(device=f"D{number}"), lambda n=number: call(n)))
        for number in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    told = {(one["message"], one["device"]) for one in sent(handler)}
    assert told == {(f"call {number}", f"D{number}") for number in range(20)}


def test_the_end_of_a_task_is_told(handler: ToMongo) -> None:
    pool()
    entry = accepted() if assigned() else None
    assert entry
    results.take_in(entry.document_id, Report(1, "Trabajador localizado"))
    (line,) = [one for one in sent(handler) if one["logger"] == settling.__name__]
    assert "Trabajador localizado" in line["message"]
    assert (line["taskid"], line["curp"]) == (entry.pk, entry.curp)


def test_each_call_of_a_worker_is_told_of_its_own_task(handler: ToMongo, settings: Any) -> None:
    settings.SCRAPER_ALLOWED_NETWORKS = ()
    settings.SCRAPER_ALLOWED_HOSTS = ["127.0.0.1"]
    with serving() as scraper:
        pool(2, url=scraper.url)
        entries = [assigned(), assigned()]
        worker = ScraperWorker("w1")
        until = time.monotonic() + 4
        while worker.step() and time.monotonic() < until:
            pass
        worker.close()
    lines = [one for one in sent(handler) if one["logger"] == "queues.scrapers.router"]
    assert {one["taskid"]: one["curp"] for one in lines} == {one.pk: one.curp for one in entries}


def test_mongo_that_is_away_delays_nothing_and_the_lost_lines_are_counted(
    handler: ToMongo,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(door, "NOTICED", 200)
    monkeypatch.setattr(logs, "TELL_AGAIN", 0.1)
    there = settings.MONGODB_URI
    settings.MONGODB_URI = f"mongodb://127.0.0.1:{free_port()}/"
    begun = time.monotonic()
    with about(task()):
        for number in range(300):
            TELLING.warning("line %s", number)
    assert time.monotonic() - begun < 3  # each of them would have waited for 0.2
    until = time.monotonic() + SOON
    while "do not reach Mongo" not in caplog.text and time.monotonic() < until:
        time.sleep(0.05)
    door.client().close()
    settings.MONGODB_URI = there
    with about(task()):
        TELLING.warning("at last")
    lines = [one["message"] for one in sent(handler, "dropped", "at last")]
    dropped = sum(int(text.split()[0]) for text in lines if "dropped" in text)
    assert dropped
    assert dropped + len([text for text in lines if text.startswith("line")]) == 300
    assert "at last" in lines


def test_what_does_not_fit_is_dropped_and_counted(
    handler: ToMongo, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logs, "ROOM", 10)
    monkeypatch.setattr(logs, "GATHER", 0.5)  # a moment in which none is taken off
    with about(task()):
        for number in range(50):
            TELLING.warning("line %s", number)
    lines = [one["message"] for one in sent(handler, "dropped")]
    told = sum(int(text.split()[0]) for text in lines if "dropped" in text)
    assert told > 30
    assert told + len([text for text in lines if text.startswith("line")]) == 50


def test_a_fork_sends_its_own_lines_and_the_parent_goes_on(handler: ToMongo) -> None:
    def child() -> None:
        with about(task(device="child")):
            TELLING.warning("from the child")

    with about(task(device="parent")):
        TELLING.warning("before")
        process = multiprocessing.get_context("fork").Process(target=child)
        process.start()
        process.join(10)
        TELLING.warning("after")
    assert process.exitcode == 0
    told = {(one["message"], one["device"]) for one in sent(handler)}
    assert told == {("before", "parent"), ("from the child", "child"), ("after", "parent")}


SCRIPT = """
import django, logging, time
django.setup()
from queues.mirror.logs import about
from queues.models import QueueEntry
with about(QueueEntry(pk=7, curp="X")):
    for number in range(20):
        logging.getLogger("queues.script").warning("line %s", number)
print(time.monotonic())
"""


def ran(uri: str) -> float:
    """Seconds from the last deed of a process, which was to log, until it has ended."""
    own = {
        "MONGODB_URI": uri,
        "MONGODB_LOG_COLLECTION": COLLECTION,
        "MONGODB_MINI_DATABASE": settings.MONGODB_DATABASES[MINI],
        "DJANGO_SETTINGS_MODULE": "orchestrator_site.settings",
        "DATA_DIR": str(settings.DATA_DIR),
        "DATABASE_URL": "",
    }
    process = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        cwd=ROOT,
        env={**os.environ, **own},
        check=True,
        timeout=60,
        capture_output=True,
    )
    return time.monotonic() - float(process.stdout)


@pytest.mark.once
def test_the_last_lines_of_a_process_are_sent(mirrored: MongoClient[Any], mongo_uri: str) -> None:
    ran(mongo_uri)
    lines = door.collection((MINI, COLLECTION)).find()
    assert {one["message"] for one in lines} == {f"line {number}" for number in range(20)}


@pytest.mark.once
def test_a_process_ends_soon_where_mongo_is_away(mirrored: MongoClient[Any]) -> None:
    assert ran(f"mongodb://127.0.0.1:{free_port()}/") < logs.PATIENCE + 3
