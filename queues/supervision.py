"""Keeping a django-q2 cluster alive: a canary proves that it works, a deaf one is restarted.

A cluster whose workers were killed can stay up and execute nothing for ever; its own supervision
does not notice. So a task that says "I was executed" is rung for every half minute.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import socket
import sys
import time
from pathlib import Path

import psutil
from django.conf import settings
from django.utils import timezone

from devices.models import Worker
from orchestrator_site.stopping import Stop, note_for
from queues import doorbell

logger = logging.getLogger(__name__)
SING_EVERY = 30.0  # seconds
DEAF_AFTER = 90.0
LET_END = 75.0  # for the work at hand, after a stop was asked for
LOOK_EVERY = 1.0


class Cluster:
    """One cluster of this host, as a process that is watched."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.row = Worker(
            name=f"cluster {name}@{settings.WORKER_ID}",
            kind="cluster",
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        self.record = Path(settings.DATA_DIR) / "run" / f"{name}.pids"
        self.record.parent.mkdir(parents=True, exist_ok=True)
        # Known while it lives: once the first process is gone, its orphans cannot be found.
        self.family: list[psutil.Process] = []

    def supervise(self, stop: Stop) -> None:
        """Run the cluster until a stop is asked for, restarting it when it dies or falls deaf."""
        note_for(self.name).unlink(missing_ok=True)
        self._kill_leftovers()
        doorbell.schedule_ticks([self.name])
        while not stop():
            process = self._start()
            try:
                self._watch(process, stop)
            finally:
                self._end(process, gently=stop())
        self.row.leave()

    def _start(self) -> psutil.Popen:
        manage = Path(settings.BASE_DIR) / "manage.py"
        process = psutil.Popen(
            [sys.executable, str(manage), "qcluster"],
            env={**settings.ENVIRON, "Q_CLUSTER_NAME": self.name},
            # Out of our process group: a signal to the whole group hangs django-q2.
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
        self.row.beat("started")
        doorbell.ring_ticks(self.name)  # the first schedule would pass half a minute later
        return process

    def _watch(self, process: psutil.Popen, stop: Stop) -> None:
        """Return when a stop is asked for, the process ended, or it executes nothing any more."""
        sung = 0.0
        while not stop.wait(LOOK_EVERY):
            if process.poll() is not None:
                logger.error("cluster %s ended with %s: restarting", self.name, process.poll())
                return
            self._note_family(process)
            if time.monotonic() - sung >= SING_EVERY:
                sung = time.monotonic()
                doorbell.ring(self.name, "queues.supervision.sing", self.row.name, os.getpid())
            if self._silence() > DEAF_AFTER:
                logger.error("cluster %s executes nothing: restarting", self.name)
                return

    def _silence(self) -> float:
        row = Worker.objects.filter(name=self.row.name).first()
        return (timezone.now() - row.heartbeat_at).total_seconds() if row else 0.0

    def _end(self, process: psutil.Popen, *, gently: bool) -> None:
        """Ask the sessions to end, then the cluster; whoever is still there then is killed."""
        note = note_for(self.name)
        if gently:
            note.touch()
        with contextlib.suppress(psutil.NoSuchProcess):
            process.terminate()
        _gone, alive = psutil.wait_procs(self.family, timeout=LET_END if gently else 5)
        _kill(alive)
        note.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)

    def _note_family(self, process: psutil.Popen) -> None:
        family = _family(process)
        if family and family != self.family:
            self.family = family
            known = [(one.pid, one.create_time()) for one in family]
            self.record.write_text(json.dumps(known))

    def _kill_leftovers(self) -> None:
        """End what a supervisor that was killed left working."""
        if not self.record.exists():
            return
        for pid, started in json.loads(self.record.read_text() or "[]"):
            with contextlib.suppress(psutil.NoSuchProcess):
                process = psutil.Process(pid)
                if abs(process.create_time() - started) < 1:
                    logger.warning("killing a leftover of cluster %s: %s", self.name, pid)
                    process.kill()
        self.record.unlink(missing_ok=True)


def sing(name: str, pid: int) -> None:
    """The canary: executed on the cluster, it says that the cluster executes."""
    Worker(name=name, kind="cluster", host=socket.gethostname(), pid=pid).beat("executes")


def _end_with_parent() -> None:
    """Linux ends this process when its supervisor is killed."""
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _family(process: psutil.Popen) -> list[psutil.Process]:
    with contextlib.suppress(psutil.NoSuchProcess):
        return [psutil.Process(process.pid), *process.children(recursive=True)]
    return []


def _kill(processes: list[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(processes, timeout=5)
