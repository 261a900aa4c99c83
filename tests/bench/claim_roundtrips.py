"""Claiming behind a slow origin: statements a case, and the rate against what they allow.

Each statement on the alias `recursos` waits LATENCY before it is carried out. A cycle that does
nothing but wait for its own statements would claim cases / (statements x LATENCY) a second: that
is the baseline. The rate falls short of it by what the brain itself does between the statements:
judging, the ledger, the events, the tasks. How many statements there are is a figure of its own,
so that a slower plan cannot lower its own baseline.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.backends.signals import connection_created

from brain import origin
from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.models import Organismo
from orchestrator_site.demo.origin import create_origin
from queues.models import TramiteTask
from tests.bench.support.figure import Figure, Target, compared, plain
from tests.bench.support.rows import add_candidates
from tests.factories import FlowFactory, OrganismoFactory

LATENCY = 0.020  # seconds
CANDIDATES, RUNS = 1000, 7
QUICK_CANDIDATES, QUICK_RUNS = 1000, 3  # fewer cases would share the fixed statements


@dataclass(eq=False)
class Line:
    """The line to the origin: it delays and counts what is sent."""

    statements: int = 0
    waited: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, execute: Callable[..., Any], *statement: Any) -> Any:
        began = time.perf_counter()
        time.sleep(LATENCY)
        with self._lock:
            self.waited += time.perf_counter() - began
            self.statements += 1
        return execute(*statement)

    @contextmanager
    def laid(self) -> Iterator[None]:
        """On this thread's connection, and on those that other threads open meanwhile."""

        def lay(connection: BaseDatabaseWrapper, **_: Any) -> None:
            if connection.alias == origin.ALIAS and self not in connection.execute_wrappers:
                connection.execute_wrappers.append(self)

        connection_created.connect(lay)
        try:
            with connections[origin.ALIAS].execute_wrapper(self):
                yield
        finally:
            connection_created.disconnect(lay)


@dataclass(frozen=True)
class Pass:
    """One round over fresh candidates."""

    cases: int
    statements: int
    seconds: float
    waited: float  # of these, what the line really took
    cpu: float  # this process's own

    @property
    def allowed(self) -> float:
        """Cases a second that the statements' latency allows."""
        return self.cases / (self.statements * LATENCY)


def run(quick: bool) -> list[Figure]:
    create_origin(settings.ORIGIN_PATH)
    organismo = OrganismoFactory(flow_name=FlowFactory().name)
    size, times = (QUICK_CANDIDATES, QUICK_RUNS) if quick else (CANDIDATES, RUNS)
    claimed(organismo, first=1, size=60)  # what only the first use costs: imports, templates
    passes = [claimed(organismo, 100_000 * number, size) for number in range(1, times + 1)]
    told = [
        f"{one.statements} statements, {one.seconds:.3f} s, waited {one.waited:.3f} s, "
        f"CPU {one.cpu:.3f} s"
        for one in passes
    ]
    return [
        plain(
            "claim_roundtrips.statements_a_case",
            [one.statements / one.cases for one in passes],
            "statements",
            Target("value", "<=", 0.05),
        ),
        compared(
            "claim_roundtrips.rate",
            [one.cases / one.seconds for one in passes],
            [one.allowed for one in passes],
            "cases/s",
            Target("ratio", ">=", 0.8),
            "; ".join(told),
        ),
        plain(
            "claim_roundtrips.cpu_a_case",
            [one.cpu / one.cases * 1000 for one in passes],
            "ms",
        ),
    ]


def claimed(organismo: Organismo, first: int, size: int) -> Pass:
    """Claim `size` new candidates with the ids from `first` on, as a cycle would."""
    with closing(sqlite3.connect(settings.ORIGIN_PATH, timeout=20)) as database:
        add_candidates(database, first, size)
    origin._columns.clear()  # a fresh process asks for them
    visit = ClaimRound(organismo, SqlClaimer(organismo))
    line = Line()
    with line.laid():
        began, cpu = time.perf_counter(), time.process_time()
        report = visit.run(size)
        seconds, cpu = time.perf_counter() - began, time.process_time() - cpu
    if report.error or report.claimed != size or report.queued != size:
        raise AssertionError(f"not every case was claimed and queued: {report}")
    tasks = TramiteTask.objects.filter(resource_id__gte=first, resource_id__lt=first + size)
    assert tasks.count() == size
    return Pass(report.claimed, line.statements, seconds, line.waited, cpu)
