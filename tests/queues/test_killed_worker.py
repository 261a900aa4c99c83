"""Workers that are killed, or fall asleep: real processes, a real browser, the organism's books."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import parts
from tests.machine import Machine, wait_for

pytestmark = [pytest.mark.long, pytest.mark.chromium]
LEASE = 3  # seconds; 30 in production
SEED = """
from orchestrator_site.demo import cases, seeding
cases.CASES = tuple(case for case in cases.CASES if case.pk == 1001)
seeding.seed()
from orchestrator_site.demo.world import faults
faults.set_fault("xaloc", "slow", value="{slow}", times={times})
"""


@pytest.fixture
def machine(migrated: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Machine]:
    """One queued appeal, and a site whose first pages are slow: time to kill somebody."""
    parts.require("a browser")
    machine = Machine.like(migrated, tmp_path, TASK_LEASE_SECONDS=str(LEASE))
    slow, times = getattr(request, "param", (1.5, 3))
    machine.shell(SEED.format(slow=slow, times=times))
    with machine.world():
        machine.run("runbrain", "--once", "--site", "xaloc_girona")
        yield machine


def task(machine: Machine) -> tuple[str, int, bool]:
    columns = "status, attempts, intent_at IS NOT NULL"
    ((status, attempts, begun),) = machine.ask(f"SELECT {columns} FROM tramite_queue")
    return status, attempts, bool(begun)


def filings(machine: Machine) -> int:
    return machine.ask("SELECT count(*) FROM filings", "demo/filings.sqlite3")[0][0]


def drafts(machine: Machine) -> int:
    return machine.ask("SELECT count(*) FROM drafts", "demo/filings.sqlite3")[0][0]


def test_killed_before_sending_the_appeal_is_given_back_and_sent_once(machine: Machine) -> None:
    with machine.running("runworker") as worker:
        wait_for(lambda: drafts(machine), "the form's second page")
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert task(machine) == ("processing", 1, False)
    machine.run("runworker", "--drain")
    assert task(machine) == ("completed", 2, True)
    assert filings(machine) == 1
    reasons = [row[0] for row in machine.ask("SELECT reason FROM orchestrator_site_event")]
    assert any(reason.startswith("lease lost by tramite@") for reason in reasons)


@pytest.mark.parametrize("machine", [(0.6, None)], indirect=True)
def test_killed_after_sending_the_appeal_goes_to_a_person(machine: Machine) -> None:
    with machine.running("runworker") as worker:
        wait_for(lambda: filings(machine), "the filing")
        worker.send_signal(signal.SIGKILL)
        worker.wait()
    assert task(machine) == ("processing", 1, True)
    machine.run("runworker", "--drain")
    assert task(machine) == ("in_doubt", 1, True)
    assert filings(machine) == 1
    machine.run("runbrain", "--once")
    machine.run("runworker", "--drain")
    assert filings(machine) == 1


def test_a_worker_that_wakes_up_late_is_refused_and_sends_nothing(machine: Machine) -> None:
    with machine.running("runworker") as sleeper:
        wait_for(lambda: drafts(machine), "the form's second page")
        sleeper.send_signal(signal.SIGSTOP)
        machine.run("runworker", "--drain")
        assert task(machine) == ("completed", 2, True)
        sleeper.send_signal(signal.SIGCONT)
        wait_for(lambda: _evidence(machine, attempt=1), "the late worker's evidence")
        assert filings(machine) == 1
        assert task(machine) == ("completed", 2, True)


def _evidence(machine: Machine, attempt: int) -> int:
    rows = machine.ask(f"SELECT count(*) FROM queues_evidencefile WHERE attempt = {attempt}")
    return rows[0][0]


def test_sigterm_lets_the_appeal_at_hand_end(machine: Machine) -> None:
    with machine.running("runworker") as worker:
        wait_for(lambda: drafts(machine), "the form's second page")
        worker.send_signal(signal.SIGTERM)
        assert worker.wait(60) == 0
    assert task(machine) == ("completed", 1, True)
    assert machine.ask("SELECT count(*) FROM devices_worker") == [(0,)]
