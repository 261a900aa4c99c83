"""What the django-q2 clusters `workers` and `scrapers` call."""

from __future__ import annotations

import time

from django.conf import settings

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.sessions import me, run_leased
from orchestrator_site.stopping import Stop, note_for
from queues import upkeep
from queues.mirror import session as mirror
from queues.models import QueueEntry, TramiteTask
from queues.posting import ScraperWorker
from queues.workers import TramiteWorker


def tramite_session(slot: int) -> bool:
    """A filing worker for some minutes; at once done where this host's slot is taken."""
    name = me("tramite")
    with acting_as(ActorKind.WORKER, name):
        worker = TramiteWorker(name)
        try:
            lease = f"tramite:{settings.WORKER_ID}:{slot}"
            channel = TramiteTask._meta.db_table
            return run_leased(lease, worker.step, Stop(note_for("workers")), channel=channel)
        finally:
            worker.close()


def scraper_session(slot: int) -> bool:
    """A worker that calls the scrapers, in the same way. The next one begins while the calls of
    this one are answered."""
    name = me("scrapers")
    stop = Stop(note_for("scrapers"))
    with acting_as(ActorKind.WORKER, name):
        worker = ScraperWorker(name)
        try:
            lease = f"scrapers:{settings.WORKER_ID}:{slot}"
            channel = QueueEntry._meta.db_table
            worked = run_leased(lease, worker.step, stop, channel=channel)
            if worked:
                _hear_answers(worker, stop)
            return worked
        finally:
            worker.close()


def mirror_session() -> bool:
    """Tell Mongo what changes and take in what is written there, for some minutes. A schedule can
    outlive the setting: then there is nothing to tell any more."""
    with acting_as(ActorKind.SYSTEM, "mirror"):
        if not settings.MONGODB_URI:
            mirror.switch_off()
            return False
        return mirror.run(Stop(note_for("scrapers")))


def sweep() -> int:
    """Settle the tasks of workers that fell silent, where no worker is alive to do it."""
    with acting_as(ActorKind.SYSTEM, "sweep"):
        return len(TramiteTask.objects.sweep())


def keep_devices() -> dict[str, int]:
    """What time alone does to tasks, devices and people, where no worker is alive to see it."""
    with acting_as(ActorKind.SYSTEM, "upkeep"):
        return upkeep.keep()


def _hear_answers(worker: ScraperWorker, stop: Stop) -> None:
    """Write down what the calls under way are answered, and call nobody any more."""
    until = time.monotonic() + settings.SCRAPER_TIMEOUT.total_seconds()
    while not stop() and time.monotonic() < until and worker.step(lambda: True):
        pass
