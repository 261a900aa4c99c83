"""The brain's figures for Prometheus, and how its workers and clusters are."""

from __future__ import annotations

from collections.abc import Iterator

from django.db.models import Count, Min
from django.utils import timezone
from prometheus_client.core import GaugeMetricFamily, Metric

from devices.models import Worker
from queues.models import TramiteTask


def collect() -> Iterator[Metric]:
    yield tasks()
    yield oldest_waiting()
    yield heartbeats()


def tasks() -> Metric:
    """By status and site: the index tramite_status_site has all that this reads."""
    shown = GaugeMetricFamily(
        "orchestrator_tramite_tasks", "Appeals in the queue", labels=["status", "site"]
    )
    counted = TramiteTask.objects.order_by().values_list("status", "site_id")
    for status, site, count in counted.annotate(Count("id")):
        shown.add_metric([status, site], count)
    return shown


def oldest_waiting() -> Metric:
    shown = GaugeMetricFamily(
        "orchestrator_tramite_oldest_waiting_seconds", "Age of the appeal that waits longest"
    )
    oldest = TramiteTask.objects.waiting().aggregate(at=Min("created_at"))["at"]
    shown.add_metric([], (timezone.now() - oldest).total_seconds() if oldest else 0)
    return shown


def heartbeats() -> Metric:
    shown = GaugeMetricFamily(
        "orchestrator_heartbeat_age_seconds",
        "Since a worker or cluster last said that it works",
        labels=["kind", "name"],
    )
    now = timezone.now()
    for worker in Worker.objects.all():
        shown.add_metric([worker.kind, worker.name], (now - worker.heartbeat_at).total_seconds())
    return shown
