"""`runworker --generator`, and the session that does the same: people handed to a scraper."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from brain import assigning
from devices.models import Device, Worker
from orchestrator_site.models import Event, Lease
from orchestrator_site.stopping import note_for
from queues import doorbell, tasks
from queues.models import Generator, QueueEntry
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory
from tests.scraper import Scraper, serving

pytestmark = [pytest.mark.django_db, pytest.mark.database]


@pytest.fixture
def scraper() -> Iterator[Scraper]:
    with serving() as server:
        yield server


@pytest.fixture(autouse=True)
def one_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loop closes what it takes for old connections: the test's transaction is on one."""
    for loop in ("orchestrator_site.sessions", "queues.management.commands.runworker"):
        monkeypatch.setattr(f"{loop}.close_old_connections", lambda: None)


@pytest.fixture
def assigned(scraper: Scraper) -> list[QueueEntry]:
    """Three people for G_SISEC and three for G_IAD, both with the same scraper."""
    for row in Generator.objects.all():
        Generator.objects.filter(pk=row.pk).update(enabled=row.name in ("G_SISEC", "G_IAD"))
        EndpointFactory(generator=row, url=scraper.url)
        DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)
    NbcRecordFactory.create_batch(6)
    assert len(assigning.run_round().decisions) == 6
    return list(QueueEntry.objects.filter(generator="G_SISEC"))


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command("runworker", *arguments, stdout=told, stderr=io.StringIO())
    return told.getvalue()


def statuses(generator: str) -> list[str]:
    rows = QueueEntry.objects.filter(generator__name=generator)
    return sorted(rows.values_list("status", flat=True))


def test_only_the_generators_tasks_are_handed_over(
    assigned: list[QueueEntry], scraper: Scraper
) -> None:
    told = json.loads(run("--generator", "G_SISEC", "--drain", "--json"))
    assert told["attempts"] == 3 and told["worker"].startswith("scrapers@")
    assert statuses("G_SISEC") == ["Accepted"] * 3
    assert statuses("G_IAD") == ["Assigned"] * 3
    assert {call["taskid"] for call in scraper.calls} == {entry.taskid for entry in assigned}
    assert not Worker.objects.filter(name=told["worker"]).exists()
    event = Event.objects.filter(case_id=assigned[0].case_id, new="Processing").first()
    assert event and (event.actor_kind, event.actor) == ("worker", told["worker"])


def test_once_is_one_task(assigned: list[QueueEntry], scraper: Scraper) -> None:
    scraper.delay = 0.3
    assert "1 attempts" in run("--generator", "G_SISEC", "--once")
    assert statuses("G_SISEC") == ["Accepted", "Assigned", "Assigned"]
    assert QueueEntry.objects.get(status="Accepted").message == ""  # answered, not left


def test_an_unknown_generator_is_told() -> None:
    with pytest.raises(CommandError, match=r"No generator G_NONE. There are: G_IAD,"):
        run("--generator", "G_NONE")


# --- The cluster's session --------------------------------------------------------------------


@pytest.fixture
def short(settings: Any) -> None:
    settings.LOOP_SESSION = timedelta(seconds=0.3)


def test_a_session_hears_the_answers_to_its_calls(
    short: None, assigned: list[QueueEntry], scraper: Scraper
) -> None:
    """They come after its time is over, and count: a busy scraper's task waits for no deadline."""
    scraper.delay, scraper.status = 0.8, 429
    assert tasks.scraper_session(1) is True
    assert len(scraper.calls) == 6
    assert set(QueueEntry.objects.values_list("status", "error_class")) == {("Complete", "busy")}
    assert not Device.objects.filter(available=False).exists()
    assert not Worker.objects.filter(kind="scrapers").exists()


def test_a_session_that_is_asked_to_end_leaves_its_calls(
    assigned: list[QueueEntry], scraper: Scraper, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queues.posting.LEAVING", 0.2)
    scraper.delay = 30
    note = note_for("scrapers")
    note.parent.mkdir(parents=True, exist_ok=True)
    asker = threading.Timer(1, note.touch)
    asker.start()
    begun = time.monotonic()
    try:
        assert tasks.scraper_session(1) is True
    finally:
        asker.join()
        note.unlink()
    assert time.monotonic() - begun < 10
    assert set(QueueEntry.objects.values_list("status", flat=True)) == {"Accepted"}


def test_a_slot_is_one_sessions(assigned: list[QueueEntry], settings: Any) -> None:
    assert Lease.acquire(f"scrapers:{settings.WORKER_ID}:1", "another", timedelta(minutes=1))
    assert tasks.scraper_session(1) is False
    assert statuses("G_SISEC") == ["Assigned"] * 3


def test_the_cluster_scrapers_is_called_each_minute() -> None:
    ticks = {one.name: (one.function, one.args) for one in doorbell.TICKS if one.minutes == 1}
    ours = {one.name for one in doorbell.TICKS if one.cluster == "scrapers"}
    assert ours == {"scrapers", "devices", "alerts", "audit"}
    assert ticks["scrapers"] == ("queues.tasks.scraper_session", (1,))
    assert ticks["devices"] == ("queues.tasks.keep_devices", ())
    assert ticks["alerts"] == ("orchestrator_site.alerting.tick", ())
