"""Distribution in the foreground."""

from __future__ import annotations

from collections import Counter
from typing import Any

from django.core.management.base import CommandParser
from django.db import transaction

from brain import assigning
from brain.assigning import DISTRIBUTION, Round
from brain.models import Decision
from orchestrator_site.clock import db_now
from orchestrator_site.commands import ActingCommand
from orchestrator_site.models import Pause
from orchestrator_site.sessions import run_leased
from orchestrator_site.stopping import Stop, stop_on_signals
from queues.blockers import describe
from queues.models import NbcRecord


class Command(ActingCommand):
    help = (
        "Assign waiting people to generators and devices: for ever, or with --once until a round "
        "assigns nobody. A pause of the distribution holds here too."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--once", action="store_true", help="end when nobody can be assigned")
        parser.add_argument(
            "--dry-run", action="store_true", help="write nothing, say what one round would do"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        self.as_json = options["json"]
        self.rounds, self.assigned, self.last = 0, Counter[str](), Round()
        if pause := Pause.of(DISTRIBUTION):
            self.stderr.write(f"Distribution is paused: {pause.reason or 'no reason given'}.")
        if options["dry_run"]:
            self._dry_run()
            return
        with stop_on_signals() as stop:
            if options["once"]:
                self._once(stop)
            else:
                self._for_ever(stop)
        self._put_total()

    def _once(self, stop: Stop) -> None:
        while not stop() and self._round():
            pass

    def _for_ever(self, stop: Stop) -> None:
        self.stderr.write("Assigning. Ctrl-C ends after the round at hand.")
        channel = NbcRecord._meta.db_table
        while not stop():
            if not run_leased(DISTRIBUTION, lambda _stopped: self._round(), stop, channel=channel):
                self.stderr.write("Another distributor holds the lease; waiting for it.")
                stop.wait(15)

    def _round(self) -> bool:
        """One round, unless paused; True where it assigned somebody."""
        if Pause.of(DISTRIBUTION):
            return False
        self.last = assigning.run_round()
        self.rounds += 1
        counts = _counted(self.last)
        self.assigned += counts
        if self.last and not self.as_json:
            self.stdout.write(f"{counts.total()} assigned: {_in_words(counts)}")
        return bool(self.last)

    def _put_total(self) -> None:
        waiting = _due()
        if self.as_json:
            told = {"assigned": self.assigned, "waiting": waiting, "blockers": self.last.blockers}
            self.put_json({"rounds": self.rounds, **told})
            return
        self._put_blockers(self.last)
        total = self.assigned.total()
        self.stdout.write(f"{total} assigned in {self.rounds} rounds, {waiting} wait.")

    def _dry_run(self) -> None:
        done = rehearsed()
        if self.as_json:
            people = [_as_dict(one) for one in done.decisions]
            waiting = _due() - len(people)
            told = {**done.as_dict(), "waiting": waiting, "people": people}
            self.put_json({"dry_run": True, **told})
            return
        self.put_table(
            "What one round would do; nothing was written",
            ("person", "generator", "device", "passed over"),
            [
                (one.nbc.nbc_id, one.generator_id, one.device, _passed_over(one))
                for one in done.decisions
            ],
        )
        self._put_blockers(done)

    def _put_blockers(self, done: Round) -> None:
        if done.blockers:
            self.put_table(
                "Those whom the last round left waiting",
                ("people", "wait because"),
                [(blocker["people"], describe(blocker)) for blocker in done.blockers],
            )


def rehearsed() -> Round:
    """A round as it would be now, undone."""
    with transaction.atomic():
        done = assigning.run_round()
        transaction.set_rollback(True)
    return done


def _due() -> int:
    return NbcRecord.objects.due(db_now()).count()


def _counted(done: Round) -> Counter[str]:
    return Counter(one.generator_id for one in done.decisions)


def _in_words(counts: Counter[str]) -> str:
    return ", ".join(f"{name} {count}" for name, count in sorted(counts.items()))


def _passed_over(one: Decision) -> str:
    return ", ".join(f"{name} {why}" for name, why in one.choice["passed"])


def _as_dict(one: Decision) -> dict[str, Any]:
    return {
        "nbc_id": one.nbc.nbc_id,
        "generator": one.generator_id,
        "device": one.device,
        "passed": one.choice["passed"],
    }
