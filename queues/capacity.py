"""What each generator's worker reports of it: devices, tasks, and whether it runs."""

from __future__ import annotations

import logging
from datetime import datetime

from django.db.models import Count, Q

from devices.models import Device
from orchestrator_site.clock import db_now
from queues import sentences
from queues.models import Generator, QueueEntry

logger = logging.getLogger(__name__)


class ReportFailed(Exception):
    """The generator cannot do its work; the text says why."""


def report_all(name: str = "") -> None:
    """A report of every enabled generator of ours, or of one. What breaks one breaks no other.
    Those that are worked from Mongo report there."""
    ours = Generator.objects.filter(enabled=True, worked_by=Generator.WorkedBy.OURS)
    rows = ours.prefetch_related("endpoints")
    for generator in rows.filter(name=name) if name else rows:
        report(generator, db_now())


def report(generator: Generator, now: datetime) -> bool:
    """Write down the generator's capacity; False: the report failed and it is `fallando`."""
    try:
        counts = _counted(generator, now)
        problem = ""
    except ReportFailed as error:
        counts, problem = {}, str(error)
    except Exception as error:  # the rim: a report that breaks is a failed report
        logger.exception("the report of %s failed", generator)
        counts, problem = {}, f"{type(error).__name__}: {error}"
    changes = {"last_update": now, **counts}
    if problem:
        changes |= {"last_failure_date": now, "last_failure": problem}
    Generator.objects.filter(pk=generator.pk).update(**changes)
    status = Generator.Status.FAILING if problem else Generator.Status.RUNNING
    if status != generator.status:  # several workers report: who moves it tells of it
        generator.move(status, problem or sentences.REPORTS_AGAIN)
    return not problem


def _counted(generator: Generator, now: datetime) -> dict[str, int]:
    if generator.served_instances(now) == set():
        raise ReportFailed(sentences.NONE_TO_ASK)
    pool = Device.objects.pool(generator.fleet, generator.process).filter(online=True)
    free = Q(pk__in=Device.objects.free(now).values("pk"))
    devices = pool.order_by().aggregate(total=Count("pk"), free=Count("pk", filter=free))
    active = QueueEntry.objects.filter(generator=generator, status__in=QueueEntry.LIVE).count()
    return {
        "available_devices": devices["free"],
        "total_devices": devices["total"],
        "available_capacity": devices["free"],
        "current_active_tasks": active,
    }
