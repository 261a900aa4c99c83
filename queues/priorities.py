"""Priority: what staff put before other work that waits, or behind it."""

from __future__ import annotations

from typing import Any

from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from orchestrator_site.models.event import Note
from orchestrator_site.verbs import Argument

LOWEST, HIGHEST = -32_000, 32_000

PRIORITY = Argument(
    "priority",
    _("Priority"),
    lambda row: str(row.priority),
    least=LOWEST,
    most=HIGHEST,
    help=_("Higher goes first; 0 is what all have that nobody changed."),
)


def put(row: Any, reason: str, priority: int) -> bool:
    """Give what waits another priority; False where it has it already, or moved on."""
    if row.priority == priority:
        return False
    data = {"priority": priority, "before": row.priority}
    note = Note.of(type(row), row.status, row.status, reason, data)
    as_seen = Q(status=row.status, priority=row.priority)
    return bool(row.change_all([row], as_seen, note, priority=priority))
