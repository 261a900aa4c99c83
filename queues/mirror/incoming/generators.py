"""How generators fare that are worked from Mongo: their workers report there."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from queues import sentences
from queues.mirror.incoming.comparing import write_differing
from queues.mirror.incoming.refusing import Refusals, Unreadable, shown
from queues.mirror.incoming.values import count, date
from queues.mirror.kinds import GENERATORS, generator_document
from queues.models import Generator

COUNTS = ("available_devices", "total_devices", "available_capacity", "current_active_tasks")
DATES = ("last_update", "last_failure_date")


def reports() -> int:
    """Those of ours are written back where somebody else reported of them."""
    rows = {row.name: row for row in Generator.objects.all()}
    refusals = Refusals(GENERATORS)
    said = {one["_id"]: one for one in refusals.documents({"_id": {"$in": list(rows)}})}
    taken = 0
    for name, document in said.items():
        if rows[name].is_worked_from_mongo:
            taken += refusals.judge(document, partial(_take, rows[name], document))
    # A document that the mirror never wrote is the outside's, until there is news of it here.
    strange = {name for name, document in said.items() if "_mirror" not in document}
    ours = {n: generator_document(row) for n, row in rows.items() if n not in strange}
    write_differing("generator", ours, said)
    return taken


def _take(row: Generator, document: Mapping[str, Any]) -> bool:
    """True where it fares otherwise than before. Raises Unreadable."""
    status = document.get("status", row.status)
    if status not in Generator.Status.values:
        raise Unreadable(sentences.UNKNOWN_STATUS % {"value": shown(status)})
    told: dict[str, Any] = {name: count(document, name) for name in COUNTS if name in document}
    told |= {name: date(document, name) for name in DATES if document.get(name) is not None}
    if news := {name: value for name, value in told.items() if getattr(row, name) != value}:
        Generator.objects.filter(pk=row.pk).update(**news)
    return status != row.status and row.move(status, sentences.DOCUMENT_IN_MONGO)
