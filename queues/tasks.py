"""What the django-q2 clusters `workers` and `scrapers` call."""

from __future__ import annotations

import time

from django.conf import settings

from orchestrator_site import bulk
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.sessions import me, run_leased
from orchestrator_site.stopping import Stop, note_for
from queues import doorbell, job_upkeep, live, upkeep, webhook_sending
from queues.dispatching import Dispatcher
from queues.job_worker import JobWorker
from queues.mirror import session as mirror
from queues.models import Job, QueueEntry, TramiteTask, WebhookDelivery
from queues.posting import ScraperWorker
from queues.webhook_sending import WebhookSender
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


def job_session(slot: int) -> bool:
    """A worker of organisations' jobs, in the same way. With Redis these are not the cluster's."""
    if live.transport():
        return False
    name, stop = me("jobs"), Stop(note_for("workers"))
    with acting_as(ActorKind.WORKER, name):
        worker = JobWorker(name)
        try:
            lease = f"jobs:{settings.WORKER_ID}:{slot}"
            worked = run_leased(lease, worker.step, stop, channel=Job._meta.db_table)
        finally:
            worker.close()
    if worked and not stop():
        doorbell.ring("workers", "queues.tasks.job_session", slot)  # a tick could be a minute off
    return worked


def dispatch_session() -> bool:
    """Give jobs to the isolated workers over Redis, for some minutes; at once done where another
    process does."""
    way = live.transport()
    if way is None:
        return False
    name, stop = me("dispatcher"), Stop(note_for("workers"))
    with acting_as(ActorKind.SYSTEM, name):
        dispatcher = Dispatcher(name, way)
        try:
            worked = run_leased("dispatcher", dispatcher.turn, stop)
        finally:
            dispatcher.close()
    if worked and not stop():
        doorbell.ring("workers", "queues.tasks.dispatch_session")
    return worked


def webhook_session() -> bool:
    """Send webhooks for some minutes; at once done where another process does. One sender for
    all hosts: so many calls to one address are all that there are."""
    name = me("webhooks")
    with acting_as(ActorKind.WORKER, name):
        sender = WebhookSender(name)
        try:
            channel = WebhookDelivery._meta.db_table
            return run_leased("webhooks", sender.step, Stop(note_for("workers")), channel=channel)
        finally:
            sender.close()


def mirror_session() -> bool:
    """Tell Mongo what changes and take in what is written there, for some minutes. A schedule can
    outlive the setting: then there is nothing to tell any more."""
    with acting_as(ActorKind.SYSTEM, "mirror"):
        if not settings.MONGODB_URI:
            mirror.switch_off()
            return False
        return mirror.run(Stop(note_for("scrapers")))


def bulk_session() -> bool:
    """Go on with what staff asked for on many rows; at once done where nothing waits."""
    is_left = bulk.session(Stop(note_for("brain")), settings.LOOP_SESSION)
    if is_left:
        doorbell.ring("brain", "queues.tasks.bulk_session")
    return is_left


def sweep() -> int:
    """Settle the tasks of workers that fell silent, where no worker is alive to do it."""
    with acting_as(ActorKind.SYSTEM, "sweep"):
        swept = len(TramiteTask.objects.sweep()) + webhook_sending.sweep()
        return swept + job_upkeep.sweep()


def keep_devices() -> dict[str, int]:
    """What time alone does to tasks, devices and people, where no worker is alive to see it."""
    with acting_as(ActorKind.SYSTEM, "upkeep"):
        return upkeep.keep()


def _hear_answers(worker: ScraperWorker, stop: Stop) -> None:
    """Write down what the calls under way are answered, and call nobody any more."""
    until = time.monotonic() + settings.SCRAPER_TIMEOUT.total_seconds()
    while not stop() and time.monotonic() < until and worker.step(lambda: True):
        pass
