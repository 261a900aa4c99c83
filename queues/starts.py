"""One start of a cluster: all its processes, known by a mark in their environment.

The mark is inherited by whatever they fork, so a start is found whole by whoever looks, at any
time: also by the next supervisor, and also where it was killed before it had forked anybody.
"""

from __future__ import annotations

import contextlib
import ctypes
import signal
import socket
import sys
import time
import uuid
from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

import psutil
from django.conf import settings

from devices.models import Worker
from orchestrator_site.clock import db_now
from orchestrator_site.models import Lease
from orchestrator_site.sessions import me
from orchestrator_site.stopping import STOP_NOTE, run_folder

LET_END = 75.0  # seconds for the work at hand, after a stop was asked for


class Start:
    """The processes of one start. `note` is their mark, and asks their sessions to end."""

    def __init__(self, note: Path) -> None:
        self.note = note
        self.main: psutil.Popen | None = None
        self.asked_at: float | None = None  # monotonic; when it was asked to end

    @classmethod
    def begin(cls, cluster: str) -> Start:
        start = cls(run_folder() / f"{cluster}-{uuid.uuid4().hex[:8]}.stop")
        manage = Path(settings.BASE_DIR) / "manage.py"
        start.main = psutil.Popen(
            [sys.executable, str(manage), "qcluster"],
            env={**settings.ENVIRON, "Q_CLUSTER_NAME": cluster, STOP_NOTE: str(start.note)},
            # Out of our process group: a signal to the whole group hangs django-q2.
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        return start

    @classmethod
    def left(cls, cluster: str) -> list[Start]:
        """Those of an earlier supervisor that live on; what the dead ones wrote is removed."""
        living = {Path(note) for note in _marked()}
        for note in run_folder().glob("*.stop"):
            if note not in living and _cluster_of(note) == cluster:
                note.unlink(missing_ok=True)
        run = run_folder()
        return [cls(n) for n in living if n.parent == run and _cluster_of(n) == cluster]

    def processes(self) -> list[psutil.Process]:
        """Those that live, the oldest first: a parent dies before it can replace a child."""
        return sorted(_marked().get(str(self.note), []), key=lambda one: one.create_time())

    @property
    def pid(self) -> int:
        """The main process'."""
        return self.main.pid if self.main else 0

    def ended_with(self) -> int | None:
        """The main process' exit status; None while it lives."""
        assert self.main is not None
        status: int | None = self.main.poll()
        return status

    def ask_to_end(self) -> None:
        """The sessions begin no new work; the cluster ends when they have ended."""
        self._write_note()
        with contextlib.suppress(psutil.NoSuchProcess):
            if self.main is not None:
                self.main.terminate()

    def let_go(self) -> None:
        """The same without the cluster: who has no work at hand is killed at once, so that nobody
        is left to begin some."""
        self._write_note()
        while idle := self._idle():  # and whom they forked meanwhile
            _kill(idle)

    def has_ended(self) -> bool:
        """After `ask_to_end`: whether there is nobody left to wait for."""
        is_gone = self.ended_with() is not None and not self._at_work()
        return is_gone or self._is_out_of_time()

    def has_worked(self) -> bool:
        """The same after `let_go`: without a cluster workers would wait for tasks for ever."""
        return not self._at_work() or self._is_out_of_time()

    def kill(self) -> None:
        while processes := self.processes():
            _kill(processes)
        if self.main is not None:
            self.main.wait()
        self.note.unlink(missing_ok=True)

    def _write_note(self) -> None:
        self.note.touch()
        self.asked_at = self.asked_at or time.monotonic()

    def _is_out_of_time(self) -> bool:
        assert self.asked_at is not None
        return time.monotonic() - self.asked_at > LET_END

    def _idle(self) -> list[psutil.Process]:
        busy = {one.pid for worker in self._at_work() for one in _with_children(worker)}
        return [one for one in self.processes() if one.pid not in busy]

    def _at_work(self) -> list[psutil.Process]:
        """Those with a session under way: they hold its lease, or have not signed off yet."""
        host = socket.gethostname()
        workers = Worker.objects.filter(host=host).exclude(kind="cluster")
        busy = {*_sessions(), *workers.values_list("pid", flat=True)}
        return [one for one in self.processes() if one.pid in busy]


def free_the_dead() -> None:
    """Sessions that were killed hold their lease for a while: not where we see that they died."""
    for pid, lease in _sessions().items():
        if not _lives(pid):
            lease.release()


def _sessions() -> dict[int, Lease]:
    """The leases that processes of this host hold, by process."""
    host, _, _own = me("").rpartition(":")
    held = Lease.objects.filter(expires_at__gt=db_now(), holder__contains=f"{host}:")
    return {int(lease.holder.rpartition(":")[2]): lease for lease in held}


def _marked() -> dict[str, list[psutil.Process]]:
    """The living processes of all starts on this host, by mark."""
    found: dict[str, list[psutil.Process]] = defaultdict(list)
    # Others' processes are closed to us, and the dead have no environment.
    for process in psutil.process_iter(["environ"]):
        if note := (process.info["environ"] or {}).get(STOP_NOTE):
            found[note].append(process)
    return found


def _cluster_of(note: Path) -> str:
    return note.name.rpartition("-")[0]


def _lives(pid: int) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


def _with_children(process: psutil.Process) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [process, *process.children(recursive=True)]
    return []


def _kill(processes: Iterable[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    time.sleep(0.05)


def _end_with_parent() -> None:
    """Linux ends this process when its supervisor is killed."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)
