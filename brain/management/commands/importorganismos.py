"""`organismo_config.json` into the database."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain import importing
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = "Create and update organismos from a JSON file, by site_id; all of it or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", help="the file, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="say what would change")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = _read(options["file"])
            report = importing.import_text(text, dry_run=options["dry_run"])
        except (OSError, UnicodeDecodeError, importing.Malformed) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        if options["json"]:
            self.put_json(
                {
                    "created": report.created,
                    "updated": report.updated,
                    "unchanged": report.unchanged,
                    "refused": [refusal.__dict__ for refusal in report.refused],
                    "written": report.written,
                }
            )
        else:
            self._put(report)
        if report.refused:
            raise CommandError("Nothing was written: some configurations were refused.")

    def _put(self, report: importing.ImportReport) -> None:
        rows = [(site, "created", "") for site in report.created]
        for site, changes in report.updated.items():
            told = "; ".join(f"{name}: {old!r} -> {new!r}" for name, (old, new) in changes.items())
            rows.append((site, "updated", told))
        rows += [(site, "unchanged", "") for site in report.unchanged]
        rows += [(refusal.site_id, "REFUSED", str(refusal)) for refusal in report.refused]
        title = "Written" if report.written else "Nothing written"
        self.put_table(title, ("site", "", "what"), rows)


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.buffer.read().decode("utf-8-sig")
    return Path(name).read_text(encoding="utf-8-sig")
