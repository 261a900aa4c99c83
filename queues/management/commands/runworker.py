"""A worker in the foreground: of appeals, of a scraper's people, or of organisations' jobs."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import close_old_connections, models
from django.utils import timezone

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.commands import ActingCommand
from orchestrator_site.models import Event
from orchestrator_site.sessions import IDLE, me
from orchestrator_site.stopping import stop_on_signals
from orchestrator_site.waking import Bell
from queues import live
from queues.dispatching import Dispatcher
from queues.job_worker import JobWorker
from queues.models import Generator, Job, QueueEntry, TramiteTask
from queues.posting import ScraperWorker
from queues.workers import TramiteWorker

Tasks = models.QuerySet[TramiteTask] | models.QuerySet[QueueEntry] | models.QuerySet[Job]


class Command(ActingCommand):
    help = (
        "File appeals from tramite_queue in a browser, or (--generator) hand a generator's people "
        "to its scraper, or (--jobs) run organisations' jobs or, with Redis, give them to the "
        "isolated workers; until stopped or (--drain) none is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--generator", default="", help="call this generator's scraper")
        which.add_argument("--jobs", action="store_true", help="organisations' jobs")
        parser.add_argument("--drain", action="store_true", help="end when nothing is left to do")
        parser.add_argument("--once", action="store_true", help="at most one task")

    def handle(self, *args: Any, **options: Any) -> None:
        begun = timezone.now()
        at_once = 1 if options["once"] else None
        worker, tasks = _of_jobs() if options["jobs"] else _chosen(options["generator"], at_once)
        channel = tasks.model._meta.db_table
        with (
            stop_on_signals() as stop,
            acting_as(ActorKind.WORKER, worker.name),
            Bell(channel, stop) as bell,
        ):
            try:
                while not stop():
                    close_old_connections()
                    worked = worker.step(stop)
                    if options["once"] or (options["drain"] and not worked and _is_drained(tasks)):
                        break
                    if not worked:
                        bell.wait(IDLE)
            finally:
                worker.close()
        attempts = Event.objects.filter(
            at__gte=begun, actor=worker.name, old=tasks.model.WAITING, new=tasks.model.RUNNING
        ).count()
        if options["json"]:
            self.put_json({"worker": worker.name, "attempts": attempts})
        else:
            self.stdout.write(f"{worker.name}: {attempts} attempts")


def _chosen(generator: str, at_once: int | None) -> tuple[TramiteWorker | ScraperWorker, Tasks]:
    """The worker, and the tasks that it is for."""
    if not generator:
        return TramiteWorker(me("tramite")), TramiteTask.objects.all()
    rows = {row.name: row for row in Generator.objects.all()}
    if generator not in rows:
        raise CommandError(f"No generator {generator}. There are: {', '.join(rows)}")
    if rows[generator].is_worked_from_mongo:
        raise CommandError(
            f"{generator} is worked by old workers, from Mongo. "
            "To work it here, choose our workers on its page in the admin first."
        )
    worker = ScraperWorker(me("scrapers"), generator, at_once)
    # Switched over meanwhile, they are no longer this worker's to wait for.
    ours = Generator.WorkedBy.OURS
    return worker, QueueEntry.objects.filter(generator__name=generator, generator__worked_by=ours)


def _of_jobs() -> tuple[JobWorker | Dispatcher, Tasks]:
    """The dispatcher where isolated workers run them."""
    way = live.transport()
    worker = Dispatcher(me("dispatcher"), way) if way else JobWorker(me("jobs"))
    return worker, Job.objects.all()


def _is_drained(tasks: Tasks) -> bool:
    """Neither waiting (a later retry included) nor running anywhere."""
    return not tasks.filter(status__in=(tasks.model.WAITING, tasks.model.RUNNING)).exists()
