"""The overview on a terminal."""

from __future__ import annotations

import time
from typing import Any

from django.core.management.base import CommandError, CommandParser

from orchestrator_site.commands import ActingCommand
from orchestrator_site.dashboard import overview_api, snapshot, worries
from orchestrator_site.dashboard.overview import PART


class Command(ActingCommand):
    help = "Tell the running state in one look: the numbers of the admin's front page."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--watch", action="store_true", help="tell it again and again")
        parser.add_argument(
            "--every", type=float, default=5.0, metavar="SECONDS", help="with --watch"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        if options["every"] < 1:
            raise CommandError("--every: at least one second.")
        while True:
            self._tell(options["json"])
            if not options["watch"]:
                return
            try:
                time.sleep(options["every"])
            except KeyboardInterrupt:
                return

    def _tell(self, as_json: bool) -> None:
        told = overview_api.told()
        if as_json:
            self.put_json(told)
            return
        for one in worries.worries(snapshot.current().data, frozenset(PART.permissions)):
            self.stdout.write(f"! {one['count']} {one['text']}")
        self._loops(told)
        self._queues(told)
        self._generators(told)
        self._workers(told)

    def _loops(self, told: dict[str, Any]) -> None:
        self.put_table(
            "Loops",
            ("loop", "state", "by", "since", "reason"),
            [
                (
                    name,
                    "paused" if told[name]["paused"] else "runs",
                    *(told[name][key] for key in ("paused_by", "paused_at", "pause_reason")),
                )
                for name in ("brain", "distribution")
            ],
        )

    def _queues(self, told: dict[str, Any]) -> None:
        self.put_table(
            "Queues",
            ("queue", "now", "since midnight", "first one waits since"),
            [
                (
                    name,
                    _counts(told[name]["counts"]),
                    _counts(told[name]["today"]),
                    told[name]["oldest_at"],
                )
                for name in ("appeals", "people", "jobs")
            ],
        )

    def _generators(self, told: dict[str, Any]) -> None:
        pools = {row["generator"]: row for row in told["pools"]}
        columns = ("free", "held", "stuck", "offline", "quarantined")
        self.put_table(
            "Generators",
            ("generator", "state", "level", "share", "rate", "tasks", *columns),
            [
                (
                    *(row[key] for key in ("name", "status", "level", "share", "rate")),
                    _counts(row["tasks"]),
                    *(pools.get(row["name"], {}).get(key) for key in columns),
                )
                for row in told["generators"]
            ],
        )

    def _workers(self, told: dict[str, Any]) -> None:
        self.put_table(
            "Workers",
            ("worker", "state", "doing", "heartbeat"),
            [
                (
                    row["name"],
                    "alive" if row["is_alive"] else "silent",
                    row["doing"],
                    row["heartbeat_at"],
                )
                for row in told["workers"]
            ],
        )


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {n}" for name, n in counts.items() if n) or "-"
