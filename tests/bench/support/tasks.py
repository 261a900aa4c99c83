"""Tasks that do nothing, many at once, for the benchmarks of the queue."""

from __future__ import annotations

from django.db import connection

from orchestrator_site.models import Event
from queues.models import TramiteTask

BATCH = 500


def fresh(count: int) -> None:
    """An empty queue and no events, then `count` due tasks."""
    empty(TramiteTask._meta.db_table, Event._meta.db_table)
    add(count)
    settle()


def add(count: int, first: int = 1) -> None:
    TramiteTask.objects.bulk_create(
        (
            TramiteTask(site_id="bench", resource_id=number, payload={"number": number})
            for number in range(first, first + count)
        ),
        batch_size=BATCH,
    )


def empty(*tables: str) -> None:
    statement = "TRUNCATE {} CASCADE" if connection.vendor == "postgresql" else "DELETE FROM {}"
    with connection.cursor() as cursor:
        for table in tables:
            cursor.execute(statement.format(connection.ops.quote_name(table)))


def settle() -> None:
    """What autovacuum would do some time later, so that it does not in the middle of a run."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE" if connection.vendor == "postgresql" else "ANALYZE")


def left_undone() -> int:
    return TramiteTask.objects.exclude(status=TramiteTask.Status.COMPLETED).count()
