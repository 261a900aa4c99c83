"""Files, table and bucket against each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.core.management.base import CommandError, CommandParser

from orchestrator_site.commands import ActingCommand
from orchestrator_site.verbs import Refused
from postprocessing import repairing, verification
from postprocessing.management.commands.postprocess import (
    Tell,
    add_companies,
    names_of,
    progress,
    put_notes,
)
from postprocessing.models import Difference, Verification, company_called

LISTED = 50  # differences of a kind that are shown
SHOWN = (
    *("files", "json_files", "files_loaded", "rows", "objects_there", "objects_listed"),
    *("coverage_database", "coverage_s3", "is_simulated", "error"),
)


class Command(ActingCommand):
    help = (
        "Compare the companies' files with the table and with the bucket, which is listed, and "
        "list what differs; exit status 1 where anything does. --repair mends what a machine can, "
        "and compares again."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        add_companies(parser)
        parser.add_argument("--repair", action="store_true", help="load, upload, register")
        parser.add_argument(
            "--deep", action="store_true", help="compare contents too, where the bucket has MD5s"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = names_of(options["companies"])
        with progress() as told:
            found = [self._verified(name, options, told) for name in names]
        if options["json"]:
            self.put_json({row.empresa: _as_dict(row) for row in found})
        else:
            self._put(found)
            put_notes(self, any(row.is_simulated for row in found))
        if problem := _problem(found):
            raise CommandError(problem)

    def _verified(self, name: str, options: dict[str, Any], told: Tell) -> Verification:
        company = company_called(name)

        def tell(what: str, done: int, of: int | None = None) -> None:
            told(f"{name}: {what}", done, of)

        row = verification.verify(company, tell, deep=options["deep"])
        if not options["repair"] or not row.differences.exists():
            return row
        try:
            repairing.repair(row.differences.all(), "verifyfiles --repair")
        except Refused as error:
            self.stderr.write(f"{name}: {error}")
        return verification.verify(company, tell, deep=options["deep"])

    def _put(self, found: list[Verification]) -> None:
        self.put_table(
            "Verification",
            ("", *(row.empresa for row in found)),
            [(name, *(_told(getattr(row, name)) for row in found)) for name in SHOWN],
        )
        for row in found:
            for kind in Difference.Kind:
                self._put_kind(row, kind)

    def _put_kind(self, row: Verification, kind: Difference.Kind) -> None:
        of_kind = row.differences.filter(kind=kind)
        count = row.found.get(kind, 0)  # of which the first are kept
        if not count:
            return
        self.put_table(
            f"{row.empresa}, {kind.value}: {count}",
            ("file", "s3_key", "detail", "repair"),
            _lines(of_kind[:LISTED]),
        )
        if count > LISTED:
            self.stdout.write(f"... and {count - LISTED} more.")


def _lines(rows: Iterable[Difference]) -> list[tuple[str, ...]]:
    return [(one.filename, one.s3_key, one.detail, one.repair) for one in rows]


def _told(value: Any) -> Any:
    """A coverage is not rounded up: one file that is missing is to be seen."""
    return f"{int(value * 100) / 100:g} %" if isinstance(value, float) else value


def _as_dict(row: Verification) -> dict[str, Any]:
    differences = row.differences.values("kind", "filename", "s3_key", "detail", "repaired_at")
    return {
        "id": row.pk,
        "at": row.at,
        "seconds": row.seconds,
        **{name: getattr(row, name) for name in SHOWN},
        "found": row.found,
        "differences": list(differences),
    }


def _problem(found: list[Verification]) -> str:
    """Why the exit status is 1; "": it is not."""
    told = [f"{row.empresa}: {row.error}" for row in found if row.error]
    if count := sum(sum(row.found.values()) for row in found):
        told.append(f"{count} difference{'' if count == 1 else 's'}")
    return "; ".join(told) + "." if told else ""
