"""Other queues on the same PostgreSQL: how many no-op tasks a second they carry out.

Each is measured without its start: django-q2 from the moment that its first tasks are gone,
procrastinate from the moment that its workers are told to begin.
"""

from __future__ import annotations

import logging
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import procrastinate
from django.db import connection, transaction
from django_q.brokers.orm import ORM
from django_q.models import OrmQ
from django_q.tasks import async_task

from tests.bench.support import crew, tasks
from tests.machine import ROOT

PEER_SETTINGS = "tests.bench.support.peer_settings"
LONGEST = 300.0  # seconds
PROCESSES = 2
CONCURRENCY = 8


def django_q2(count: int) -> float:
    """Tuned, two workers, its ORM broker. To be called under PEER_SETTINGS."""
    tasks.empty(OrmQ._meta.db_table)
    with transaction.atomic():
        for number in range(count):
            async_task(math.sqrt, number, broker=ORM("peer"))
    tasks.settle()
    with _cluster():
        begun = _when(lambda: OrmQ.objects.count() < count)
        left = OrmQ.objects.count()
        ended = _when(lambda: not OrmQ.objects.exists())
    return left / (ended - begun)


@contextmanager
def _cluster() -> Iterator[None]:
    process = subprocess.Popen(
        [sys.executable, "manage.py", "qcluster"],
        env={**os.environ, "Q_CLUSTER_NAME": "peer"},
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _when(is_so: Callable[[], bool]) -> float:
    until = time.monotonic() + LONGEST
    while not is_so():
        if time.monotonic() > until:
            raise TimeoutError("the peer did not carry its tasks out")
        time.sleep(0.01)
    return time.monotonic()


def procrastinate_rate(count: int) -> float:
    """Its asynchronous workers, two processes that run eight tasks at once each."""
    app = _app()
    with app.open():
        if not _has_schema():
            app.schema_manager.apply_schema()
        tasks.empty("procrastinate_jobs", "procrastinate_events")
        app.tasks["nothing"].batch_defer(*({"number": number} for number in range(count)))
    tasks.settle()
    seconds, _nothing = crew.at_work(__name__, "working", [[CONCURRENCY]] * PROCESSES)
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM procrastinate_jobs WHERE status = 'succeeded'")
        assert cursor.fetchone()[0] == count
    return count / seconds


def working(concurrency: int) -> Callable[[], None]:
    logging.disable(logging.INFO)
    app = _app(procrastinate.PsycopgConnector)
    return lambda: app.run_worker(concurrency=concurrency, wait=False)


def _app(connector: type = procrastinate.SyncPsycopgConnector) -> procrastinate.App:
    app = procrastinate.App(connector=connector(conninfo=os.environ["DATABASE_URL"]))

    async def nothing(number: int) -> None: ...

    app.task(name="nothing")(nothing)
    return app


def _has_schema() -> bool:
    return "procrastinate_jobs" in connection.introspection.table_names()
