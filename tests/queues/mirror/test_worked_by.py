"""Who works a generator: our workers, or old ones from Mongo; never both."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from orchestrator_site.models import Event
from queues import alerts, blockers, capacity, claims
from queues.management.commands import runworker
from queues.mirror import standing
from queues.models import Generator, QueueEntry
from queues.posting import ScraperWorker
from queues.results import Report, take_in
from tests.distribution import accepted, assigned, generators, pool, posted, reread
from tests.scraper import Scraper, serving

pytestmark = [pytest.mark.django_db, pytest.mark.database]
SignedIn = Callable[[str], Client]
FORM = (
    *("name", "short_name", "handler", "instance", "fleet", "process", "queue_collection"),
    *("worked_by", "rotation_order", "array_position"),
)
NO_ENDPOINTS = {"endpoints-TOTAL_FORMS": 0, "endpoints-INITIAL_FORMS": 0}


@pytest.fixture
def scraper() -> Iterator[Scraper]:
    with serving() as server:
        yield server


@pytest.fixture
def worker() -> Iterator[ScraperWorker]:
    made = ScraperWorker("w1")
    yield made
    made.close()


def worked_by(who: str, name: str = "G_SISEC") -> Generator:
    Generator.objects.filter(name=name).update(worked_by=who)
    return Generator.objects.get(name=name)


def statuses() -> dict[str, str]:
    return {one.generator.name: one.status for one in QueueEntry.objects.all()}


def due(entry: QueueEntry) -> bool:
    return bool(QueueEntry.objects.filter(pk=entry.pk).due().exists())


# --- Whose tasks are taken ------------------------------------------------------------------------


def test_a_worker_takes_no_task_of_a_generator_that_is_worked_from_mongo(
    scraper: Scraper, worker: ScraperWorker
) -> None:
    pool(1, "G_IAD", scraper.url)
    pool(1, "G_SISEC", scraper.url)
    Generator.objects.exclude(name__in=("G_IAD", "G_SISEC")).update(enabled=False)
    assigned()
    assigned()
    worked_by("mongo")
    while worker.step():
        pass
    assert statuses() == {"G_IAD": "Accepted", "G_SISEC": "Assigned"}
    worked_by("ours")
    while worker.step():
        pass
    assert statuses()["G_SISEC"] == "Accepted"


def test_a_task_under_way_stays_with_who_has_it_when_the_generator_is_switched() -> None:
    pool(2)
    assigned()
    with_the_scraper = accepted()
    assigned()
    in_hand = posted()
    worked_by("mongo")
    assert in_hand.move("Accepted", "accepted by the scraper", **claims.NO_LEASE)
    for entry in (with_the_scraper, in_hand):
        assert take_in(entry.document_id, Report(1, "", {}))
    assert set(QueueEntry.objects.values_list("status", "success")) == {("Complete", True)}


def test_a_worker_for_a_generator_that_is_worked_from_mongo_ends_with_the_reason() -> None:
    generators()
    worked_by("mongo")
    with pytest.raises(CommandError, match="G_SISEC is worked by old workers, from Mongo"):
        call_command("runworker", "--generator", "G_SISEC")


def test_a_worker_that_drains_does_not_wait_for_what_went_over_to_mongo() -> None:
    pool()
    assigned()
    _worker, tasks = runworker._chosen("G_SISEC", None)
    assert not runworker._is_drained(tasks)
    worked_by("mongo")
    assert runworker._is_drained(tasks)


# --- What is told of them -------------------------------------------------------------------------


def test_an_assigned_task_says_whom_it_waits_for() -> None:
    pool(2)
    entry = assigned()
    now = timezone.now()
    assert blockers.of_task(entry, now) == "waits for a worker"
    entry.available_at = now + timedelta(minutes=5)
    assert blockers.of_task(entry, now).startswith("not before ")
    worked_by("mongo")
    assert blockers.of_task(reread(entry), now) == "waits for a worker in Mongo"
    assert blockers.of_task(accepted(), now) == ""


def test_the_api_tells_it(signed_in: SignedIn) -> None:
    pool()
    entry = assigned()
    worked_by("mongo")
    told = signed_in("viewer").get(f"/api/v1/queue-entries/{entry.document_id}/").json()
    assert told["waits_for"] == "waits for a worker in Mongo"


def test_our_workers_report_no_capacity_of_it() -> None:
    pool()
    worked_by("mongo")
    capacity.report_all()
    reported = Generator.objects.exclude(last_update=None).values_list("name", flat=True)
    assert "G_IAD" in reported and "G_SISEC" not in reported
    capacity.report_all("G_SISEC")
    assert Generator.objects.get(name="G_SISEC").last_update is None


def test_staff_are_warned_where_nobody_can_work_it(settings: Any) -> None:
    generators()
    settings.MONGODB_URI = ""
    assert (standing.forsaken(), list(alerts.forsaken_generators())) == ([], [])
    worked_by("mongo")
    (reading,) = alerts.forsaken_generators()
    assert (reading.subject, reading.value) == ("G_SISEC", 1)
    settings.MONGODB_URI = "mongodb://127.0.0.1:9/"
    assert standing.forsaken() == []


# --- Switching ------------------------------------------------------------------------------------


def by_form(client: Client, row: Generator, who: str) -> int:
    form = {**{name: getattr(row, name) for name in FORM}, **NO_ENDPOINTS, "worked_by": who}
    page = reverse("admin:queues_generator_change", args=[row.pk])
    return client.post(page, form).status_code


def by_api(client: Client, row: Generator, who: str) -> int:
    page = f"/api/v1/generators/{row.pk}/"
    return client.patch(page, {"worked_by": who}, "application/json").status_code


@pytest.mark.parametrize("switch", [by_form, by_api])
def test_a_switch_is_kept_and_tasks_rest_where_they_come_to_our_workers(
    signed_in: SignedIn, switch: Callable[[Client, Generator, str], int]
) -> None:
    pool(2)
    Generator.objects.exclude(name="G_SISEC").update(enabled=False)
    entry, client = assigned(), signed_in("admin")
    row = Generator.objects.get(name="G_SISEC")
    assert switch(client, row, "mongo") in (200, 302)
    assert due(entry)
    assert switch(client, row, "ours") in (200, 302)
    assert not due(entry)
    QueueEntry.objects.update(available_at=timezone.now() - timedelta(seconds=1))
    assert switch(client, Generator.objects.get(pk=row.pk), "ours") in (200, 302)
    assert due(entry)  # nothing was switched
    newest, oldest = Event.objects.filter(object_type="queues.generator")
    assert oldest.data == {"worked_by": ["ours", "mongo"]}
    assert (newest.data, newest.actor) == ({"worked_by": ["mongo", "ours"]}, "admin-person")


@pytest.mark.parametrize("role", ["viewer", "operator"])
def test_others_switch_nothing(signed_in: SignedIn, role: str) -> None:
    generators()
    client, row = signed_in(role), Generator.objects.get(name="G_SISEC")
    assert (by_form(client, row, "mongo"), by_api(client, row, "mongo")) == (403, 403)
    assert not reread(row).is_worked_from_mongo


def test_people_are_assigned_to_it_whether_or_not_it_has_an_endpoint_of_ours() -> None:
    pool()
    worked_by("mongo").endpoints.all().delete()
    Generator.objects.exclude(name="G_SISEC").update(enabled=False)
    assert assigned().generator_id == "G_SISEC"
