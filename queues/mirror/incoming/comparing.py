"""What is ours in Mongo's documents and reads otherwise there is written back."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from typing import Any

from queues.mirror.incoming.values import moment
from queues.mirror.kinds import Document
from queues.mirror.publishing import mark
from queues.models import MirrorChange

# Whoever tells of a device moves its `updated_at`; the mirror's notes are for the mirror.
NOT_COMPARED = frozenset({"updated_at", "_mirror.status"})


def write_differing(
    kind: str, rows: Mapping[str, Document], there: Mapping[str, Mapping[str, Any]]
) -> None:
    """Mark those whose document is gone, or says otherwise of what is ours; both by key."""
    write_back(kind, [key for key, row in rows.items() if is_unlike(row, there.get(key))])


def write_back(kind: str, keys: Collection[str]) -> None:
    """Mark those that are not marked yet."""
    if keys:
        mark(kind, sorted(set(keys) - marked(kind, keys)))


def marked(kind: str, keys: Iterable[str]) -> set[str]:
    """Those that Mongo is still to be told of, or that it would not take."""
    rows = MirrorChange.objects.filter(kind=kind, key__in=list(keys))
    return set(rows.values_list("key", flat=True))


def is_unlike(row: Document, there: Mapping[str, Any] | None) -> bool:
    if there is None:
        return True
    if any(there.get(name) == value for name, value in row.unless.items()):
        return False
    owned = (one for one in row.owned.items() if one[0] not in NOT_COMPARED)
    return any(_differs(there, path, value) for path, value in owned)


def _differs(there: Any, path: str, value: Any) -> bool:
    """`value` None: it must not be there, not even as a null."""
    for name in path.split("."):
        if not isinstance(there, Mapping) or name not in there:
            return value is not None
        there = there[name]
    if isinstance(value, datetime):
        return _milliseconds(value) != _milliseconds(moment(there))
    return value is None or bool(there != value)


def _milliseconds(value: datetime | None) -> datetime | None:
    """Mongo's dates know no more than that."""
    return value and value.replace(microsecond=value.microsecond // 1000 * 1000)
