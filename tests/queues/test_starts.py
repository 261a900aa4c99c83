"""One start of a cluster: plain processes in the place of django-q2's."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest

from devices.models import Worker
from orchestrator_site.models import Lease
from orchestrator_site.sessions import me
from orchestrator_site.stopping import STOP_NOTE, note_for
from queues import starts
from queues.locking import Held, held
from queues.starts import Start, free_the_dead
from tests.machine import wait_for

pytestmark = [pytest.mark.django_db, pytest.mark.database]
MINUTE = timedelta(minutes=1)
SLEEP = "import time; time.sleep(100)"
WITH_A_CHILD = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {SLEEP!r}])"
HOLDING = """
import sys, time
from pathlib import Path
from typing import Any
from queues.locking import held
with held(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""
Sleeper = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start(tmp_path: Path, settings: Any) -> Start:
    settings.DATA_DIR = tmp_path
    (tmp_path / "run").mkdir()
    return Start(tmp_path / "run" / "brain-0001.stop")


@pytest.fixture
def sleeper(start: Start) -> Iterator[Sleeper]:
    """Begins a process of that start."""
    begun: list[subprocess.Popen[str]] = []

    def begin(code: str = SLEEP, *arguments: str, note: str = "") -> subprocess.Popen[str]:
        mark = {STOP_NOTE: note or str(start.note)}
        command = [sys.executable, "-c", code, *arguments]
        begun.append(
            subprocess.Popen(command, env=os.environ | mark, stdout=subprocess.PIPE, text=True)
        )
        return begun[-1]

    yield begin
    for one in begun:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(one.pid).children():
                child.kill()
        one.kill()
        one.communicate()


def session_of(process: subprocess.Popen[str], name: str = "brain") -> Lease:
    holder = f"{me(name).rpartition(':')[0]}:{process.pid}"
    lease = Lease.acquire(name, holder, MINUTE)
    assert lease
    return lease


def pids(start: Start) -> set[int]:
    return {one.pid for one in start.processes()}


def test_a_start_is_found_whole_by_who_never_saw_it(start: Start, sleeper: Sleeper) -> None:
    parent = sleeper(WITH_A_CHILD)
    wait_for(psutil.Process(parent.pid).children, "its child")
    sleeper(note=f"{start.note.parent}/brain-0002.stop")
    sleeper(note=f"{start.note.parent}/workers-0003.stop")
    sleeper(note="/elsewhere/run/brain-0004.stop")
    old = start.note.with_name("brain-0005.stop")
    foreign = start.note.with_name("workers-0006.stop")
    for note in (old, foreign):
        note.touch()
    found = {one.note.name: pids(one) for one in Start.left("brain")}
    assert found.keys() == {"brain-0001.stop", "brain-0002.stop"}
    assert parent.pid in found["brain-0001.stop"]
    assert len(found["brain-0001.stop"]) == 2
    assert not old.exists()
    assert foreign.exists()


def test_who_is_at_work_ends_it_and_the_others_are_killed_at_once(
    start: Start, sleeper: Sleeper
) -> None:
    idle, filing = sleeper(), sleeper(WITH_A_CHILD)
    (browser,) = wait_for(psutil.Process(filing.pid).children, "its child")
    lease = session_of(filing)
    start.let_go()
    assert start.note.exists()
    assert pids(start) == {filing.pid, browser.pid}
    assert idle.wait(5) == -9
    assert not start.has_worked()
    lease.release()
    assert start.has_worked()
    start.kill()
    assert pids(start) == set()
    assert not start.note.exists()


def test_a_worker_that_has_not_signed_off_is_at_work(start: Start, sleeper: Sleeper) -> None:
    caller = sleeper()
    row = Worker(name="w", kind="scrapers", host=socket.gethostname(), pid=caller.pid)
    row.beat("2 calls")
    start.let_go()
    assert pids(start) == {caller.pid}
    row.leave()
    assert start.has_worked()


def test_work_that_takes_too_long_is_not_waited_for(
    start: Start, sleeper: Sleeper, monkeypatch: pytest.MonkeyPatch
) -> None:
    session_of(sleeper())
    start.let_go()
    assert not start.has_worked()
    monkeypatch.setattr(starts, "LET_END", 0.01)
    time.sleep(0.02)
    assert start.has_worked()


def test_the_dead_hold_no_lease(sleeper: Sleeper) -> None:
    living, dead = sleeper(), sleeper()
    session_of(living, "living")
    session_of(dead, "dead")
    Lease.acquire("elsewhere", f"brain@another host:{dead.pid}", MINUTE)
    dead.kill()  # its parent, this test, has not noticed yet: a zombie
    wait_for(lambda: psutil.Process(dead.pid).status() == psutil.STATUS_ZOMBIE, "its death")
    free_the_dead()
    held_now = set(Lease.objects.exclude(expires_at=None).values_list("name", flat=True))
    assert held_now == {"living", "elsewhere"}


def test_a_process_asks_for_the_note_of_its_own_start(start: Start, settings: Any) -> None:
    assert note_for("brain") == start.note.parent / "brain.stop"
    settings.ENVIRON = {STOP_NOTE: str(start.note)}
    assert note_for("brain") == start.note


def test_a_file_is_held_by_one_and_freed_by_its_death(sleeper: Sleeper, tmp_path: Path) -> None:
    path = tmp_path / "run" / "brain.lock"
    first = sleeper(HOLDING, str(path))
    assert first.stdout
    assert first.stdout.readline() == "held\n"
    for _again in range(2):
        with pytest.raises(Held) as refused, held(path):
            raise AssertionError("two hold it")
        assert refused.value.by == str(first.pid)
    first.kill()
    first.wait()
    with held(path):
        assert path.read_text() == str(os.getpid())
    with held(path):
        pass
