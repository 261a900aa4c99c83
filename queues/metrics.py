"""Figures of distribution and its mirror for Prometheus. Each reads a day at most, by an index."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Any

from django.db.models import Count, F, Q, Sum
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from devices.models import Device
from orchestrator_site.clock import midnight
from queues.mirror import standing
from queues.models import Generator, NbcRecord, QueueEntry

DAY = timedelta(hours=24)
HOUR = timedelta(hours=1)
WINDOW = "tasks that ended in the last 24 hours"
# How long each part of a task takes: from, to.
SPANS = {
    "wait": ("created_at", "started_at", "From its assignment until a worker took it"),
    "processing": ("started_at", "processed_at", "From there to its result"),
    "api": ("called_at", "answered_at", "Until the scraper answered the call"),
}
LIVE_PEOPLE = (NbcRecord.Status.PENDING, NbcRecord.Status.P1, NbcRecord.Status.AFTER_MIDNIGHT)


def collect() -> Iterator[Metric]:
    now = timezone.now()
    finished = finished_by_generator(now - DAY)
    yield from _spans(finished)
    yield _rate("success", "Tasks that ended well", "well", finished)
    yield _rate("condition4", "Tasks that ended with condition 4", "failed", finished)
    yield _tasks_today()
    yield _tasks_of_devices(now)
    yield _live_tasks()
    yield _people()
    yield _devices()
    yield from _mirror()


def finished_by_generator(since: datetime) -> list[dict[str, Any]]:
    """Of the tasks that ended since then, by generator: `done` of them, `well`, `failed` (with
    condition 4); of each span, how many have it, and its sum as a timedelta."""
    counts: dict[str, Any] = {
        "done": Count("pk"),
        "well": Count("pk", filter=Q(success=True)),
        "failed": Count("pk", filter=Q(condition=QueueEntry.Condition.ERROR)),
    }
    for name, (begin, end, _help) in SPANS.items():
        timed = Q(**{f"{begin}__isnull": False, f"{end}__isnull": False})
        counts[f"{name}_count"] = Count("pk", filter=timed)
        counts[f"{name}_sum"] = Sum(F(end) - F(begin))
    # By name, so that the index is used from its first column on.
    of_all = QueueEntry.objects.filter(generator__in=list(_names()))
    done = of_all.filter(status=QueueEntry.Status.COMPLETE, processed_at__gte=since)
    found: Any = done.order_by().values("generator_id").annotate(**counts)
    return list(found)


def _names() -> Iterable[str]:
    return Generator.objects.values_list("name", flat=True)


def _spans(finished: list[dict[str, Any]]) -> Iterator[Metric]:
    """Sums and counts, whose quotient is the mean of any generators together. Gauges, since what
    is older than a day leaves them: a rate of them would mean nothing."""
    for name, (_begin, _end, told) in SPANS.items():
        of = f"orchestrator_imss_{name}_seconds"
        summed = GaugeMetricFamily(f"{of}_sum", f"{told}, {WINDOW}", labels=["generator"])
        counted = GaugeMetricFamily(f"{of}_count", f"{told}, {WINDOW}", labels=["generator"])
        for row in finished:
            total = row[f"{name}_sum"] or timedelta(0)
            summed.add_metric([row["generator_id"]], total.total_seconds())
            counted.add_metric([row["generator_id"]], row[f"{name}_count"])
        yield summed
        yield counted


def _rate(name: str, told: str, which: str, finished: list[dict[str, Any]]) -> Metric:
    shown = GaugeMetricFamily(
        f"orchestrator_imss_{name}_ratio", f"{told}, of {WINDOW}", labels=["generator"]
    )
    for row in finished:
        shown.add_metric([row["generator_id"]], row[which] / row["done"])
    return shown


def _tasks_today() -> Metric:
    shown = GaugeMetricFamily(
        "orchestrator_imss_tasks_today", "Tasks assigned since midnight", labels=["generator"]
    )
    today = midnight(timezone.now())
    counted = _by_generator(QueueEntry.objects.filter(created_at__gte=today))
    for name in _names():
        shown.add_metric([name], counted.get(name, 0))
    return shown


def _tasks_of_devices(now: datetime) -> Metric:
    shown = GaugeMetricFamily(
        "orchestrator_imss_device_tasks_last_hour",
        "Tasks that ended in the last hour",
        labels=["generator", "device"],
    )
    ended = QueueEntry.objects.filter(
        generator__in=list(_names()),
        status=QueueEntry.Status.COMPLETE,
        processed_at__gte=now - HOUR,
    )
    counted = ended.order_by().values_list("generator_id", "device")
    for name, device, count in counted.annotate(Count("pk")):
        shown.add_metric([name, device], count)
    return shown


def _live_tasks() -> Metric:
    shown = GaugeMetricFamily(
        "orchestrator_imss_tasks", "Tasks that have not ended", labels=["generator", "status"]
    )
    live = QueueEntry.objects.filter(status__in=QueueEntry.LIVE).order_by()
    for name, status, count in live.values_list("generator_id", "status").annotate(Count("pk")):
        shown.add_metric([name, status], count)
    return shown


def _by_generator(entries: Any) -> dict[str, int]:
    return dict(entries.order_by().values_list("generator_id").annotate(Count("pk")))


def _people() -> Metric:
    shown = GaugeMetricFamily(
        "orchestrator_imss_people", "People who are not done", labels=["status"]
    )
    counted = NbcRecord.objects.filter(status__in=LIVE_PEOPLE).order_by().values_list("status")
    for status, count in counted.annotate(Count("pk")):
        shown.add_metric([status], count)
    return shown


def _devices() -> Metric:
    """Each device counts once: out of service, else offline, else busy, else free."""
    shown = GaugeMetricFamily(
        "orchestrator_devices", "Devices by state", labels=["fleet", "process", "state"]
    )
    usable = Q(status=Device.Status.IN_SERVICE)
    online = usable & Q(online=True)
    states = {
        "free": online & Q(available=True),
        "busy": online & Q(available=False),
        "offline": usable & Q(online=False),
        "draining": Q(status=Device.Status.DRAINING),
        "quarantined": Q(status=Device.Status.QUARANTINED),
    }
    counts = {f"{name}_": Count("pk", filter=which) for name, which in states.items()}
    pools: Any = Device.objects.order_by().values("fleet", "process").annotate(**counts)
    for row in pools:
        for name in states:
            shown.add_metric([row["fleet"], row["process"], name], row[f"{name}_"])
    return shown


def _mirror() -> Iterator[Metric]:
    """Only where there is one."""
    found = standing.current()
    if found is None:
        return
    of = "orchestrator_mirror"
    yield GaugeMetricFamily(f"{of}_up", "1 while it is worked and Mongo answers", found.is_up)
    depth = f"Changes that Mongo is still to be told, counted up to {standing.COUNTED}"
    yield GaugeMetricFamily(f"{of}_outbox_depth", depth, found.depth)
    lag = "Age of the oldest of them"
    yield GaugeMetricFamily(f"{of}_lag_seconds", lag, found.lag.total_seconds())
    if found.since_read is not None:
        read, age = "Since Mongo was read last", found.since_read.total_seconds()
        yield GaugeMetricFamily(f"{of}_read_age_seconds", read, age)
    aside = GaugeMetricFamily(
        f"{of}_set_aside",
        "What could not be written to Mongo (out) or taken in from it (in)",
        labels=["direction"],
    )
    aside.add_metric(["out"], found.out)
    aside.add_metric(["in"], found.into)
    yield aside
