"""A queue in figures: for its page, the API and the command."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from orchestrator_site.dashboard.queues.hours import Hour, last_day
from orchestrator_site.dashboard.queues.kinds import Kind, Run
from orchestrator_site.dashboard.queues.matching import Asked, Tiles, tiles

RUNNING = 50


@dataclass(frozen=True)
class Running:
    """Those under way for the longest, and whether there are more."""

    runs: list[Run]
    is_more: bool


@dataclass(frozen=True)
class Summary:
    """A queue as it stands."""

    kind: Kind
    at: datetime
    tiles: Tiles
    running: Running
    hours: list[Hour]


def summary(kind: Kind, now: datetime) -> Summary:
    return Summary(
        kind=kind,
        at=now,
        tiles=tiles(kind, Asked(), now),
        running=running(kind, now),
        hours=last_day(kind, now),
    )


def running(kind: Kind, now: datetime) -> Running:
    """Late ones are on top."""
    tasks: list[Any] = list(kind.under_way()[: RUNNING + 1])
    runs = kind.runs(tasks[:RUNNING], now)
    return Running(sorted(runs, key=lambda one: not one.is_late), len(tasks) > RUNNING)


def as_data(found: Summary) -> dict[str, Any]:
    """For JSON: times with their zone, waits in seconds."""
    kind = found.kind
    first = found.tiles.oldest
    return {
        "kind": kind.name,
        "at": found.at,
        "states": [
            {"state": str(state), "label": kind.label(state), **vars(count)}
            for state, count in found.tiles.counts.items()
        ],
        "oldest": {"state": str(first[0]), "created_at": first[1]} if first else None,
        "running": [vars(one) for one in found.running.runs],
        "more_running": found.running.is_more,
        "hours": [vars(one) for one in found.hours],
    }
