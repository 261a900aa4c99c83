"""Let the brain or the distribution run again, as the overview's buttons do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain.assigning import DISTRIBUTION
from brain.cycles import BRAIN
from orchestrator_site.commands import ActingCommand
from orchestrator_site.models import Pause


class Command(ActingCommand):
    help = "Let the brain or the distribution run again after a pause."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("loop", choices=(BRAIN, DISTRIBUTION))
        parser.add_argument("--reason", required=True, help="why, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        if Pause.of(options["loop"]) is None:
            raise CommandError(f"The {options['loop']} is not paused.")
        Pause.end(options["loop"], options["reason"])
        if options["json"]:
            self.put_json({"loop": options["loop"], "paused": False})
        else:
            self.stdout.write(f"The {options['loop']} runs again.")
