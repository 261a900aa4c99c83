"""People to look up, from a file into the database."""

from __future__ import annotations

import csv
import os
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, BinaryIO

from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from orchestrator_site.commands import ActingCommand
from queues import importing
from queues.documents import Kind
from queues.importing import Line, Outcome, Report

COLUMNS = ("outcome", "nbc_id", "field", "reason")  # after the line, or the element
Teller = Callable[[Line], object]


class Command(ActingCommand):
    help = (
        "Create people to look up from JSON (a list, or a document a line; Mongo's extended JSON "
        "too) or CSV. What is there already stays as it is; a line that is refused stops nothing."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", help="the file, or - for standard input")
        parser.add_argument(
            "--format", choices=list(Kind), default="", help="default: as the file begins"
        )
        parser.add_argument("--dry-run", action="store_true", help="write nothing, say what would")
        parser.add_argument("--report", type=Path, help="write what became of each line as CSV")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            report = self._import(options)
        except (OSError, importing.Malformed) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        if options["json"]:
            self.put_json(report.as_dict())
        else:
            self._put(report)
        if count := report.counts[Outcome.REFUSED]:
            unit = report.refused[0].unit
            raise CommandError(f"{count} {unit}{' was' if count == 1 else 's were'} refused.")

    def _import(self, options: dict[str, Any]) -> Report:
        with ExitStack() as stack:
            file = stack.enter_context(_opened(options["file"]))
            file, shown = stack.enter_context(_progress(file))
            tellers = [shown, stack.enter_context(_written(options["report"]))]
            return importing.import_people(
                file,
                Path(options["file"]).name,
                options["format"],
                dry_run=options["dry_run"],
                told=lambda line: [tell(line) for tell in tellers],
            )

    def _put(self, report: Report) -> None:
        counts = {outcome.value: report.counts[outcome] for outcome in Outcome}
        if report.refused:
            self.put_table(
                "Refused",
                (report.refused[0].unit, "nbc_id", "field", "reason"),
                [(line.number, line.nbc_id, line.field, line.reason) for line in report.refused],
            )
        more = counts[Outcome.REFUSED] - len(report.refused)
        if more:
            self.stdout.write(f"... and {more} more: see --report.")
        head = "Dry run, nothing written: " if report.dry_run else ""
        self.stdout.write(head + ", ".join(f"{count} {name}" for name, count in counts.items()))


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file


@contextmanager
def _progress(file: BinaryIO) -> Iterator[tuple[BinaryIO, Teller]]:
    """A bar that fills with what is read of the file, and tells the lines by outcome."""
    counts: Counter[str] = Counter()
    with Progress(console=Console(stderr=True), transient=True) as bar:
        size = os.fstat(file.fileno()).st_size or None  # a pipe has none
        task = bar.add_task("reading", total=size)

        def told(line: Line) -> None:
            counts[line.outcome] += 1
            if counts.total() % importing.BATCH == 0:
                words = ", ".join(f"{count} {name}" for name, count in counts.items())
                bar.update(task, description=words)

        yield (bar.wrap_file(file, task_id=task) if size else file), told


@contextmanager
def _written(path: Path | None) -> Iterator[Teller]:
    """What writes the report of each line, where one is wanted. Its head names what is counted."""
    if path is None:
        yield lambda line: None
        return
    try:
        file = path.open("w", newline="", encoding="utf-8")
    except OSError as error:  # which is not the input's
        raise CommandError(f"--report: {error}") from error
    with file:
        writer = csv.writer(file)
        has_head = False

        def told(line: Line) -> None:
            nonlocal has_head
            if not has_head:
                writer.writerow((line.unit, *COLUMNS))
            has_head = True
            writer.writerow((line.number, *(getattr(line, name) for name in COLUMNS)))

        yield told
