"""A filing worker in the foreground."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.db import close_old_connections

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.commands import ActingCommand
from orchestrator_site.sessions import IDLE, me
from orchestrator_site.stopping import stop_on_signals
from queues.models import TramiteTask
from queues.workers import TramiteWorker


class Command(ActingCommand):
    help = "File appeals from tramite_queue in a browser, until stopped or (--drain) none is left."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--drain", action="store_true", help="end when nothing is left to do")
        parser.add_argument("--once", action="store_true", help="at most one task")

    def handle(self, *args: Any, **options: Any) -> None:
        name = me("tramite")
        done = 0
        with stop_on_signals() as stop, acting_as(ActorKind.WORKER, name):
            worker = TramiteWorker(name)
            try:
                while not stop():
                    close_old_connections()
                    worked = worker.step(stop)
                    done += worked
                    if options["once"] or (options["drain"] and not worked and _is_drained()):
                        break
                    if not worked:
                        stop.wait(IDLE)
            finally:
                worker.close()
        if options["json"]:
            self.put_json({"worker": name, "attempts": done})
        else:
            self.stdout.write(f"{name}: {done} attempts")


def _is_drained() -> bool:
    """Neither waiting (a later retry included) nor running anywhere."""
    status = TramiteTask.Status
    return not TramiteTask.objects.filter(status__in=(status.PENDING, status.PROCESSING)).exists()
