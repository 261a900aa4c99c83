"""The ledger against the origin."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain import reconciling
from brain.reconciling import Difference, Kind
from orchestrator_site.commands import ActingCommand


class Command(ActingCommand):
    help = "List what the claim ledger and the origin say differently; --repair mends one kind."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--site", action="append", default=[], help="just this organismo")
        parser.add_argument("--repair", choices=[kind.value for kind in Kind])
        parser.add_argument("--reason", default="", help="why, for the record; with --repair")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["repair"] and not options["reason"]:
            raise CommandError("--repair needs a --reason.")
        result = reconciling.run(options["site"])
        repaired = [
            difference["resource_id"]
            for difference in result.differences
            if difference["kind"] == options["repair"]
            and reconciling.repair(Difference(**difference), options["reason"])
        ]
        if options["json"]:
            by_kind = {
                kind.value: [d for d in result.differences if d["kind"] == kind] for kind in Kind
            }
            self.put_json({**by_kind, "errors": result.errors, "repaired": repaired})
        else:
            self._put(result.differences, repaired)
        if result.errors:
            raise CommandError(
                "Not compared: " + "; ".join(f"{s}: {e}" for s, e in result.errors.items())
            )

    def _put(self, differences: list[dict[str, Any]], repaired: list[int]) -> None:
        self.put_table(
            f"{len(differences)} differences, {len(repaired)} repaired",
            ("kind", "site", "idRecurso", "expediente", "the origin shows"),
            [
                (d["kind"], d["site_id"], d["resource_id"], d["expediente"], d["shown"])
                for d in differences
            ],
        )
