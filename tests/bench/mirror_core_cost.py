"""Assigning people and finishing their tasks with the mirror on and no Mongo to tell, against the
mirror off: what writing changes down costs the work itself. On PostgreSQL, in one process."""

from __future__ import annotations

import time

from brain import assigning, shares
from queues import endings, settling
from queues.models import Generator, MirrorChange, MirrorState, QueueEntry
from tests.bench.support import inside, people, tasks
from tests.bench.support.figure import Figure, Target, compared
from tests.factories import EndpointFactory

PEOPLE, DEVICES, RUNS = 1000, 200, 7
QUICK_PEOPLE, QUICK_RUNS = 400, 5
SHARES = {"G_IAD": 25, "G_IAD2": 40, "G_MASTER": 25, "G_SISEC": 10}
FOUND = endings.Ending(QueueEntry.Condition.FOUND, "found", endings.Person.FOUND)


def run(quick: bool) -> list[Figure]:
    with inside.on_postgresql() as environment:
        return inside.call(__name__, "measured", quick, environment=environment)


def measured(quick: bool) -> list[Figure]:
    count, times = (QUICK_PEOPLE, QUICK_RUNS) if quick else (PEOPLE, RUNS)
    _seconds(count, is_on=True)  # what only the first use costs
    runs = [_both(count, on_first=bool(number % 2)) for number in range(times)]
    return [
        compared(
            "mirror_core_cost",
            [one[True] for one in runs],
            [one[False] for one in runs],
            "s",
            Target("ratio", "<=", 1.1),
            f"{count} people assigned and finished",
        )
    ]


def _both(count: int, on_first: bool) -> dict[bool, float]:
    return {is_on: _seconds(count, is_on) for is_on in (on_first, not on_first)}


def _seconds(count: int, is_on: bool) -> float:
    _prepare(count)
    MirrorState.switch(is_on)
    tasks.settle()
    began = time.perf_counter()
    finished = 0
    while finished < count:
        assert assigning.step()
        for entry in QueueEntry.objects.filter(status=QueueEntry.Status.ASSIGNED):
            assert settling.settle(entry, FOUND)
            finished += 1
    took = time.perf_counter() - began
    # Assigned and finished: person, work record, task and device, each.
    assert MirrorChange.objects.count() == (8 * count if is_on else 0)
    return took


def _prepare(count: int) -> None:
    MirrorState.switch(False)
    people.nobody()
    tasks.empty(MirrorChange._meta.db_table)
    shares.put({level: SHARES for level in ("good", "normal", "bad")}, "the benchmark's")
    for row in Generator.objects.all():
        if not row.endpoints.exists():
            EndpointFactory(generator=row)
        people.add_devices(row, DEVICES // len(SHARES))
    people.add(count)
