"""Taking one task at a time with its event, by many processes, against what the database allows.

On PostgreSQL: against an UPDATE of one row of the same table by its key, and against the very
statement of a take, both sent by bare psycopg; pgbench's own figure for the UPDATE is told beside.
On SQLite: against the same two statements in a transaction, sent by bare sqlite3.
"""

from __future__ import annotations

import os
import random
import re
import sqlite3
import subprocess
import tempfile
import uuid
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
from django.conf import settings
from django.db import connection, transaction
from django.db.models import Max, Min

from queues.models import TramiteTask
from tests import postgres
from tests.bench.support import crew, inside, tasks
from tests.bench.support.figure import Figure, Target, compared

PROCESSES, TAKES, RUNS = 8, 500, 5
LITE_PROCESSES, LITE_TAKES = 4, 500
QUICK_TAKES, QUICK_RUNS = 150, 2
LEASE = timedelta(hours=1)
UPDATE = "UPDATE tramite_queue SET attempts = attempts + 1 WHERE id = "
TOKEN = 1  # where a take has its lease token among its parameters


def run(quick: bool) -> list[Figure]:
    takes, times = (QUICK_TAKES, QUICK_RUNS) if quick else (TAKES, RUNS)
    with inside.on_postgresql() as environment:
        figures = inside.call(__name__, "on_postgresql", takes, times, environment=environment)
    return [*figures, on_sqlite(QUICK_TAKES if quick else LITE_TAKES, times)]


def on_postgresql(takes: int, times: int) -> list[Figure]:
    sides = ("taking", "sending", "updating")
    runs = [{side: _rate(side, PROCESSES, takes) for side in sides} for _run in range(times)]
    ours, same, bare = ([run[side] for run in runs] for side in sides)
    told = f"{PROCESSES} processes; pgbench's UPDATE {_pgbench(takes):.0f}/s"
    return [
        compared("claim_ceiling.update", ours, bare, "takes/s", Target("ratio", ">=", 0.3), told),
        compared("claim_ceiling.same_sql", ours, same, "takes/s", Target("ratio", ">=", 0.8)),
    ]


def on_sqlite(takes: int, times: int) -> Figure:
    """A `database is locked` ends it."""
    sides = ("taking", "sending_lite")
    runs = [{side: _rate(side, LITE_PROCESSES, takes) for side in sides} for _run in range(times)]
    ours, same = ([run[side] for run in runs] for side in sides)
    target = Target("ratio", ">=", 0.7)
    note = f"{LITE_PROCESSES} processes"
    return compared("claim_ceiling.sqlite", ours, same, "takes/s", target, note)


def _rate(side: str, processes: int, takes: int) -> float:
    tasks.fresh(processes * takes)
    each = [[f"bench-{number}", takes] for number in range(processes)]
    seconds, done = crew.at_work(__name__, side, each, os.environ)
    assert sum(done) == processes * takes, done
    if side != "updating":
        left = TramiteTask.objects.filter(status=TramiteTask.Status.PENDING).count()
        assert left == 0, f"{left} not taken"
    return processes * takes / seconds


# --- What each process does ----------------------------------------------------------------------


def taking(worker: str, takes: int) -> Callable[[], int]:
    _statements(worker)  # what only the first use costs
    return lambda: sum(len(TramiteTask.objects.take(worker, LEASE)) for _take in range(takes))


def sending(worker: str, takes: int) -> Callable[[], int]:
    ((sql, params),) = _statements(worker)
    bare = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)

    def send() -> int:
        params[TOKEN] = uuid.uuid4()
        return len(bare.execute(sql, params).fetchall())

    return lambda: sum(send() for _take in range(takes))


def updating(worker: str, takes: int) -> Callable[[], int]:
    keys = random.choices(list(TramiteTask.objects.values_list("pk", flat=True)), k=takes)
    bare = psycopg.connect(os.environ["DATABASE_URL"], autocommit=True)
    return lambda: sum(bare.execute(f"{UPDATE} %s", [key]).rowcount for key in keys)


def sending_lite(worker: str, takes: int) -> Callable[[], int]:
    (take, params), (note, (*common, _case_id, _pk)) = _statements(worker)
    bare = sqlite3.connect(settings.DATABASES["default"]["NAME"], timeout=20, isolation_level=None)
    bare.executescript("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;")

    def send() -> int:
        bare.execute("BEGIN IMMEDIATE")
        params[TOKEN] = uuid.uuid4().hex
        rows = bare.execute(take, params).fetchall()
        for pk, case_id, *_ in rows:
            bare.execute(note, [*common, case_id, str(pk)])
        bare.execute("COMMIT")
        return len(rows)

    return lambda: sum(send() for _take in range(takes))


def _statements(worker: str) -> list[tuple[str, list[Any]]]:
    """What a take sends, as it was sent; the take itself is undone."""
    sent: list[tuple[str, list[Any]]] = []

    def note(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(("WITH", "INSERT")):
            sent.append((sql, list(params)))
        return execute(sql, params, many, context)

    with transaction.atomic(), connection.execute_wrapper(note):
        assert TramiteTask.objects.take(worker, LEASE)
        transaction.set_rollback(True)
    if connection.vendor == "sqlite":
        return [(sql.replace("%s", "?").replace("%%", "%"), params) for sql, params in sent]
    return sent


def _pgbench(takes: int) -> float:
    """The same UPDATE by PostgreSQL's own benchmark, which costs the client next to nothing."""
    first, last = TramiteTask.objects.aggregate(first=Min("pk"), last=Max("pk")).values()
    script = f"\\set key random({first}, {last})\n{UPDATE} :key;\n"
    binaries = postgres.find_binaries()
    assert binaries
    with tempfile.NamedTemporaryFile("w", suffix=".sql") as file:
        file.write(script)
        file.flush()
        told = subprocess.run(
            [
                *(str(binaries / "pgbench"), "-n", "-c", str(PROCESSES), "-j", "2"),
                *("-t", str(takes), "-f", file.name, os.environ["DATABASE_URL"]),
            ],
            capture_output=True,
            text=True,
            check=True,
        )
    found = re.search(r"tps = ([\d.]+)", told.stdout)
    assert found, told.stdout
    return float(found[1])
