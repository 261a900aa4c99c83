"""Many distributors at once give waiting people to devices, which another process frees again.

On PostgreSQL against an UPDATE of one row by its key, sent by as many bare psycopg processes; on
SQLite for its correctness. Whether anybody was assigned twice is looked up in what was written.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import psycopg
from django.db import connection, transaction

from brain import assigning, shares
from brain.models import Decision
from devices.models import Device
from orchestrator_site.clock import db_now
from queues.models import Generator, NbcRecord, QueueEntry, RegistroWork
from tests.bench.support import crew, inside, people, tasks
from tests.bench.support.figure import Figure, Target, compared, plain
from tests.factories import EndpointFactory

PEOPLE, DEVICES, RUNS, QUICK_RUNS = 2000, 500, 5, 2
PROCESSES, LITE_PROCESSES = 8, 4
UPDATES = 500  # by each process
SHARES = {"G_IAD": 25, "G_IAD2": 40, "G_MASTER": 25, "G_SISEC": 10}
REST, FREE_EVERY = 0.05, 0.02  # seconds
FINISHED = {"status": "Complete", "success": True, "condition": 1}
Told = dict[str, Any]


def run(quick: bool) -> list[Figure]:
    times = QUICK_RUNS if quick else RUNS
    with inside.on_postgresql() as environment:
        runs = [
            {
                **inside.call(__name__, "assigned", PROCESSES, environment=environment),
                "updates": inside.call(__name__, "updated", environment=environment),
            }
            for _run in range(times)
        ]
    lite = [assigned(LITE_PROCESSES) for _run in range(times)]
    size = f"{PEOPLE} people, {DEVICES} devices"
    return [
        compared(
            "assign.rate",
            [one["rate"] for one in runs],
            [one["updates"] for one in runs],
            "people/s",
            Target("ratio", ">=", 0.1),
            f"{PROCESSES} processes, {size}",
        ),
        plain(
            "assign.statements",
            [one["statements"] for one in runs],
            "a person",
            Target("value", "<=", 0.5),
        ),
        plain(
            "assign.shares_off",
            [one["off"] for one in [*runs, *lite]],
            "people a generator",
            Target("value", "<=", 1),
        ),
        plain(
            "assign.sqlite",
            [one["rate"] for one in lite],
            "people/s",
            note=f"{LITE_PROCESSES} processes, {size}",
        ),
    ]


def assigned(processes: int) -> Told:
    """One run: everybody gets a device."""
    prepare()
    each = [["distributing"]] * processes + [["freeing"]]
    seconds, sent = crew.at_work(__name__, "working", each, os.environ)
    check()
    used = Counter(Decision.objects.values_list("generator_id", flat=True))
    return {
        "rate": PEOPLE / seconds,
        "statements": sum(sent) / PEOPLE,
        "off": max(abs(used[name] - PEOPLE * share / 100) for name, share in SHARES.items()),
    }


def updated() -> float:
    """What the database allows: updates of one row by its key a second."""
    each = [["updating"]] * PROCESSES
    seconds, done = crew.at_work(__name__, "working", each, os.environ)
    return sum(done) / seconds


def prepare() -> None:
    people.nobody()
    shares.put({level: SHARES for level in ("good", "normal", "bad")}, "the benchmark's")
    for row in Generator.objects.all():
        if not row.endpoints.exists():
            EndpointFactory(generator=row)
        people.add_devices(row, DEVICES // len(SHARES))
    people.add(PEOPLE)
    tasks.settle()


def check() -> None:
    """Nobody twice, nothing twice: no device was given away before its last task was over."""
    entries = list(QueueEntry.objects.order_by("generator_id", "device", "created_at"))
    assert len(entries) == len({entry.curp for entry in entries}) == PEOPLE
    assert Decision.objects.count() == RegistroWork.objects.count() == PEOPLE
    for one, following in pairwise(entries):
        same = (one.generator_id, one.device) == (following.generator_id, following.device)
        assert not same or (one.processed_at and one.processed_at <= following.created_at)


# --- What each process does ----------------------------------------------------------------------


def working(role: str) -> Callable[[], int]:
    roles = {"distributing": distribute, "freeing": free, "updating": update}
    NbcRecord.objects.exists()  # opens the connection
    return roles[role]


def distribute() -> int:
    """Rounds until nobody waits; how many statements they took."""
    sent: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        sent.append(sql)
        return execute(sql, *rest)

    while NbcRecord.objects.filter(status=NbcRecord.Status.PENDING).exists():
        with connection.execute_wrapper(note):
            found = assigning.step()
        if not found:
            time.sleep(REST)
    return len(sent)


def free() -> int:
    """End whatever is assigned, as results would."""
    done = 0
    while done < PEOPLE:
        with transaction.atomic():
            assigned = QueueEntry.objects.filter(status=QueueEntry.Status.ASSIGNED).order_by()
            ended = list(assigned.values_list("pk", flat=True))
            if ended:
                now = db_now()
                QueueEntry.objects.filter(pk__in=ended).update(**FINISHED, processed_at=now)
                Device.objects.release(ended, now)
        done += len(ended)
        time.sleep(FREE_EVERY)
    return 0


def update() -> int:
    keys = list(Device.objects.values_list("pk", flat=True))
    sql = "UPDATE devices SET updated_at = now() WHERE id = %s"
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as bare:
        return sum(bare.execute(sql, [key]).rowcount for key in random.choices(keys, k=UPDATES))
