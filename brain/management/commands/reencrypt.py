"""Put all encrypted values under the first key of ENCRYPTION_KEYS and of SESSION_KEYS."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain.reencrypting import Tally, reencrypt
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = (
        "Put all encrypted values under the first key of ENCRYPTION_KEYS and of SESSION_KEYS."
        " Then older keys can be taken out of the settings. Harmless to repeat."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="count only")

    def handle(self, *args: Any, **options: Any) -> None:
        tallies = reencrypt(
            options["dry_run"], lambda tally: None if options["json"] else self._tell(tally)
        )
        if options["json"]:
            self.put_json([vars(tally) for tally in tallies])
        else:
            rows = [
                (one.name, one.renewed, one.already, ", ".join(one.unreadable[:20]))
                for one in tallies
            ]
            self.put_table("", ("column", "renewed", "already", "unreadable"), rows)
        if unreadable := sum(len(one.unreadable) for one in tallies):
            raise CommandError(
                f"{unreadable} values can be read with no key: add the key that is missing."
            )

    def _tell(self, tally: Tally) -> None:
        done = tally.renewed + tally.already + len(tally.unreadable)
        self.stderr.write(f"{tally.name}: {done}")
