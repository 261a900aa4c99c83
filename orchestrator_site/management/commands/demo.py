"""One whole pass of the demo, without a person."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser
from rich.console import Console
from rich.progress import Progress

from orchestrator_site.commands import ActingCommand
from orchestrator_site.demo import passing
from orchestrator_site.demo.judging import Outcome

# A pass must be quick: short waits, retries at once. All else is as it is in production.
QUICK = {
    "BRAIN_PROOF_DELAYS": "0.05,0.1,0.15,0.2,0.3",
    "BRAIN_MAX_CLAIMS": "500",
    "TASK_RETRY_FACTOR": "0",
    "PAGE_TIMEOUT_SECONDS": "4",
    "LOG_LEVEL": "ERROR",
}
# What is configured here has no place in a demo.
EMPTY = (
    "DATABASE_URL",
    "SQLSERVER_SERVER",
    "SQLSERVER_CONNECTION_STRING",
    "AWS_ACCESS_KEY_ID",
    "REDIS_URL",
    "XVIA_EMAIL",
    "XVIA_PASSWORD",
    "BRAIN_ENABLED_SITES",
)


class Command(ActingCommand):
    help = (
        "Fill a demo origin, run the brain, file every appeal in a real browser, and compare "
        "each case with what was expected of it. In a world of its own: yours is not touched."
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
            "DEMO_WORLD_URL": f"http://127.0.0.1:{_free_port()}",
        }
        environment = {**settings.ENVIRON, **QUICK, **dict.fromkeys(EMPTY, ""), **own, "DEMO": "1"}
        manage = str(Path(settings.BASE_DIR) / "manage.py")
        flags = ["--json"] if as_json else []
        command = [sys.executable, manage, "demo", "--here", *flags]
        try:
            code = subprocess.run(command, env=environment, check=False).returncode
        finally:
            if keep:
                self.stderr.write(f"Kept: {folder}")
            else:
                shutil.rmtree(folder, ignore_errors=True)
        sys.exit(code)

    def _pass(self, as_json: bool) -> None:
        call_command("migrate", verbosity=0)
        console = Console(file=sys.stderr)
        with Progress(console=console, disable=as_json, transient=True) as bar:
            task = bar.add_task("starting", total=1)
            outcomes = passing.run(
                lambda what, done, of: bar.update(task, description=what, completed=done, total=of)
            )
        wrong = [outcome for outcome in outcomes if outcome.wrong]
        if as_json:
            self.put_json(
                {
                    "ok": not wrong,
                    "cases": [vars(outcome) for outcome in outcomes],
                    "summary": _summary(outcomes),
                }
            )
        else:
            self._put(outcomes)
        if wrong:
            raise CommandError(f"{len(wrong)} of {len(outcomes)} cases did not end as expected.")

    def _put(self, outcomes: list[Outcome]) -> None:
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


def _summary(outcomes: list[Outcome]) -> dict[str, int]:
    counted = Counter(outcome.verdict for outcome in outcomes)
    counted["filed with receipt"] = sum(outcome.receipt for outcome in outcomes)
    counted["not as expected"] = sum(bool(outcome.wrong) for outcome in outcomes)
    return dict(counted)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
