"""From the commit of a task to its lease in a process that waits, on PostgreSQL.

The one that waits is a leased session, as a worker's is; the clock is the machine's monotonic one.
The session looks each second besides: what came with such a look is counted as the others are.
"""

from __future__ import annotations

import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from datetime import timedelta

from django.db import transaction

from orchestrator_site import waking
from orchestrator_site.sessions import run_leased
from orchestrator_site.stopping import Stop
from queues.models import TramiteTask
from tests.bench.support import crew, inside, tasks
from tests.bench.support.figure import Figure, Target

SAMPLES, IDLE, IDLE_TIMES = 500, 60.0, 3
QUICK_SAMPLES, QUICK_IDLE, QUICK_IDLE_TIMES = 100, 5.0, 1
LEASE = timedelta(hours=1)
CHANNEL = TramiteTask._meta.db_table
Moments = list[float]


def run(quick: bool) -> list[Figure]:
    samples, idle, times = (
        (QUICK_SAMPLES, QUICK_IDLE, QUICK_IDLE_TIMES) if quick else (SAMPLES, IDLE, IDLE_TIMES)
    )
    with inside.on_postgresql() as environment:
        pauses = [random.uniform(0.01, 0.05) for _sample in range(samples)]
        woken = inside.call(__name__, "latencies", pauses, environment=environment)
        rested = inside.call(__name__, "latencies", [idle] * times, environment=environment)
    return [
        _p99("wake_latency.p99", woken),
        _p99(f"wake_latency.after_{idle:.0f}_s_idle", rested),
    ]


def _p99(name: str, latencies: Sequence[float]) -> Figure:
    """Of few it is the worst."""
    p99 = sorted(latencies)[int(len(latencies) * 0.99)]
    worst, median = max(latencies), statistics.median(latencies)
    note = f"of {len(latencies)}: median {median:.2f}, worst {worst:.2f}"
    return Figure(name, p99, "ms", (p99,), target=Target("value", "<=", 5), note=note)


def latencies(pauses: Sequence[float]) -> list[float]:
    """Milliseconds from commit to lease, of one task after each pause."""
    tasks.fresh(0)
    each = [[role, pauses] for role in ("taking", "committing")]
    _seconds, (taken, committed) = crew.at_work(__name__, "role", each, os.environ)
    return [(t - c) * 1000 for t, c in zip(taken, committed, strict=True)]


def role(name: str, pauses: Sequence[float]) -> Callable[[], Moments]:
    TramiteTask.objects.exists()  # opens the connection
    return {"taking": _taking, "committing": _committing}[name](pauses)


def _committing(pauses: Sequence[float]) -> Callable[[], Moments]:
    def commit() -> Moments:
        time.sleep(2)  # the other listens by then
        return [_commit_after(pause, number) for number, pause in enumerate(pauses, start=1)]

    return commit


def _commit_after(pause: float, number: int) -> float:
    time.sleep(pause)
    with transaction.atomic():
        tasks.add(1, first=number)
        waking.notify(CHANNEL)
        return time.monotonic()


def _taking(pauses: Sequence[float]) -> Callable[[], Moments]:
    stop, moments = Stop(), []

    def step(stopped: Callable[[], bool]) -> bool:
        taken = TramiteTask.objects.take("bench", LEASE)
        moments.extend(time.monotonic() for _task in taken)
        if len(moments) == len(pauses):
            stop.request()
        return bool(taken)

    def take() -> Moments:
        assert run_leased("bench", step, stop, channel=CHANNEL)
        return moments

    return take
