"""The brain in the foreground."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.core.management.base import CommandError, CommandParser
from rich.console import Console

from brain import cycles
from brain.ledger import SiteReport
from brain.models import Cycle, Organismo
from orchestrator_site.commands import ActingCommand
from orchestrator_site.sessions import run_leased
from orchestrator_site.stopping import Stop, stop_on_signals

COUNTED = ("found", "discarded", "incomplete", "already_queued", "claimed", "lost", "unproven")
ENDED = ("recovered", "queued", "held", "not_queued")


class Command(ActingCommand):
    help = "Find, claim, prove and queue appeals: for ever, or one cycle with --once."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--once", action="store_true", help="one cycle, then end")
        parser.add_argument(
            "--dry-run", action="store_true", help="read everything, write nothing, and say what"
        )
        parser.add_argument("--site", action="append", default=[], help="just this organismo")

    def handle(self, *args: Any, **options: Any) -> None:
        sites = options["site"]
        check_sites(sites)
        self._tell_idle(sites)
        if options["dry_run"]:
            self._dry_run(sites, options["json"])
            return
        with stop_on_signals() as stop:
            if options["once"]:
                self._once(sites, stop, options["json"])
            else:
                self._for_ever(sites, stop, options["json"])

    def _once(self, sites: list[str], stop: Stop, as_json: bool) -> None:
        cycle = self._cycle(sites, stop, as_json)
        if cycle.outcome == Cycle.Outcome.WITH_ERRORS:
            raise CommandError("The cycle had errors: see above.")

    def _for_ever(self, sites: list[str], stop: Stop, as_json: bool) -> None:
        interval = settings.BRAIN_SYNC_INTERVAL.total_seconds()
        self.stderr.write(f"A cycle every {interval:.0f} s. Ctrl-C ends after the case at hand.")

        def step(stopped: Callable[[], bool]) -> bool:
            if not cycles.is_due(sites):
                return False
            self._cycle(sites, stopped, as_json)
            return True

        while not stop():
            if not run_leased("brain", step, stop):
                self.stderr.write("Another brain holds the lease; waiting for it.")
                stop.wait(15)

    def _cycle(self, sites: list[str], stopped: Callable[[], bool], as_json: bool) -> Cycle:
        """One cycle, shown while it runs, and told at its end."""
        shown = Console(stderr=True, quiet=as_json)
        with shown.status("Looking at the origin ...") as status:
            cycle = cycles.run_cycle(
                sites, stopped=stopped, progress=lambda o, r: status.update(_in_words(o, r))
            )
        if as_json:
            self.put_json(_as_dict(cycle))
        else:
            self._put_cycle(cycle)
        return cycle

    def _dry_run(self, sites: list[str], as_json: bool) -> None:
        results = list(cycles.dry_run(sites))
        if as_json:
            self.put_json({"dry_run": True, "sites": [result.as_dict() for result in results]})
        for result in [] if as_json else results:
            head = f"{result.site_id}: {len(result.cases)} candidates, as {result.account}"
            self.put_table(
                f"{head}. {result.error}",
                ("idRecurso", "expediente", "verdict", "reason", "then"),
                [
                    (c["idRecurso"], c["expediente"], c["verdict"], c["reason"], c["next"])
                    for c in result.cases
                ],
            )
        if any(result.error for result in results):
            raise CommandError("Some organismos could not be read: see above.")

    def _tell_idle(self, sites: list[str]) -> None:
        """Those that were asked for, and that no cycle visits."""
        visited = Organismo.objects.in_force().values_list("site_id", flat=True)
        for site in sorted(set(sites) - set(visited)):
            why = "inactive, paused or not in BRAIN_ENABLED_SITES"
            self.stderr.write(f"{site}: not visited, it is {why}.")

    def _put_cycle(self, cycle: Cycle) -> None:
        names = (*COUNTED, *ENDED)
        self.put_table(
            f"Cycle {cycle.pk}: {cycle.get_outcome_display()}",
            ("site", *names, "error"),
            [
                (site, *(report[name] for name in names), report["error"])
                for site, report in cycle.sites.items()
            ],
        )


def _in_words(organismo: Organismo, report: SiteReport) -> str:
    return (
        f"{organismo.site_id}: {report.found} found, {report.claimed} claimed, "
        f"{report.queued} queued, {report.lost} lost {report.error}"
    )


def check_sites(sites: list[str]) -> None:
    """Raises CommandError where one of them is no organismo."""
    there = set(Organismo.objects.values_list("site_id", flat=True))
    if unknown := set(sites) - there:
        raise CommandError(
            f"No organismo {', '.join(sorted(unknown))}. There are: {', '.join(sorted(there))}"
        )


def _as_dict(cycle: Cycle) -> dict[str, Any]:
    return {
        "cycle": cycle.pk,
        "outcome": cycle.outcome,
        "started_at": cycle.started_at,
        "finished_at": cycle.finished_at,
        "sites": cycle.sites,
    }
