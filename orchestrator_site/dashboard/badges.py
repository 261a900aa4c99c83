"""Counts of what needs a person, beside the menu's entries: from the last snapshot, no query."""

from __future__ import annotations

from typing import Any

from orchestrator_site.dashboard import snapshot
from orchestrator_site.dashboard.numbers import Number

# By the menu's entry: the names of what is counted, and whether a person has to decide.
ATTENTION: dict[str, tuple[str, ...]] = {
    "queues_tramitetask": ("in_doubt", "held"),
    "brain_claim": ("unproven_claims", "unqueued_claims", "undecided_claims"),
    "queues_job": ("jobs_in_doubt",),
    "devices_device": ("stuck_devices",),
}
ALERTS = "orchestrator_site_alert"


def badge_of(model: str) -> dict[str, Any]:
    """What a menu's entry is given besides; nothing where nobody is needed."""
    taken = snapshot.seen()
    if taken is None or model not in (*ATTENTION, ALERTS):
        return {}
    if model == ALERTS:
        count = taken.data["alerts"]["open"]
    else:
        count = sum(taken.data["attention"][name] for name in ATTENTION[model])
    if not count:
        return {}
    return {"badge": Number("", "warn", count, "").text, "badge_variant": "warning"}
