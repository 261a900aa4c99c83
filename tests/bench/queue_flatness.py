"""Taking beside a million finished tasks and their events, against a thousand, on PostgreSQL.

Two databases of one server, asked in turns by one process, some takes at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from django.db import connection

from queues.models import TramiteTask
from tests.bench.support import inside, tasks
from tests.bench.support.figure import Figure, Target, compared

FEW, MANY, RUNS = 1000, 1_000_000, 7
QUICK_MANY, QUICK_RUNS = 100_000, 3
SINGLE, BATCH, TURNS = 50, 50, 10
DUE = SINGLE * TURNS + BATCH * TURNS
LEASE = timedelta(hours=1)
SMALL, LARGE = "bench_small", "bench_large"

FINISHED = """
INSERT INTO tramite_queue (
    case_id, priority, available_at, attempts, max_attempts, worker, error_class, error_log,
    created_at, site_id, protocol, resource_id, run, payload, url_directa, attachments,
    hold_reason, flow_name, flow_version, script, script_hash, signature, key_id, status, result,
    screenshot_path)
SELECT gen_random_uuid(), 0, moment, 1, 3, 'bench', '', '', moment, 'bench', '', number, 1,
    '{"number": 1}', '', '[]', '', '', 0, '', '', '', '', 'completed', '{}', ''
FROM (SELECT number, now() - number * interval '1 second' AS moment
      FROM generate_series(1000001, 1000000 + %s) AS number) AS past
"""
THEIR_EVENTS = """
INSERT INTO orchestrator_site_event (
    at, case_id, actor_kind, actor, object_type, object_id, old, new, reason, data)
SELECT created_at, case_id, 'worker', 'bench', 'queues.tramitetask', id, old, new, 'bench', '{}'
FROM tramite_queue, (VALUES ('pending', 'processing'), ('processing', 'completed')) AS m(old, new)
"""


def run(quick: bool) -> list[Figure]:
    with inside.on_postgresql() as environment:
        return inside.call(__name__, "measured", quick, environment=environment)


def measured(quick: bool) -> list[Figure]:
    many, times = (QUICK_MANY, QUICK_RUNS) if quick else (MANY, RUNS)
    for name, finished in ((SMALL, FEW), (LARGE, many)):
        _create(name, finished)
    _run()  # what only the first use costs
    runs = [_run() for _time in range(times)]
    note = f"{many:,} finished against {FEW:,}"
    return [
        compared(
            f"queue_flatness.{kind}",
            [run[kind, LARGE] for run in runs],
            [run[kind, SMALL] for run in runs],
            "tasks/s",
            Target("ratio", ">=", bound),
            note,
        )
        for kind, bound in (("single", 0.95), ("batch", 0.85))
    ]


def _create(name: str, finished: int) -> None:
    connection.close()
    with connection._nodb_cursor() as cursor:
        cursor.execute(f"CREATE DATABASE {name} TEMPLATE {connection.settings_dict['NAME']}")
    with _in(name), connection.cursor() as cursor:
        cursor.execute(FINISHED, [finished])
        cursor.execute(THEIR_EVENTS)


@contextmanager
def _in(name: str) -> Iterator[None]:
    before = connection.settings_dict["NAME"]
    connection.close()
    connection.settings_dict["NAME"] = name
    try:
        yield
    finally:
        connection.close()
        connection.settings_dict["NAME"] = before


def _run() -> dict[tuple[str, str], float]:
    """Takes a second, one by one and in batches, in either database."""
    for name in (SMALL, LARGE):
        with _in(name):
            TramiteTask.objects.filter(resource_id__lte=DUE).delete()
            tasks.add(DUE)
            tasks.settle()
    seconds: dict[tuple[str, str], float] = {}
    for turn in range(TURNS):
        for name in (SMALL, LARGE) if turn % 2 else (LARGE, SMALL):
            with _in(name):
                TramiteTask.objects.exists()  # opens the connection
                for kind, took in (("single", _single()), ("batch", _batch())):
                    seconds[kind, name] = seconds.get((kind, name), 0) + took
    counts = {"single": SINGLE * TURNS, "batch": BATCH * TURNS}
    return {(kind, name): counts[kind] / took for (kind, name), took in seconds.items()}


def _single() -> float:
    began = time.perf_counter()
    for _take in range(SINGLE):
        assert len(TramiteTask.objects.take("bench", LEASE)) == 1
    return time.perf_counter() - began


def _batch() -> float:
    began = time.perf_counter()
    assert len(TramiteTask.objects.take("bench", LEASE, BATCH)) == BATCH
    return time.perf_counter() - began
