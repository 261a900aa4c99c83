"""Pause the brain or the distribution, as the overview's buttons do."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain.assigning import DISTRIBUTION
from brain.cycles import BRAIN
from orchestrator_site.commands import ActingCommand
from orchestrator_site.models import Pause


class Command(ActingCommand):
    help = "Pause the brain (no cycle begins) or the distribution (nobody is assigned)."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("loop", choices=(BRAIN, DISTRIBUTION))
        parser.add_argument("--reason", required=True, help="why, for the record")

    def handle(self, *args: Any, **options: Any) -> None:
        if not Pause.begin(options["loop"], options["reason"]):
            raise CommandError(f"The {options['loop']} is paused already.")
        if options["json"]:
            self.put_json({"loop": options["loop"], "paused": True})
        else:
            self.stdout.write(f"The {options['loop']} is paused.")
