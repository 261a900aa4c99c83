"""Keeping a django-q2 cluster alive: a canary proves that it works, a deaf one is replaced.

A cluster whose workers were killed can stay up and execute nothing for ever; its own supervision
does not notice. So a task that says "I was executed" is rung for every half minute.

A start that died or fell deaf is not waited for: the next one begins at once, and beside it the
sessions that have work at hand end that. It is safe because leases, not processes, say who works
on what; a short wait instead would cut off appeals in the middle of their sending.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from datetime import datetime, timedelta

from django.conf import settings
from django.utils import timezone

from devices.models import Worker
from orchestrator_site.rhythm import Rhythm
from orchestrator_site.stopping import Stop, run_folder
from queues import doorbell, sentences
from queues.doorbell import Standing
from queues.locking import held
from queues.mirror import session
from queues.starts import Start, free_the_dead

logger = logging.getLogger(__name__)
LOOK_EVERY = 1.0  # seconds
SING_EVERY = 30.0
DEAF_AFTER = timedelta(seconds=90)
# One that died may have held the lock of the queue that all others wait at.
DEAF_AFTER_A_DEATH = timedelta(seconds=5)


class Cluster:
    """One cluster of this host, as processes that are watched."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.row = Worker(
            name=f"cluster {name}@{settings.WORKER_ID}",
            kind="cluster",
            host=socket.gethostname(),
            pid=os.getpid(),
        )
        self.standing: Standing | None = None  # of the present start
        self.died_at: datetime | None = None  # the last of django-q2's processes
        self.let_go: list[Start] = []

    def supervise(self, stop: Stop) -> None:
        """Run the cluster until a stop is asked for, replacing it when it dies or falls deaf.

        Raises Held, having touched nothing, where another process of this host does so already.
        """
        with held(run_folder() / f"{self.name}@{socket.gethostname()}.lock"):
            for start in Start.left(self.name):
                logger.warning("cluster %s: an earlier start was left working", self.name)
                self._let_go(start)
            doorbell.schedule_ticks([self.name])
            if self.name == "scrapers" and not settings.MONGODB_URI:
                session.switch_off()  # else what nobody publishes would be written down for ever
            while not stop():
                self._run_once(stop)
            self.row.leave()

    def _run_once(self, stop: Stop) -> None:
        start = Start.begin(self.name)
        try:
            self._greet()
            if self._is_to_be_replaced(start, stop):
                self._let_go(start)
        finally:
            if start not in self.let_go:  # a stop, or an error of ours
                self._end(start)

    def _greet(self) -> None:
        self.row.beat(sentences.STARTED)
        self.standing, self.died_at = None, None
        free_the_dead()
        doorbell.ring_ticks(self.name)  # the first schedule would pass half a minute later

    def _is_to_be_replaced(self, start: Start, stop: Stop) -> bool:
        """Watch until it is dead or does not work any more; False: a stop was asked for."""
        rhythm = Rhythm()
        while not stop.wait(LOOK_EVERY):
            self._see_off()
            try:
                rhythm.every(SING_EVERY, "sing", self._sing)
                fault = self._fault(start)
            except doorbell.BROKER_AWAY as error:  # it may be back before the cluster falls deaf
                logger.warning("cluster %s: no broker: %s", self.name, error)
                continue
            if fault:
                logger.error("cluster %s %s: replaced", self.name, fault)
                return True
        return False

    def _fault(self, start: Start) -> str:
        """Why it has to be replaced; what can be healed is."""
        if (status := start.ended_with()) is not None:
            return f"ended with {status}"
        if (now := doorbell.standing_of(start.pid)) and now != self.standing:
            before, self.standing = self.standing, now
            if _has_lost_its_monitor(before, now):
                return "takes in no results"
            if before:
                self._heal()
        return "executes nothing" if self._is_deaf() else ""

    def _heal(self) -> None:
        """Begin again what a process of the cluster was doing when it died."""
        self.died_at = timezone.now()
        free_the_dead()
        self._sing()
        doorbell.ring_ticks(self.name)

    def _sing(self) -> None:
        doorbell.ring(self.name, "queues.supervision.sing", self.row.name, os.getpid())

    def _is_deaf(self) -> bool:
        now = timezone.now()
        row = Worker.objects.filter(name=self.row.name).first()
        heard = row.heartbeat_at if row else now
        if self.died_at and heard < self.died_at and now - self.died_at > DEAF_AFTER_A_DEATH:
            return True
        return now - heard > DEAF_AFTER

    def _let_go(self, start: Start) -> None:
        start.let_go()
        self.let_go.append(start)

    def _see_off(self) -> None:
        """Kill the starts that were let go and have nothing at hand any more."""
        for start in [one for one in self.let_go if one.has_worked()]:
            self.let_go.remove(start)
            start.kill()
            free_the_dead()
            doorbell.ring_ticks(self.name)  # its slots are free

    def _end(self, start: Start) -> None:
        """Let everybody end the work at hand; whoever is still there then is killed."""
        try:
            start.ask_to_end()
            while not start.has_ended() or not all(one.has_worked() for one in self.let_go):
                time.sleep(0.1)
        finally:
            for one in (start, *self.let_go):
                one.kill()


def _has_lost_its_monitor(before: Standing | None, now: Standing) -> bool:
    """The new one waits for the lock of the dead one for ever: tasks are executed, and stay in the
    queue. Who it was that died before the first look is not known."""
    return now.monitor != before.monitor if before else now.replaced > 0


def sing(name: str, pid: int) -> None:
    """The canary: executed on the cluster, it says that the cluster executes."""
    Worker(name=name, kind="cluster", host=socket.gethostname(), pid=pid).beat(sentences.EXECUTES)
