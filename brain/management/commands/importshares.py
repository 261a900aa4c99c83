"""The arrays of `main_config` into the shares."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain import main_config
from brain.shares import InvalidShares
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = "Set shares and flags from a JSON file with main_config's arrays; all of it or nothing."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("file", help="the file, or - for standard input")
        parser.add_argument("--dry-run", action="store_true", help="say what would change")
        parser.add_argument("--reason", default="importshares", help="written down with the change")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            setting = main_config.parse(_read(options["file"]))
        except (OSError, UnicodeDecodeError, InvalidShares) as error:
            raise CommandError(f"{options['file']}: {error}") from error
        differences = setting.differences()
        if not options["dry_run"]:
            main_config.write(setting, options["reason"])
        self._put(differences, bool(differences) and not options["dry_run"], options["json"])

    def _put(self, differences: list[str], is_written: bool, as_json: bool) -> None:
        if as_json:
            order = main_config.order()
            self.put_json({"order": order, "differences": differences, "written": is_written})
            return
        self.stdout.write(f"Arrays in the order {', '.join(main_config.order())}.")
        for line in differences or ["Nothing differs."]:
            self.stdout.write(line)
        self.stdout.write("Written." if is_written else "Nothing written.")


def _read(name: str) -> str:
    if name == "-":
        return sys.stdin.buffer.read().decode("utf-8-sig")
    return Path(name).read_text(encoding="utf-8-sig")
