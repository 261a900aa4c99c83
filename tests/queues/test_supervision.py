"""A supervised cluster: real processes, killed and stopped."""

from __future__ import annotations

import contextlib
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from orchestrator_site.stopping import STOP_NOTE
from tests.machine import Machine, wait_for

pytestmark = pytest.mark.long


@pytest.fixture
def machine(migrated: Path, tmp_path: Path) -> Iterator[Machine]:
    machine = Machine.like(migrated, tmp_path)
    yield machine
    for process in members(machine):
        process.kill()


def members(machine: Machine) -> list[psutil.Process]:
    """All living processes of this machine's clusters, the oldest first."""
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(STOP_NOTE, "").startswith(str(machine.folder)):
                found.append(process)
    return sorted(found, key=lambda process: process.create_time())


def executes(machine: Machine) -> bool:
    return machine.ask("SELECT doing FROM devices_worker WHERE kind = 'cluster'") == [("executes",)]


def holder(machine: Machine, lease: str = "brain") -> psutil.Process | None:
    """The living process that has the lease."""
    for (name,) in machine.ask(f"SELECT holder FROM orchestrator_site_lease WHERE name='{lease}'"):
        pid = int(name.rpartition(":")[2] or 0)
        alive = [process for process in members(machine) if process.pid == pid]
        return alive[0] if alive else None
    return None


def another_holder(machine: Machine, before: psutil.Process) -> psutil.Process | None:
    now = holder(machine)
    return now if now != before else None


def stop(supervisor: subprocess.Popen[bytes]) -> None:
    supervisor.send_signal(signal.SIGTERM)
    assert supervisor.wait(60) == 0


def test_a_cluster_works_is_replaced_when_killed_and_ends_when_asked(machine: Machine) -> None:
    with machine.running("runcluster", "brain") as supervisor:
        first = wait_for(lambda: holder(machine), "a session of the brain")
        wait_for(lambda: machine.ask("SELECT 1 FROM brain_cycle"), "a cycle of the brain")
        old = members(machine)
        old[0].kill()
        wait_for(lambda: another_holder(machine, first), "a session, again")
        wait_for(lambda: not any(one in old for one in members(machine)), "the end of the first")
        wait_for(lambda: executes(machine), "the canary")
        stop(supervisor)
        assert members(machine) == []
    assert machine.ask("SELECT * FROM devices_worker") == []
    assert list((machine.folder / "run").glob("*.stop")) == []


def test_a_second_supervisor_is_refused_and_touches_nothing(machine: Machine) -> None:
    with machine.running("runcluster", "brain") as supervisor:
        wait_for(lambda: holder(machine), "a session of the brain")
        before = members(machine)
        second = machine.run("runcluster", "brain", check=False)
        assert second.returncode == 1
        assert f"brain is supervised already by process {supervisor.pid}" in second.stderr
        assert members(machine) == before
        third = machine.run("runcluster", "brain", check=False)
        assert f"process {supervisor.pid}" in third.stderr, "the second left the first's name"
        stop(supervisor)


def test_nothing_survives_of_a_cluster_that_was_killed_as_it_began(machine: Machine) -> None:
    with machine.running("runcluster", "brain") as supervisor:
        main = wait_for(lambda: members(machine), "the main process")[0]
        wait_for(main.children, "its first child")
        main.kill()
        mark = main.pid
        wait_for(
            lambda: (now := members(machine)) and now[0].pid != mark and holder(machine),
            "the next start",
        )
        notes = {one.environ()[STOP_NOTE] for one in members(machine)}
        assert len(notes) == 1, "of two starts somebody lives"
        stop(supervisor)


def test_what_a_killed_supervisor_leaves_is_ended(machine: Machine) -> None:
    with machine.running("runcluster", "brain") as supervisor:
        wait_for(lambda: holder(machine), "a session of the brain")
        left = members(machine)
        # Linux would ask the main process to end, which stopped it does not hear.
        left[0].send_signal(signal.SIGSTOP)
        supervisor.kill()
        supervisor.wait()
    assert len(members(machine)) == len(left)
    with machine.running("runcluster", "brain") as successor:
        wait_for(lambda: not any(one in left for one in members(machine)), "their end")
        wait_for(lambda: holder(machine), "a session of the next")
        stop(successor)


def test_a_killed_session_is_followed_at_once(machine: Machine) -> None:
    """Its lease would be held for another minute."""
    with machine.running("runcluster", "brain") as supervisor:
        first = wait_for(lambda: holder(machine), "a session of the brain")
        first.kill()
        wait_for(lambda: another_holder(machine, first), "the next session")
        stop(supervisor)


def test_a_cluster_whose_monitor_was_killed_is_replaced(machine: Machine) -> None:
    """It would execute its tasks and never take them out of the queue."""
    with machine.running("runcluster", "brain") as supervisor:
        wait_for(lambda: executes(machine), "the canary")
        main = members(machine)[0]
        code = f"from queues import doorbell; print(doorbell.standing_of({main.pid}).monitor)"
        psutil.Process(int(machine.shell(code))).kill()
        wait_for(lambda: (now := members(machine)) and main not in now, "the next start")
        wait_for(lambda: holder(machine), "a session")
        stop(supervisor)
