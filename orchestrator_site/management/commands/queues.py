"""Tells how queues stand: what is in them, what is under way, and what ended lately."""

from __future__ import annotations

from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from orchestrator_site.clock import db_now
from orchestrator_site.commands import ActingCommand
from orchestrator_site.dashboard.queues.catalogue import KINDS
from orchestrator_site.dashboard.queues.hours import local
from orchestrator_site.dashboard.queues.summary import Summary, as_data, summary


class Command(ActingCommand):
    help = "Tells how queues stand: what is in them, what is under way, and what ended lately."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        known = ", ".join(KINDS)
        parser.add_argument(
            "kind", nargs="?", choices=list(KINDS), metavar="KIND", help=f"one of {known}; all"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        names = [options["kind"]] if options["kind"] else list(KINDS)
        found = [summary(KINDS[name], db_now()) for name in names]
        if options["json"]:
            return self.put_json({one.kind.name: as_data(one) for one in found})
        for one in found:
            self._tell(one)
        return None

    def _tell(self, one: Summary) -> None:
        shown = [
            (one.kind.label(state), f"{count.count}+" if count.is_more else count.count)
            for state, count in one.tiles.counts.items()
        ]
        self.put_table(str(one.kind.title), ("state", "rows"), shown)
        if one.tiles.oldest:
            state, since = one.tiles.oldest
            told = f"{one.kind.label(state)}, since {timezone.localtime(since):%Y-%m-%d %H:%M}"
            self.stdout.write(f"Oldest that waits: {told}")
        running = [
            (run.name, run.party, run.worker, run.device, run.since, run.due_at, run.is_late)
            for run in one.running.runs
        ]
        if running:
            heads = ("under way", "of", "worker", "device", "since", "due", "late")
            self.put_table("", heads, running)
        hours = [
            (local(hour.at), hour.good, hour.bad, hour.median, hour.p95)
            for hour in one.hours
            if hour.good or hour.bad
        ]
        if hours:
            self.put_table("", ("hour", "well", "badly", "median wait s", "95 % s"), hours)
