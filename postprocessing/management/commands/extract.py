"""Complaints from the companies' sites into the table and the bucket."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from orchestrator_site.commands import ActingCommand
from postprocessing import reporting
from postprocessing.management.commands.postprocess import (
    Tell,
    add_companies,
    names_of,
    progress,
    put_notes,
)
from postprocessing.managers import ManagerAnswer, manager_called

COUNTED = (
    *("db_inserted", "db_updated", "db_duplicates", "db_errors"),
    *("s3_uploaded", "s3_pre_existing", "s3_simulated", "s3_errors", "processing_time"),
)


class Command(ActingCommand):
    help = (
        "Extract complaints from the companies' sites, then load and upload them. Every complaint "
        "is looked at each time, since only its own page tells whether it was answered; a file is "
        "written where it is new or says something else. What cannot be extracted does not keep "
        "what is there from being processed. Exit status 1 where not all went well."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_companies(parser)
        parser.add_argument("--database-only", action="store_true", help="upload nothing")

    def handle(self, *args: Any, **options: Any) -> None:
        names = names_of(options["companies"])
        with progress() as told:
            answers = [self._run(name, options["database_only"], told) for name in names]
        if options["json"]:
            self.put_json([answer.as_dict() for answer in answers])
        else:
            self._put(answers)
            put_notes(self, reporting.is_simulated() and not options["database_only"])
        if wrong := [answer.service for answer in answers if not answer.success]:
            raise CommandError(f"Not all went well: {', '.join(wrong)}.")

    def _run(self, name: str, database_only: bool, told: Tell) -> ManagerAnswer:
        return manager_called(name).run(
            database_only=database_only,
            told=lambda what, *counts: told(f"{name}: {what}", *counts),
        )

    def _put(self, answers: list[ManagerAnswer]) -> None:
        own = ("success", "duration", "files_downloaded", "pqr_processed")
        rows = [(name, *(getattr(one, name) for one in answers)) for name in own]
        rows += [(name, *(one.post_processing[name] for one in answers)) for name in COUNTED]
        title = "Extraction and post-processing"
        self.put_table(title, ("", *(one.service for one in answers)), rows)
        for one in answers:
            for error in filter(None, (*one.errors, one.post_processing["error"])):
                self.stdout.write(f"{one.service}: {error}")
