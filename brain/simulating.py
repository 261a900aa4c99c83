"""What would have been, under other shares: the real reckoning over people who never were.

Assumed: the generators are as they stand now (enabled, running, reachable, with devices online
or not), their rates hold, and whoever has a device online finds one free when its turn comes.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, Q

from brain import shares, standing
from brain.batches import as_set, reckoned
from brain.distribution import Contender, distribute, passed_on
from brain.models import Decision, DistributionBatch
from brain.shares import Shares
from brain.standing import Standing
from queues.models import DistributionConfig

DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Line:
    """One generator: people it got (0 for people who are invented), would get under the shares
    of today, and under those proposed."""

    name: str
    happened: int
    today: int
    proposed: int

    @property
    def difference(self) -> int:
        return self.proposed - self.today


@dataclass(frozen=True)
class Simulation:
    """`is_invented`: the people are a number that somebody chose, none of the last 24 hours."""

    people: int
    is_invented: bool
    lines: tuple[Line, ...]

    @property
    def waiting(self) -> int:
        """Whom no generator would take under the proposed shares."""
        return self.people - sum(line.proposed for line in self.lines)


def simulate(proposed: Shares, people: int | None, now: datetime) -> Simulation:
    """Distribute the people of the last 24 hours, or so many as are named, under today's shares
    and under those proposed. Writes nothing. Raises InvalidShares."""
    config = DistributionConfig.current()
    stand = standing.of_all(config, now)
    names = [one.generator.name for one in stand]
    shares.check(proposed, names)
    happened = assigned_since(now - DAY) if people is None else Counter()
    count = happened.total() if people is None else people
    fixed = as_set(config, [one.generator for one in stand])
    today = spread(count, fixed, stand)
    then = spread(count, {**fixed, "shares": _by_name(proposed, names)}, stand)
    lines = tuple(Line(name, happened[name], today[name], then[name]) for name in names)
    return Simulation(count, people is not None, lines)


def assigned_since(since: datetime) -> Counter[str]:
    """People by generator. By way of their batches, which are few: decisions have no index by
    time."""
    lately = DistributionBatch.objects.filter(Q(is_open=True) | Q(closed_at__gte=since))
    made = Decision.objects.filter(batch__in=lately, created_at__gte=since).order_by()
    return Counter(dict(made.values_list("generator_id").annotate(Count("pk"))))


def spread(people: int, fixed: Mapping[str, Any], stand: Sequence[Standing]) -> Counter[str]:
    """How many of `people` each generator gets, batch after batch; `fixed` as in a batch.

    Full batches are all alike, so one is reckoned for all of them, and the rest by itself.
    """
    found, picked = reckoned(fixed, {o.generator.name: o.rate for o in stand if o.rate is not None})
    contenders = [
        replace(one, slots=found[one.name], share=picked[one.name]["share"])
        for one in (each.contender for each in stand)
    ]
    whole, rest = divmod(people, fixed["size"])
    full = _batch(fixed["size"], 0, contenders) if whole else Counter()
    last = _batch(rest, whole * fixed["size"], contenders)
    return Counter({name: whole * full[name] + last[name] for name in found})


def _batch(people: int, counter: int, contenders: Sequence[Contender]) -> Counter[str]:
    ready = [replace(one, free=people) for one in contenders]
    choices = distribute(people, counter, passed_on(ready))
    return Counter(choice.chosen for choice in choices if choice.chosen)


def _by_name(proposed: Shares, names: Sequence[str]) -> dict[str, dict[str, int]]:
    return {name: {level: row[name] for level, row in proposed.items()} for name in names}
