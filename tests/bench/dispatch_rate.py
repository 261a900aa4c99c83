"""How many no-op jobs two workers carry out over Redis in a second, each envelope verified.

In turns with RQ's SimpleWorker, two of them, on the same Redis. The jobs wait when the workers
begin, on both sides; and once more with all that the control plane does for them: rows and events
on PostgreSQL, the dispatcher that signs, gives and takes in.
"""

from __future__ import annotations

from tests import redis as redis_server
from tests.bench.support import inside, job_workers
from tests.bench.support.figure import Figure, Target, compared

JOBS, ROWS, RQ_JOBS, RUNS = 10_000, 3_000, 2_000, 5
QUICK_JOBS, QUICK_ROWS, QUICK_RQ_JOBS, QUICK_RUNS = 2_000, 1_000, 400, 2


def run(quick: bool) -> list[Figure]:
    jobs, rows, rq_jobs, times = (
        (QUICK_JOBS, QUICK_ROWS, QUICK_RQ_JOBS, QUICK_RUNS)
        if quick
        else (JOBS, ROWS, RQ_JOBS, RUNS)
    )
    bare, whole, theirs = [], [], []
    with redis_server.running() as url, inside.on_postgresql() as environment:
        environment |= {"REDIS_URL": url}
        for _ in range(times):
            bare.append(job_workers.ours(url, jobs))
            theirs.append(job_workers.rq_rate(url, rq_jobs))
            whole.append(
                inside.call(
                    "tests.bench.support.control_plane", "rate", rows, environment=environment
                )
            )
    over = "2 workers, 5 at a time; RQ: 2 SimpleWorkers"
    return [
        compared("dispatch_rate.redis", bare, theirs, "jobs/s", Target("ratio", ">=", 4), over),
        compared("dispatch_rate.postgresql", whole, theirs, "jobs/s", Target("ratio", ">=", 2)),
    ]
