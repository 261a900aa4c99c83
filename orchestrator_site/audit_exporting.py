"""Entries of the audit as lines: all that is sealed, the hashes too."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import QuerySet

from orchestrator_site.exporting import Lines
from orchestrator_site.models import AuditEntry

COLUMNS = (
    *("number", "at", "actor_kind", "actor", "action", "object_type", "object_id", "object_name"),
    *("before", "after", "reason", "case_id", "source", "source_id", "previous", "hash"),
)
READ_AT_ONCE = 1000


def lines(entries: QuerySet[AuditEntry], kind: str) -> Lines:
    """Oldest first. In JSON `before` and `after` are objects, elsewhere texts."""
    stored = entries.order_by("number").values_list(*COLUMNS).iterator(chunk_size=READ_AT_ONCE)
    if kind == "json":
        return Lines(COLUMNS, stored)
    return Lines(COLUMNS, ([_text(value) for value in row] for row in stored))


def _text(value: Any) -> Any:
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False, sort_keys=True) if value else ""
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds")
    return str(value) if isinstance(value, UUID) else value
