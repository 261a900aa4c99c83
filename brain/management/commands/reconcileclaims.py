"""The ledger against the origin."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandError, CommandParser

from brain import reconciling
from brain.claiming import FAULTS
from brain.management.commands.runbrain import check_sites
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
        check_sites(options["site"])
        result = reconciling.run(options["site"])
        errors = dict(result.errors)
        repaired = [
            difference["resource_id"]
            for difference in result.differences
            if difference["kind"] == options["repair"]
            and self._repair(Difference(**difference), options["reason"], errors)
        ]
        if options["json"]:
            by_kind = {
                kind.value: [d for d in result.differences if d["kind"] == kind] for kind in Kind
            }
            self.put_json({**by_kind, "errors": errors, "repaired": repaired})
        else:
            self._put(result.differences, repaired)
        if errors:
            told = "; ".join(f"{site}: {error}" for site, error in errors.items())
            raise CommandError(f"Not all was compared or repaired: {told}")

    def _repair(self, difference: Difference, reason: str, errors: dict[str, str]) -> bool:
        """One that cannot be mended now is told, and stops no other."""
        try:
            return reconciling.repair(difference, reason)
        except FAULTS as error:
            errors[difference.site_id] = f"{difference.resource_id}: {error}"
            return False

    def _put(self, differences: list[dict[str, Any]], repaired: list[int]) -> None:
        if not differences:
            self.stdout.write("No differences.")
            return
        self.put_table(
            f"{len(differences)} differences, {len(repaired)} repaired",
            ("kind", "site", "idRecurso", "expediente", "the origin shows"),
            [
                (d["kind"], d["site_id"], d["resource_id"], d["expediente"], d["shown"])
                for d in differences
            ],
        )
