"""File an appeal once more."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain import enqueuing
from orchestrator_site.commands import ActingCommand
from queues.models import TramiteTask


class Command(ActingCommand):
    help = "Queue a finished task again, with the organismo's flow as it is now."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("task", type=int, help="the task's id")
        parser.add_argument("--reason", required=True, help="why, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        task = TramiteTask.objects.filter(pk=options["task"]).first()
        if task is None:
            raise CommandError(f"There is no task {options['task']}.")
        try:
            again = enqueuing.rerun(task, options["reason"])
        except enqueuing.NotQueued as error:
            raise CommandError(str(error)) from error
        if options["json"]:
            self.put_json({"task": again.pk, "run": again.run, "status": again.status})
        else:
            self.stdout.write(f"Task {again.pk} queued: run {again.run} of {again}.")
