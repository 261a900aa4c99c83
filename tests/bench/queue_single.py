"""No-op tasks taken and finished one by one, by two processes on PostgreSQL, and procrastinate."""

from __future__ import annotations

from tests.bench import queue_drain
from tests.bench.support import inside, peers
from tests.bench.support.figure import Figure, Target, compared

TASKS, RUNS = 3000, 5
QUICK_TASKS, QUICK_RUNS = 1000, 2


def run(quick: bool) -> list[Figure]:
    count, times = (QUICK_TASKS, QUICK_RUNS) if quick else (TASKS, RUNS)
    ours, theirs = [], []
    with inside.on_postgresql() as environment:
        for _run in range(times):
            ours.append(
                inside.call(queue_drain.__name__, "rate", count, 1, environment=environment)
            )
            theirs.append(
                inside.call(peers.__name__, "procrastinate_rate", count, environment=environment)
            )
    target = Target("ratio", ">=", 1.5)
    return [compared("queue_single.over_procrastinate", ours, theirs, "tasks/s", target)]
