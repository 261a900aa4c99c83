"""No-op tasks taken, finished and noted in batches, by two processes on PostgreSQL.

The peers carry out as many no-op tasks on the same server, in turns with ours: django-q2 tuned
(connections kept, results of successes not stored, two workers, its ORM broker with our index),
and procrastinate (two processes, eight tasks at once each). They write less than we do: django-q2
keeps nothing of a task, we keep two events.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import timedelta

from queues import claims
from queues.models import TramiteTask
from tests.bench.support import crew, inside, peers, tasks
from tests.bench.support.figure import Figure, Target, compared

TASKS, RUNS = 5000, 5
QUICK_TASKS, QUICK_RUNS = 2000, 2
PROCESSES = 2
BATCH = 50
LEASE = timedelta(minutes=1)


def run(quick: bool) -> list[Figure]:
    count, times = (QUICK_TASKS, QUICK_RUNS) if quick else (TASKS, RUNS)
    with inside.on_postgresql() as ours:
        theirs = {**ours, "DJANGO_SETTINGS_MODULE": peers.PEER_SETTINGS}
        runs, q2, procrastinate = [], [], []
        for _run in range(times):
            runs.append(inside.call(__name__, "rate", count, BATCH, environment=ours))
            q2.append(inside.call(peers.__name__, "django_q2", count, environment=theirs))
            procrastinate.append(
                inside.call(peers.__name__, "procrastinate_rate", count, environment=ours)
            )
    note = f"batches of {BATCH}"
    return [
        compared(
            "queue_drain.over_django_q2", runs, q2, "tasks/s", Target("ratio", ">=", 12), note
        ),
        compared(
            "queue_drain.over_procrastinate",
            runs,
            procrastinate,
            "tasks/s",
            Target("ratio", ">=", 10),
            note,
        ),
    ]


def rate(count: int, batch: int) -> float:
    """Tasks a second of ours, from the first taken to the last finished."""
    tasks.fresh(count)
    each = [[f"bench-{number}", batch] for number in range(PROCESSES)]
    seconds, done = crew.at_work(__name__, "draining", each, os.environ)
    assert sum(done) == count, done
    assert tasks.left_undone() == 0
    return count / seconds


def draining(worker: str, batch: int) -> Callable[[], int]:
    TramiteTask.objects.exists()  # opens the connection

    def drain() -> int:
        done = 0
        while taken := TramiteTask.objects.take(worker, LEASE, batch):
            done += len(claims.finish_all(taken, TramiteTask.Status.COMPLETED, "nothing to do"))
        return done

    return drain
