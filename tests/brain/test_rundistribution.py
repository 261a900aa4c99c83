"""`rundistribution`, and the session that does the same on the cluster."""

from __future__ import annotations

import io
import json
from datetime import timedelta
from typing import Any

import pytest
from django.core.management import call_command

from brain import tasks
from brain.models import Decision, DistributionBatch
from devices.models import Device, PersonWindow
from orchestrator_site.models import Event, Lease, Pause
from queues import doorbell
from queues.models import DistributionConfig, Generator, NbcRecord, QueueEntry, RegistroWork
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory

pytestmark = [pytest.mark.django_db, pytest.mark.database]
WRITTEN = (Decision, DistributionBatch, Event, PersonWindow, QueueEntry, RegistroWork)


@pytest.fixture
def pools() -> None:
    """An endpoint and three devices for each generator."""
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)


def run(*arguments: str) -> str:
    told = io.StringIO()
    call_command("rundistribution", *arguments, stdout=told, stderr=io.StringIO())
    return told.getvalue()


def told_by(*arguments: str) -> dict[str, Any]:
    return json.loads(run(*arguments, "--json"))


def test_once_goes_on_until_nobody_can_be_assigned(pools: None) -> None:
    config = DistributionConfig.current()
    DistributionConfig.objects.filter(pk=config.pk).update(batch_size=4)
    NbcRecordFactory.create_batch(10)
    told = told_by("--once")
    assert told["rounds"] > 2
    assert sum(told["assigned"].values()) == QueueEntry.objects.count() > 4
    assert told["waiting"] == NbcRecord.objects.filter(status="pending").count()


def test_it_is_told_in_words(pools: None) -> None:
    Generator.objects.exclude(name="G_SISEC").update(enabled=False)
    NbcRecordFactory.create_batch(4)
    told = run("--once")
    assert "3 assigned: G_SISEC 3" in told
    assert "3 assigned in" in told and "1 wait" in told
    assert "G_IAD is disabled" in told


def test_a_dry_run_tells_each_person_and_writes_nothing(pools: None) -> None:
    Generator.objects.filter(name="G_MASTER").update(status="fallando")
    Device.objects.exclude(process="SISEC").exclude(process="IAD").delete()
    people = NbcRecordFactory.create_batch(8)
    before = [model.objects.count() for model in WRITTEN]
    told = told_by("--dry-run")
    assert [model.objects.count() for model in WRITTEN] == before
    assert set(NbcRecord.objects.values_list("status", "rw_id", "attempts")) == {("pending", "", 0)}
    assert not NbcRecord.objects.exclude(blocker={}).exists()
    assert not Device.objects.filter(available=False).exists()
    assert told["dry_run"] is True
    assert told["assigned"] == {"G_IAD": 3, "G_SISEC": 3}
    assert [one["nbc_id"] for one in told["people"]] == [row.nbc_id for row in people[:6]]
    second = told["people"][1]
    assert (second["generator"], second["passed"]) == (
        "G_SISEC",
        [["G_MASTER", "failing"], ["G_IAD2", "offline"]],
    )
    assert Device.objects.filter(device=second["device"], process="SISEC").exists()
    assert told["waiting"] == 2 and told["blockers"][0]["kind"] == "nobody"


def test_a_dry_run_tells_what_a_round_then_does(pools: None) -> None:
    NbcRecordFactory.create_batch(5)
    told = told_by("--dry-run")
    run("--once")
    done = Decision.objects.order_by("pk").values_list("nbc__nbc_id", "generator_id", "device")
    assert [(p["nbc_id"], p["generator"], p["device"]) for p in told["people"]] == list(done)


def test_a_dry_run_in_words(pools: None) -> None:
    Generator.objects.filter(name="G_IAD").update(enabled=False)
    first = NbcRecordFactory()
    told = run("--dry-run")
    assert first.nbc_id in told and "G_IAD disabled" in told and "nothing was written" in told


def test_a_pause_holds(pools: None) -> None:
    Pause.begin("distribution", "new shares are coming")
    NbcRecordFactory()
    error = io.StringIO()
    call_command("rundistribution", "--once", stdout=io.StringIO(), stderr=error)
    assert "paused: new shares are coming" in error.getvalue()
    assert not QueueEntry.objects.exists()
    Pause.end("distribution")
    assert told_by("--once")["assigned"] == {"G_IAD": 1}


# --- The cluster's session --------------------------------------------------------------------


@pytest.fixture
def short(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session that ends soon, on the connection of the test's transaction."""
    settings.LOOP_SESSION = timedelta(seconds=0.3)
    monkeypatch.setattr("orchestrator_site.sessions.close_old_connections", lambda: None)


def test_the_session_assigns_under_its_lease(short: None) -> None:
    EndpointFactory(generator=Generator.objects.get(name="G_IAD"))
    DeviceFactory(fleet="devices", process="IAD")
    person = NbcRecordFactory()
    assert tasks.distribution_session() is True
    event = Event.objects.filter(case_id=person.case_id, new="p1").get()
    assert event.actor_kind == "brain" and event.actor.startswith("distribution@")
    assert Lease.objects.get(name="distribution").holder == ""


def test_the_session_leaves_where_another_has_the_lease(pools: None) -> None:
    NbcRecordFactory()
    assert Lease.acquire("distribution", "another", timedelta(minutes=1))
    assert tasks.distribution_session() is False
    assert not QueueEntry.objects.exists()


def test_the_cluster_brain_calls_it_each_minute() -> None:
    (tick,) = [one for one in doorbell.TICKS if one.name == "distribution"]
    assert (tick.function, tick.cluster, tick.minutes) == (
        "brain.tasks.distribution_session",
        "brain",
        1,
    )
