"""How the post-processing stands."""

from __future__ import annotations

from typing import Any

from orchestrator_site import sentences
from orchestrator_site.commands import ActingCommand
from postprocessing import reporting
from postprocessing.management.commands.postprocess import put_notes
from postprocessing.models import S3File
from postprocessing.reporting import CompanyReport


class Command(ActingCommand):
    help = (
        "Tell of each company its rows, files and objects, its last run and its last verification. "
        "No file and no bucket is asked: see verifyfiles."
    )

    def handle(self, *args: Any, **options: Any) -> None:
        report = reporting.generate_post_processing_report()
        if options["json"]:
            self.put_json(report.as_dict())
            return
        told = [_facts(one) for one in report.companies]
        self.put_table(
            "Post-processing",
            ("", *(one.company.name for one in report.companies)),
            [(name, *(facts[name] for facts in told)) for name in told[0]],
        )
        put_notes(self, any(one.is_simulated for one in report.companies))


def _facts(one: CompanyReport) -> dict[str, Any]:
    run, seen = one.last_run, one.last_verification
    return {
        "rows": one.rows,
        "files read": one.files,
        "refused in them": one.faults,
        **{f"objects {status}": one.registry[status] for status in S3File.Status.values},
        "last run": run and f"{run.started_at:%Y-%m-%d %H:%M} UTC, {run.status}",
        "its error": run and sentences.told(run.error),
        "last verification": seen and f"{seen.at:%Y-%m-%d %H:%M} UTC",
        "in the table": seen and _percent(seen.coverage_database),
        "in the bucket": seen and _percent(seen.coverage_s3),
        "differences": seen and sum(seen.found.values()),
    }


def _percent(coverage: float | None) -> str:
    return "-" if coverage is None else f"{int(coverage * 100) / 100:g} %"
