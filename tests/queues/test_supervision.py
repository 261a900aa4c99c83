"""A supervised cluster: real processes, killed and stopped."""

from __future__ import annotations

import contextlib
import json
import signal
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.machine import Machine, wait_for


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    machine = Machine(tmp_path)
    machine.run("migrate", "-v0")
    return machine


def children(supervisor: subprocess.Popen[bytes]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return psutil.Process(supervisor.pid).children(recursive=True)
    return []


def executes(machine: Machine) -> bool:
    return machine.ask("SELECT doing FROM devices_worker") == [("executes",)]


def test_a_cluster_works_is_restarted_when_killed_and_ends_when_asked(machine: Machine) -> None:
    with machine.running("runcluster", "brain") as supervisor:
        wait_for(lambda: executes(machine), "the canary")
        wait_for(lambda: machine.ask("SELECT 1 FROM brain_cycle"), "a cycle of the brain")
        schedules = {row[0] for row in machine.ask("SELECT name FROM django_q_schedule")}
        assert schedules == {"brain", "reconcile claims"}
        first = children(supervisor)
        first[0].kill()
        wait_for(lambda: first[0].pid not in [c.pid for c in children(supervisor)], "its end")
        second = wait_for(lambda: children(supervisor), "the restart")
        wait_for(lambda: executes(machine), "the canary, again")
        psutil.wait_procs(first, timeout=10)
        assert [process for process in first if process.is_running()] == []
        supervisor.send_signal(signal.SIGTERM)
        assert supervisor.wait(60) == 0
        assert [process for process in second if process.is_running()] == []
    assert machine.ask("SELECT * FROM devices_worker") == []


def test_what_a_killed_supervisor_leaves_is_ended(machine: Machine) -> None:
    with machine.running("runcluster", "brain") as supervisor:
        wait_for(lambda: executes(machine), "the canary")
        left = children(supervisor)
        assert left
        supervisor.kill()
        supervisor.wait()
    record = machine.folder / "run" / "brain.pids"
    known = {pid for pid, _started in json.loads(record.read_text())}
    assert known
    with machine.running("runcluster", "brain") as successor:
        wait_for(lambda: children(successor), "the next cluster")
        _gone, alive = psutil.wait_procs(left, timeout=20)
        assert [process for process in alive if process.pid in known] == []
        successor.send_signal(signal.SIGTERM)
        successor.wait(60)
