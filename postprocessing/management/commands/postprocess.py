"""Complaints' files into the table and the bucket."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from orchestrator_site.commands import ActingCommand
from orchestrator_site.stopping import Stop, stop_on_signals
from postprocessing import pipeline, reporting
from postprocessing.models import UnknownCompany, companies, company_called
from postprocessing.pipeline import COUNTED, CompanyResult, CompleteResult

LISTED = 50  # faults that are shown
EVERY = 5.0  # seconds, a line where there is no terminal
Tell = Callable[[str, int, int | None], None]


class Command(ActingCommand):
    help = (
        "Load the companies' files of complaints and upload them: what changed since the last run, "
        "or with --full all of them. Ctrl-C ends after the batch at hand; the next run goes on. "
        "Exit status 1 where anything was refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_companies(parser)
        parser.add_argument("--database-only", action="store_true", help="upload nothing")
        parser.add_argument("--full", action="store_true", help="read every file again")
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing, say what would be done"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = names_of(options["companies"])
        with stop_on_signals() as stop, progress() as told:
            done = CompleteResult([self._run(name, options, told, stop) for name in names])
        if options["json"]:
            self.put_json(done.as_dict())
        else:
            self._put(done, options["dry_run"])
            put_notes(self, any(one.is_simulated for one in done.companies))
        if not done.success:
            raise CommandError(self._problem(done))

    def _run(self, name: str, options: dict[str, Any], told: Tell, stop: Stop) -> CompanyResult:
        if stop():
            return CompanyResult(name, error="not begun: stopped before")
        flags = {key: options[key] for key in ("database_only", "full", "dry_run")}
        (result,) = pipeline.run_complete_post_processing(
            [name], **flags, told=lambda what, *counts: told(f"{name}: {what}", *counts), stop=stop
        ).companies
        return result

    def _put(self, done: CompleteResult, is_dry: bool) -> None:
        self.put_table(
            "Dry run, nothing written" if is_dry else "Post-processing",
            ("", *(one.company for one in done.companies)),
            [(name, *(getattr(one, name) for one in done.companies)) for name in COUNTED],
        )
        faults = [(one.company, fault) for one in done.companies for fault in one.faults]
        if faults:
            self.put_table(
                "Refused",
                ("company", "file", "record", "reason"),
                [
                    (company, fault["file"], fault["record"] or "", fault["reason"])
                    for company, fault in faults[:LISTED]
                ],
            )
        refused = sum(one.db_errors + one.s3_errors for one in done.companies)
        if (more := max(refused, len(faults)) - LISTED) > 0:
            self.stdout.write(f"... and {more} more.")
        if warnings := sum(len(one.warnings) for one in done.companies):
            self.stdout.write(f"{warnings} warning{'' if warnings == 1 else 's'}.")

    def _problem(self, done: CompleteResult) -> str:
        told = [f"{one.company}: {one.error}" for one in done.companies if one.error]
        refused = sum(one.db_errors + one.s3_errors for one in done.companies)
        if refused:
            told.append(f"{refused} {'was' if refused == 1 else 'were'} refused")
        return "; ".join(told) + "."


def add_companies(parser: CommandParser) -> None:
    parser.add_argument(
        "companies", nargs="*", metavar="COMPANY", help="default: every company that there is"
    )


def names_of(asked: list[str]) -> list[str]:
    """Those that were asked for, each once, or all. Raises CommandError."""
    try:
        return [company_called(name).name for name in dict.fromkeys(asked)] or [
            one.name for one in companies()
        ]
    except UnknownCompany as error:
        raise CommandError(str(error)) from error


def put_notes(command: ActingCommand, is_simulated: bool) -> None:
    """What stands below every table: what its counts do not tell."""
    if is_simulated:
        command.stdout.write(
            "Simulated: AWS_ACCESS_KEY_ID is not set. Objects are kept on this machine and count "
            "in no coverage; what “pre_existing” counts was simulated before."
        )
    for name in reporting.undeclared():
        command.stdout.write(
            f"Not processed: no company is called {name}, of which there is a folder."
        )


@contextmanager
def progress() -> Iterator[Tell]:
    """On the standard error: a bar for each thing that is told of; a line every few seconds where
    there is no terminal."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lines(lambda line: console.print(line, highlight=False, soft_wrap=True))
        return
    with Progress(console=console, transient=True) as bar:
        tasks: dict[str, Any] = {}

        def told(what: str, done: int, of: int | None = None) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=of)
            bar.update(tasks[what], completed=done, total=of)

        yield told


def lines(put: Callable[[str], object], every: float = EVERY) -> Tell:
    """Tells by lines, `every` seconds one at most."""
    last = time.monotonic()

    def told(what: str, done: int, of: int | None = None) -> None:
        nonlocal last
        if (now := time.monotonic()) - last >= every:
            put(f"{what}: {done}" + (f" of {of}" if of else ""))
            last = now

    return told
