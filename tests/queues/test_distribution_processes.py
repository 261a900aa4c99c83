"""Distribution by real processes: stopped by a signal, and on the cluster."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import Machine, wait_for
from tests.scraper import Scraper, serving

pytestmark = pytest.mark.long

WAITING = """
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory
from queues.models import Generator
for row in Generator.objects.all():
    EndpointFactory(generator=row)
    DeviceFactory.create_batch(3, fleet=row.fleet, process=row.process)
NbcRecordFactory.create_batch(6)
"""
ASSIGNED = """
from brain import assigning
from queues.models import Generator
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory
Generator.objects.exclude(name="G_SISEC").update(enabled=False)
EndpointFactory(url="{url}")
DeviceFactory.create_batch(3)
NbcRecordFactory.create_batch(3)
assigning.run_round()
"""


@pytest.fixture
def machine(migrated: Path, tmp_path: Path) -> Machine:
    return Machine.like(migrated, tmp_path)


@pytest.fixture
def scraper(machine: Machine) -> Iterator[Scraper]:
    """With three people assigned to it."""
    with serving() as server:
        machine.shell(ASSIGNED.format(url=server.url))
        yield server


def test_sigterm_ends_the_worker_with_its_answers_written_down(
    machine: Machine, scraper: Scraper
) -> None:
    scraper.delay = 1.5
    with machine.running("runworker", "--generator", "G_SISEC") as worker:
        wait_for(lambda: len(scraper.calls) == 3, "three calls")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(15) == 0
    asked = "SELECT status, answered_at IS NOT NULL FROM imss_queue"
    assert machine.ask(asked) == [("Accepted", 1)] * 3
    assert machine.ask("SELECT count(*) FROM devices_worker") == [(0,)]


def test_the_cluster_calls_scrapers_and_looks_after_devices(
    machine: Machine, scraper: Scraper
) -> None:
    machine.shell(
        "from devices.models import Device as D; from tests.factories import DeviceFactory as F;"
        "F(device='HELD', available=False, updated_at='2026-01-01T00:00Z')"
    )
    held = "SELECT count(*) FROM devices WHERE NOT available"
    with machine.running("runcluster", "scrapers") as supervisor:
        accepted = "SELECT count(*) FROM imss_queue WHERE status = 'Accepted'"
        wait_for(lambda: machine.ask(accepted) == [(3,)], "three accepted calls", 60)
        wait_for(lambda: machine.ask(held) == [(3,)], "the stuck device's release", 60)
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 0
    assert len(scraper.calls) == 3
    ours = "cluster = 'scrapers'"
    schedules = machine.ask(f"SELECT name FROM django_q_schedule WHERE {ours} ORDER BY name")
    assert schedules == [("alerts",), ("audit",), ("devices",), ("scrapers",)]


def test_distribution_assigns_who_comes_and_ends_when_asked(machine: Machine) -> None:
    machine.shell(WAITING)
    assigned = "SELECT count(*) FROM imss_queue"
    with machine.running("rundistribution") as distributor:
        wait_for(lambda: machine.ask(assigned) == [(6,)], "six assignments")
        machine.shell("from tests.factories import NbcRecordFactory as F; F(curp='another')")
        wait_for(lambda: machine.ask(assigned) == [(7,)], "another")
        distributor.send_signal(signal.SIGTERM)
        assert distributor.wait(20) == 0
    holder = "SELECT holder FROM orchestrator_site_lease WHERE name = 'distribution'"
    assert machine.ask(holder) == [("",)]
