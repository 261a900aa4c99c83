"""Write the audit into a file."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils import timezone
from django.utils.dateparse import parse_date, parse_datetime

from orchestrator_site import auditing, exporting
from orchestrator_site.audit_exporting import lines
from orchestrator_site.commands import ActingCommand
from orchestrator_site.models import AuditEntry


class Command(ActingCommand):
    help = "Seal what happened until now, and write the audit into a file, oldest entry first."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", type=Path)
        parser.add_argument(
            "--format", choices=exporting.FORMATS, help="otherwise as the file's name ends"
        )
        parser.add_argument(
            "--since", metavar="WHEN", help="from this day or moment on: 2026-03-01, or with a time"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        path: Path = options["file"]
        kind = options["format"] or path.suffix.removeprefix(".").lower()
        if kind not in exporting.FORMATS:
            known = ", ".join(exporting.FORMATS)
            raise CommandError(f"What format is {path.name}? Give --format: {known}.")
        auditing.collect()
        entries = AuditEntry.objects.all()
        if options["since"]:
            entries = entries.filter(at__gte=_moment(options["since"]))
        self._write(path, kind, entries)
        count = entries.count()
        if options["json"]:
            self.put_json({"file": str(path), "entries": count})
        else:
            self.stdout.write(f"{count} entries in {path}")

    def _write(self, path: Path, kind: str, entries: Any) -> None:
        """All of it or nothing: a file that is there already stays until the new one is whole."""
        staged = path.with_name(f".{path.name}.part")
        try:
            with staged.open("wb") as file:
                exporting.FORMATS[kind].write(lines(entries, kind), file)
            staged.replace(path)
        except (OSError, ValueError) as error:
            raise CommandError(f"{path} cannot be written: {error}") from error
        finally:
            staged.unlink(missing_ok=True)


def _moment(text: str) -> datetime:
    try:
        if moment := parse_datetime(text):
            return moment if timezone.is_aware(moment) else timezone.make_aware(moment)
        if day := parse_date(text):
            return timezone.make_aware(datetime(day.year, day.month, day.day))
    except ValueError:
        pass
    raise CommandError(f"--since: {text} is neither a day nor a moment: 2026-03-01T14:30")
