"""The front page: is anything wrong, and is work flowing?"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import Count, Min
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import ngettext_lazy

from brain import cycles
from brain.assigning import DISTRIBUTION
from brain.models import Claim, Cycle, Organismo
from devices.models import Worker
from orchestrator_site.clock import db_now, midnight
from orchestrator_site.dashboard import distribution
from orchestrator_site.dashboard.alerts import banner
from orchestrator_site.models import Pause
from queues.mirror import standing
from queues.models import DistributionConfig, TramiteTask

Status = TramiteTask.Status
# What the queue shows, in the order of an appeal's way.
SHOWN = (
    Status.HELD,
    Status.PENDING,
    Status.PROCESSING,
    Status.IN_DOUBT,
    Status.COMPLETED,
    Status.COMPLETED_WITH_ERRORS,
    Status.FAILED,
    Status.CANCELLED,
)
TASKS, CLAIMS = "admin:queues_tramitetask_changelist", "admin:brain_claim_changelist"
# By the name of its count: what to say of it, and the list that shows the rows.
WORRIES: tuple[tuple[str, Any, str, str], ...] = (
    (
        Status.IN_DOUBT.value,
        ngettext_lazy(
            "appeal may have been sent: decide", "appeals may have been sent: decide each"
        ),
        TASKS,
        "status__exact=in_doubt",
    ),
    (
        "unproven_claims",
        ngettext_lazy("unproven claim", "unproven claims"),
        CLAIMS,
        "status__exact=unproven",
    ),
    (
        "undecided_claims",
        ngettext_lazy("claim was never decided", "claims were never decided"),
        CLAIMS,
        "status__exact=started",
    ),
    (
        "unqueued_claims",
        ngettext_lazy("case is ours but not queued", "cases are ours but not queued"),
        CLAIMS,
        "queued=no",
    ),
    (
        Status.HELD.value,
        ngettext_lazy("appeal waits for an authorisation", "appeals wait for an authorisation"),
        TASKS,
        "status__exact=held",
    ),
)


def environment(request: HttpRequest) -> list[Any] | None:
    """The badge beside the title."""
    return [_("Demo"), "warning"] if settings.DEMO else None


def context(request: HttpRequest, context: dict[str, Any]) -> dict[str, Any]:
    """What the front page shows."""
    now = timezone.now()
    return context | {
        "title": _("Overview"),
        **banner(request),
        "mirror": standing.current(),
        **lookups(request),
        "brain": cycles.status(now),
        "worries": worries(),
        "states": states(),
        "oldest": oldest_waiting(),
        "organismos": organismos(),
        "cycles": Cycle.objects.all()[:5],
        "workers": Worker.objects.all()[:8],
        "recent": TramiteTask.objects.order_by("-processed_at", "-id")[:8],
    }


def lookups(request: HttpRequest) -> dict[str, Any]:
    """How distribution fares, for who may see it."""
    if not request.user.has_perm("queues.view_generator"):
        return {}
    now, config = db_now(), DistributionConfig.current()
    return {
        "distribution_paused": Pause.of(DISTRIBUTION),
        "people": distribution.people(now),
        "lines": distribution.lines(config, None, now),
        "devices": distribution.held(config, now),
    }


def states() -> list[dict[str, Any]]:
    counted = _appeals()
    url = reverse("admin:queues_tramitetask_changelist")
    return [
        {
            "label": status.label,
            "tone": TramiteTask.TONES[status],
            "count": counted.get(status.value, 0),
            "url": f"{url}?status__exact={status.value}",
        }
        for status in SHOWN
    ]


def oldest_waiting() -> datetime | None:
    """When the appeal that waits longest was queued."""
    return TramiteTask.objects.waiting().aggregate(at=Min("created_at"))["at"]


def organismos() -> list[dict[str, Any]]:
    """Each active organismo: its queue against the target, claims today, its last error."""
    waiting = _by_site(TramiteTask.objects.waiting())
    today = midnight(timezone.now())
    claims = Claim.objects.filter(started_at__gte=today, status__in=Claim.OURS)
    claimed = dict(claims.values_list("organismo__site_id").annotate(Count("id")))
    return [
        {
            "row": row,
            "waiting": waiting.get(row.site_id, 0),
            "percent": min(100, 100 * waiting.get(row.site_id, 0) // (row.target_queue_depth or 1)),
            "claimed": claimed.get(row.site_id, 0),
        }
        for row in Organismo.objects.filter(active=True)
    ]


def _by_site(tasks: Any) -> dict[str, int]:
    return dict(tasks.order_by().values_list("site_id").annotate(Count("id")))


def worries() -> list[dict[str, Any]]:
    """What a person should look at, worst first; nothing when all is well."""
    counts = _appeals() | cycles.status(timezone.now())
    broken = [
        {"count": "", "text": f"{row.site_id}: {row.last_error}", "url": _page_of(row)}
        for row in Organismo.objects.filter(active=True).exclude(last_error="")
    ]
    return broken + [
        {"count": count, "text": text % count, "url": f"{reverse(page)}?{query}"}
        for name, text, page, query in WORRIES
        if (count := counts.get(name, 0))
    ]


def _appeals() -> dict[str, int]:
    """How many there are of each status."""
    return dict(TramiteTask.objects.values_list("status").annotate(Count("id")))


def _page_of(row: Organismo) -> str:
    return reverse("admin:brain_organismo_change", args=[row.pk])
