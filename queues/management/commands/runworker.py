"""A worker in the foreground: one that files appeals, or one that calls scrapers."""

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
from queues.models import Generator, QueueEntry, TramiteTask
from queues.posting import ScraperWorker
from queues.workers import TramiteWorker

Tasks = models.QuerySet[TramiteTask] | models.QuerySet[QueueEntry]


class Command(ActingCommand):
    help = (
        "File appeals from tramite_queue in a browser, or (--generator) hand a generator's people "
        "to its scraper, until stopped or (--drain) none is left."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--generator", default="", help="call this generator's scraper")
        parser.add_argument("--drain", action="store_true", help="end when nothing is left to do")
        parser.add_argument("--once", action="store_true", help="at most one task")

    def handle(self, *args: Any, **options: Any) -> None:
        begun = timezone.now()
        worker, tasks = _chosen(options["generator"], 1 if options["once"] else None)
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


def _is_drained(tasks: Tasks) -> bool:
    """Neither waiting (a later retry included) nor running anywhere."""
    return not tasks.filter(status__in=(tasks.model.WAITING, tasks.model.RUNNING)).exists()
