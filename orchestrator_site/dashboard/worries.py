"""What a person should look at, worst first; nothing when all is well."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.urls import reverse
from django.utils import timezone
from django.utils.translation import ngettext_lazy

from brain import cycles
from orchestrator_site.dashboard.live import Rights
from orchestrator_site.dashboard.numbers import Number, listed

# By the name of its count: what to say of it, the list that shows the rows, and who may see it.
WORRIES: tuple[tuple[str, Any, str, dict[str, str], str], ...] = (
    (
        "in_doubt",
        ngettext_lazy(
            "appeal may have been sent: decide", "appeals may have been sent: decide each"
        ),
        "queues_tramitetask",
        {"status__exact": "in_doubt"},
        "queues.view_tramitetask",
    ),
    (
        "jobs_in_doubt",
        ngettext_lazy(
            "job may have had its effect: decide", "jobs may have had their effect: decide each"
        ),
        "queues_job",
        {"status__exact": "in_doubt"},
        "queues.view_job",
    ),
    (
        "unproven_claims",
        ngettext_lazy("unproven claim", "unproven claims"),
        "brain_claim",
        {"status__exact": "unproven"},
        "brain.view_claim",
    ),
    (
        "undecided_claims",
        ngettext_lazy("claim was never decided", "claims were never decided"),
        "brain_claim",
        {"status__exact": "started"},
        "brain.view_claim",
    ),
    (
        "unqueued_claims",
        ngettext_lazy("case is ours but not queued", "cases are ours but not queued"),
        "brain_claim",
        {"queued": "no"},
        "brain.view_claim",
    ),
    (
        "stuck_devices",
        ngettext_lazy("device is stuck: release it", "devices are stuck: release them"),
        "devices_device",
        {"held": "stuck"},
        "devices.view_device",
    ),
    (
        "held",
        ngettext_lazy("appeal waits for an authorisation", "appeals wait for an authorisation"),
        "queues_tramitetask",
        {"status__exact": "held"},
        "queues.view_tramitetask",
    ),
)


def worries(data: Mapping[str, Any], may: Rights) -> list[dict[str, Any]]:
    """Each with its count ("" where there is none), its text and its list. `data`: a snapshot's."""
    broken = [
        {"count": "", "text": f"{row['site_id']}: {row['last_error']}", "url": _page_of(row)}
        for row in data["organismos"]
        if row["last_error"] and "brain.view_organismo" in may
    ]
    return broken + [
        {
            "count": Number("", "bad", count, "").text,
            "text": text % count,
            "url": listed(model, **query, **_since(name)),
        }
        for name, text, model, query, needed in WORRIES
        if (count := data["attention"][name]) and needed in may
    ]


def _since(name: str) -> dict[str, Any]:
    """A claim that has just been started is being decided."""
    if name != "undecided_claims":
        return {}
    return {"started_at__lt": (timezone.now() - 2 * cycles.SETTLE_AFTER).isoformat()}


def _page_of(row: Mapping[str, Any]) -> str:
    return reverse("admin:brain_organismo_change", args=[row["id"]])
