"""`/metrics` for Prometheus: read from the database when asked, since many processes work."""

from __future__ import annotations

import hmac
import logging
from collections.abc import Callable, Iterable, Iterator

from django.conf import settings
from django.contrib.auth.models import AnonymousUser, User
from django.db.models import Count, Q
from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from rest_framework.authentication import SessionAuthentication
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from orchestrator_site import row_security
from orchestrator_site.api.access import ApiKeyAuthentication
from orchestrator_site.clock import db_now
from orchestrator_site.health import database_problems
from orchestrator_site.models import Alert, AlertRule, Lease, Pause

logger = logging.getLogger(__name__)
Function = Callable[[], Iterable[Metric]]
COLLECTORS: list[Function] = []


def register(*functions: Function) -> None:
    """An app says what to show; done when the app is ready."""
    COLLECTORS.extend(functions)


class _Registered(Collector):
    """Everything registered; a function that breaks is told by a figure, and stops no other."""

    def collect(self) -> Iterator[Metric]:
        worked = GaugeMetricFamily(
            "orchestrator_collector_up", "1 where these figures could be read", labels=["collector"]
        )
        for function in COLLECTORS:
            name = f"{function.__module__}.{function.__qualname__}"
            try:
                figures = list(function())
            except Exception:
                logger.exception("collector %s failed", name)
                worked.add_metric([name], 0)
                continue
            worked.add_metric([name], 1)
            yield from figures
        yield worked


_registry = CollectorRegistry()
_registry.register(_Registered())


@require_safe
def page(request: HttpRequest) -> HttpResponse:
    """The figures, for the token of METRICS_TOKEN, an API key, or staff."""
    if not _has_token(request):
        user = _reader(request)
        if not user.is_authenticated:
            return HttpResponse(status=401, headers={"WWW-Authenticate": "Bearer"})
        if not (user.is_staff or user.has_perm("orchestrator_site.view_alert")):
            raise Http404
    with row_security.seen_as(row_security.ALL):  # no user stands behind the token
        return HttpResponse(generate_latest(_registry), content_type=CONTENT_TYPE_LATEST)


def _has_token(request: HttpRequest) -> bool:
    scheme, _space, token = request.headers.get("Authorization", "").partition(" ")
    known = settings.METRICS_TOKEN
    is_same = hmac.compare_digest(token.encode(), known.encode())
    return bool(known) and scheme.lower() == "bearer" and is_same


def _reader(request: HttpRequest) -> User | AnonymousUser:
    """Whose key it is, else whose session; nobody's where the key is unknown."""
    asked = Request(request, authenticators=[ApiKeyAuthentication(), SessionAuthentication()])
    try:
        return asked.user
    except AuthenticationFailed:
        return AnonymousUser()


def ground() -> Iterator[Metric]:
    """What the ground knows: whether the database is ready, alerts, leases, pauses."""
    ready = GaugeMetricFamily("orchestrator_ready", "1 where the database is migrated")
    ready.add_metric([], not database_problems())
    yield ready
    yield _alerts()
    held = GaugeMetricFamily("orchestrator_lease_held", "1 while it is held", labels=["name"])
    now = db_now()
    for lease in Lease.objects.all():
        held.add_metric([lease.name], bool(lease.expires_at and lease.expires_at > now))
    yield held
    paused = GaugeMetricFamily("orchestrator_paused", "1 while it is paused", labels=["name"])
    for pause in Pause.objects.all():
        paused.add_metric([pause.name], 1)
    yield paused


def _alerts() -> Metric:
    labels = ["rule", "severity", "status"]
    shown = GaugeMetricFamily("orchestrator_alerts", "Alerts that are raised", labels=labels)
    counts = {status.value: Count("alerts", Q(alerts__status=status)) for status in Alert.RAISED}
    for rule in AlertRule.objects.annotate(**{f"{s}_": c for s, c in counts.items()}):
        for status in counts:
            shown.add_metric([rule.name, rule.severity, status], getattr(rule, f"{status}_"))
    return shown
