"""Devices that hang, taken back from their tasks."""

from __future__ import annotations

from argparse import ArgumentTypeError
from dataclasses import asdict
from datetime import timedelta
from typing import Any

from django.core.management.base import CommandParser
from django.utils import timezone

from orchestrator_site.commands import ActingCommand
from queues.stuck import Stuck, release_all_stuck

MOST_MINUTES = 365 * 24 * 60


class Command(ActingCommand):
    help = (
        "Release the devices that are held for too long: their tasks end with condition 4, their "
        "people wait again, and late results are refused."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.add_argument("--dry-run", action="store_true", help="release none, say which")
        parser.add_argument(
            "--older-than", type=minutes, metavar="MIN", help="default: as distribution says"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        found = release_all_stuck(options["older_than"], dry_run=options["dry_run"])
        if options["json"]:
            self.put_json(
                {"dry_run": options["dry_run"], "devices": [asdict(one) for one in found]}
            )
            return
        self.put_table(
            "Stuck devices" if found else "No device is stuck",
            ("fleet", "device", "task", "since", "what happened"),
            [
                (one.fleet, one.device, one.task_id, _clock(one), _what(one, options["dry_run"]))
                for one in found
            ],
        )


def minutes(text: str) -> timedelta:
    minutes = int(text)
    if not 0 <= minutes <= MOST_MINUTES:
        raise ArgumentTypeError(f"minutes from 0 to {MOST_MINUTES}")
    return timedelta(minutes=minutes)


def _clock(one: Stuck) -> str:
    return f"{timezone.localtime(one.since):%Y-%m-%d %H:%M:%S}" if one.since else "unknown"


def _what(one: Stuck, dry_run: bool) -> str:
    if dry_run:
        return "would be released"
    return "released" if one.is_released else "moved on by itself"
