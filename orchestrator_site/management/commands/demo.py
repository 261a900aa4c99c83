"""One whole pass of the demo, without a person."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser, OutputWrapper
from rich.console import Console
from rich.progress import Progress

from orchestrator_site.commands import ActingCommand
from orchestrator_site.demo import bucket, passing
from orchestrator_site.demo.controlling import JobOutcome
from orchestrator_site.demo.distributing import PersonOutcome
from orchestrator_site.demo.judging import Outcome
from orchestrator_site.demo.processing import PassOutcome

# A pass must be quick: short waits, retries at once. All else is as it is in production.
QUICK = {
    "BRAIN_PROOF_DELAYS": "0.05,0.1,0.15,0.2,0.3",
    "BRAIN_MAX_CLAIMS": "500",
    "TASK_RETRY_FACTOR": "0",
    "PAGE_TIMEOUT_SECONDS": "4",
    "SCRAPER_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
    "LOG_LEVEL": "ERROR",
}
# What is configured here has no place in a demo.
EMPTY = (
    "DATABASE_URL",
    "SQLSERVER_SERVER",
    "SQLSERVER_CONNECTION_STRING",
    "AWS_ACCESS_KEY_ID",
    "DOWNLOADS_DIR",
    "PQR_AFINIA_URL",
    "PQR_AIRE_URL",
    "REDIS_URL",
    "ENCRYPTION_KEYS",
    "SESSION_KEYS",
    "SCRIPT_SIGNING_SECRET",
    "MONGODB_URI",
    "MONGODB_LOG_COLLECTION",
    "XVIA_EMAIL",
    "XVIA_PASSWORD",
    "BRAIN_ENABLED_SITES",
)


class Phases:
    """A line a phase, where no bar can be drawn."""

    def __init__(self, out: OutputWrapper) -> None:
        self.out = out
        self.last = ""

    def __call__(self, what: str, done: int, of: int) -> None:
        if what != self.last:
            self.last = what
            self.out.write(f"{what} ...")


class Command(ActingCommand):
    help = (
        "Fill a demo origin, run the brain, file every appeal in a real browser, look people up, "
        "process complaints, run organisations' flows, and compare each with what was expected of "
        "it. In a world of its own: yours is not touched."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--keep", action="store_true", help="keep the pass's folder to look at")
        parser.add_argument("--here", action="store_true", help="in the settings as they are")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["here"]:
            self._pass(options["json"])
        else:
            self._apart(options["json"], options["keep"])

    def _apart(self, as_json: bool, keep: bool) -> None:
        """The pass in a child with a folder and a port of its own."""
        folder = Path(tempfile.mkdtemp(prefix="orchestrator-demo-"))
        own = {
            "DATA_DIR": str(folder),
            "ORIGIN_PATH": str(folder / "origin.sqlite3"),
            "DEMO_WORLD_URL": f"http://127.0.0.1:{bucket.free_port()}",
        }
        environment = {**settings.ENVIRON, **QUICK, **dict.fromkeys(EMPTY, ""), **own, "DEMO": "1"}
        manage = str(Path(settings.BASE_DIR) / "manage.py")
        flags = ["--json"] if as_json else []
        command = [sys.executable, manage, "demo", "--here", *flags]
        try:
            with _bucket() as configured:
                environment |= configured
                code = subprocess.run(command, env=environment, check=False).returncode
        finally:
            if keep:
                self.stderr.write(f"Kept: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
        sys.exit(code)

    def _pass(self, as_json: bool) -> None:
        call_command("migrate", verbosity=0)
        passed = self._watched() if sys.stderr.isatty() else passing.run(Phases(self.stderr))
        all_of: list[Any] = [*passed.cases, *passed.people, *passed.files, *passed.jobs]
        wrong = [outcome for outcome in all_of if outcome.wrong]
        is_ok = not wrong and not passed.faults
        if as_json:
            self.put_json(
                {
                    "ok": is_ok,
                    "cases": [vars(outcome) for outcome in passed.cases],
                    "summary": _summary(passed.cases),
                    "people": [vars(outcome) for outcome in passed.people],
                    "people_summary": _statuses(passed.people),
                    "files": [asdict(outcome) for outcome in passed.files],
                    "jobs": [vars(outcome) for outcome in passed.jobs],
                    "faults": passed.faults,
                }
            )
        else:
            self._put_cases(passed.cases)
            self._put_people(passed.people)
            self._put_files(passed.files)
            self._put_jobs(passed.jobs)
        if not is_ok:
            told = [f"{len(wrong)} of {len(all_of)} did not end as expected.", *passed.faults]
            raise CommandError(" ".join(told))

    def _watched(self) -> passing.Passed:
        with Progress(console=Console(file=sys.stderr), transient=True) as bar:
            task = bar.add_task("starting", total=1)
            return passing.run(
                lambda what, done, of: bar.update(task, description=what, completed=done, total=of)
            )

    def _put_people(self, outcomes: list[PersonOutcome]) -> None:
        self.put_table(
            "What happened to each person",
            ("id", "story", "status", "generators", "conditions", "calls", "told", "as expected"),
            [
                (
                    o.nbc_id,
                    o.story,
                    f"{o.status} ({o.attempts})",
                    " ".join(o.generators),
                    " ".join(map(str, o.conditions)),
                    o.calls or "",
                    o.told,
                    "; ".join(o.wrong) if o.wrong else "yes",
                )
                for o in outcomes
            ],
        )
        counted = ", ".join(f"{name} {n}" for name, n in _statuses(outcomes).items())
        self.stdout.write(f"{len(outcomes)} people: {counted}.")

    def _put_files(self, outcomes: list[PassOutcome]) -> None:
        self.put_table(
            "What happened to the companies' complaints and files",
            (
                *("company", "pass", "inserted", "updated", "duplicates", "refused"),
                *("sent", "there", "failed", "covered", "as expected"),
            ),
            [
                (
                    o.company,
                    o.story,
                    *((count or "") for count in asdict(o.counts).values()),
                    o.told,
                    "; ".join(o.wrong) if o.wrong else "yes",
                )
                for o in outcomes
            ],
        )
        where = "kept on this machine: simulated" if _is_simulated(outcomes) else "in the bucket"
        wrong = sum(bool(outcome.wrong) for outcome in outcomes)
        self.stdout.write(f"{len(outcomes)} passes, files {where}: not as expected {wrong}.")

    def _put_jobs(self, outcomes: list[JobOutcome]) -> None:
        self.put_table(
            "What happened to each run of an organisation",
            (
                *("organisation", "run", "begun as", "status", "message"),
                *("invoices", "files", "told", "as expected"),
            ),
            [
                (
                    o.organisation,
                    o.story,
                    o.turn or "",
                    o.status,
                    o.message,
                    o.invoices or "",
                    o.files or "",
                    o.told,
                    "; ".join(o.wrong) if o.wrong else "yes",
                )
                for o in outcomes
            ],
        )
        wrong = sum(bool(outcome.wrong) for outcome in outcomes)
        self.stdout.write(f"{len(outcomes)} runs: not as expected {wrong}.")

    def _put_cases(self, outcomes: list[Outcome]) -> None:
        self.put_table(
            "What happened to each case",
            ("id", "site", "case", "verdict", "claim", "task", "sent", "receipt", "as expected"),
            [
                (
                    o.pk,
                    o.site,
                    f"{o.expediente[:20]} {o.story}",
                    o.verdict,
                    f"{o.method} {o.claim}".strip(),
                    f"{o.task} ({o.attempts})" if o.task else "",
                    o.filings or "",
                    "yes" if o.receipt else "",
                    "; ".join(o.wrong) if o.wrong else "yes",
                )
                for o in outcomes
            ],
        )
        summary = ", ".join(f"{name} {n}" for name, n in _summary(outcomes).items())
        self.stdout.write(f"{len(outcomes)} cases: {summary}.")


@contextmanager
def _bucket() -> Iterator[dict[str, str]]:
    """The environment that leads to an S3 server of the pass's own; nothing where none is to be
    had: then uploads are simulated."""
    if bucket.program() is None:
        yield {}
        return
    with bucket.running() as server:
        yield server.environment


def _is_simulated(outcomes: list[PassOutcome]) -> bool:
    return any(outcome.is_simulated for outcome in outcomes)


def _summary(outcomes: list[Outcome]) -> dict[str, int]:
    counted = Counter(outcome.verdict for outcome in outcomes)
    counted["filed with receipt"] = sum(outcome.receipt for outcome in outcomes)
    counted["not as expected"] = sum(bool(outcome.wrong) for outcome in outcomes)
    return dict(counted)


def _statuses(outcomes: list[PersonOutcome]) -> dict[str, int]:
    counted = Counter(outcome.status for outcome in outcomes)
    counted["not as expected"] = sum(bool(outcome.wrong) for outcome in outcomes)
    return dict(counted)
