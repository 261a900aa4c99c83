"""Figures of organisations' jobs for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric
from redis.exceptions import RedisError

from queues import live
from queues.models import Job

COUNTED = (*Job.LIVE, Job.Status.IN_DOUBT)


def collect() -> Iterator[Metric]:
    shown = GaugeMetricFamily(
        "orchestrator_jobs", "Organisations' jobs that have not ended", labels=["status"]
    )
    for status in COUNTED:
        shown.add_metric([status], Job.objects.filter(status=status).count())
    yield shown
    yield GaugeMetricFamily(
        "orchestrator_jobs_longest_wait_seconds",
        "How long the job has been due that has waited longest",
        longest_wait().total_seconds(),
    )
    yield from _workers()


def longest_wait() -> timedelta:
    """Of the jobs that are due in organisations that are not at rest."""
    due = Job.objects.due().filter(organisation__active=True).order_by()
    oldest = due.aggregate(oldest=Min("available_at"))["oldest"]
    return max(timezone.now() - oldest, timedelta(0)) if oldest else timedelta(0)


def _workers() -> Iterator[Metric]:
    """Only where there are isolated ones."""
    way = live.transport()
    if way is None:
        return
    try:
        beats = way.workers()
    except RedisError:  # its absence is told elsewhere
        return
    of = "orchestrator_job_workers"
    yield GaugeMetricFamily(of, "Isolated workers that are alive", len(beats))
    capacity, running = sum(one.capacity for one in beats), sum(len(one.jobs) for one in beats)
    yield GaugeMetricFamily(f"{of}_capacity", "Jobs that they can run at once", capacity)
    yield GaugeMetricFamily(f"{of}_busy", "Jobs that they run", running)
