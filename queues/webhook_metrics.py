"""Figures of webhooks for Prometheus."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Min
from prometheus_client.core import GaugeMetricFamily, Metric

from orchestrator_site.clock import db_now
from queues.models import WebhookDelivery, WebhookEndpoint

Status = WebhookDelivery.Status


def collect() -> Iterator[Metric]:
    shown = GaugeMetricFamily(
        "orchestrator_webhook_messages", "Messages that have not ended", labels=["status"]
    )
    for status in (Status.PENDING, Status.SENDING):
        shown.add_metric([status], WebhookDelivery.objects.filter(status=status).count())
    yield shown
    yield GaugeMetricFamily(
        "orchestrator_webhook_oldest_message_seconds",
        "How long the message has not arrived that was written first",
        _oldest().total_seconds(),
    )
    yield _endpoints()


def _oldest() -> timedelta:
    """Also of those that are tried again later: due or not, nobody was told."""
    under_way = WebhookDelivery.objects.filter(status__in=(Status.PENDING, Status.SENDING))
    oldest = under_way.aggregate(oldest=Min("created_at"))["oldest"]
    return max(db_now() - oldest, timedelta(0)) if oldest else timedelta(0)


def _endpoints() -> Metric:
    """Those that are disabled because they failed are told apart from a person's doing."""
    shown = GaugeMetricFamily("orchestrator_webhooks", "Addresses by state", labels=["state"])
    rows = WebhookEndpoint.objects.all()
    healthy, failing = rows.filter(failing_since=None), rows.exclude(failing_since=None)
    shown.add_metric(["enabled"], healthy.filter(enabled=True).count())
    shown.add_metric(["failing"], failing.filter(enabled=True).count())
    shown.add_metric(["disabled"], healthy.filter(enabled=False).count())
    shown.add_metric(["given_up"], failing.filter(enabled=False).count())
    return shown
