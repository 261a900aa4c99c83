"""Values as scripts and shells write them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson import Decimal128

from queues import sentences
from queues.mirror.incoming.refusing import Unreadable, shown

HIGHEST_COUNT = 2**31 - 1


def whole(value: Any) -> Any:
    """A whole number as such, be it written as 1, as 1.0 or as NumberLong(1); else as it is."""
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, float | Decimal) and math.isfinite(value) and value == int(value):
        return int(value)
    is_number = isinstance(value, int) and not isinstance(value, bool)
    return int(value) if is_number else value


def text(document: Mapping[str, Any], name: str, most: int, *, is_needed: bool = True) -> str:
    """Raises Unreadable."""
    value = document.get(name, "")
    is_text = isinstance(value, str) and len(value) <= most and "\0" not in value
    if not is_text or (is_needed and not value.strip()):
        told = sentences.NO_SHORT_TEXT
        raise Unreadable(told % {"name": name, "most": most, "value": shown(value)})
    return str(value)


def count(document: Mapping[str, Any], name: str) -> int:
    """Raises Unreadable."""
    value = whole(document[name])
    if type(value) is not int or not 0 <= value <= HIGHEST_COUNT:
        told = sentences.NO_COUNT
        raise Unreadable(told % {"name": name, "value": shown(value)})
    return value


def flag(document: Mapping[str, Any], name: str) -> bool | None:
    """None: there is none. Raises Unreadable."""
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, bool | int | float) or value not in (0, 1):
        told = sentences.NEITHER_TRUE_NOR_FALSE
        raise Unreadable(told % {"name": name, "value": shown(value)})
    return bool(value)


def date(document: Mapping[str, Any], name: str) -> datetime:
    """Raises Unreadable."""
    value = moment(document[name])
    if value is None:
        told = sentences.NOT_A_DATE
        raise Unreadable(told % {"name": name, "value": shown(document[name])})
    return value


def moment(value: Any) -> datetime | None:
    """A date, be it written as one or as ISO 8601; without a zone it is UTC. None: it is none."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return None
    if not isinstance(value, datetime):
        return None
    return value if value.tzinfo else value.replace(tzinfo=UTC)
