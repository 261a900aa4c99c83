"""A row beside its document in Mongo, for staff."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from queues.mirror import asking, door
from queues.mirror.kinds import Document, generator_document
from queues.models import Generator


@dataclass(frozen=True)
class Field:
    """One field on both sides; None: it is not there. `is_ours`: what stands here is written
    there; else the outside has the say on it."""

    name: str
    here: Any
    there: Any
    is_ours: bool

    @property
    def differs(self) -> bool:
        return self.is_ours and self.here != self.there


def of_generator(generator: Generator) -> list[Field] | None:
    """Its row and its document; None where Mongo has none. Raises Away."""
    document = generator_document(generator)
    with asking.briefly():
        # A person wants to see what is odd in it, too.
        found = door.collection(document.place, door.LENIENT)
        there = found.find_one(dict([document.match]))
    return None if there is None else list(_fields(document, there))


def _fields(document: Document, there: Mapping[str, Any]) -> Iterator[Field]:
    """First what is mirrored, then what others wrote besides."""
    name, value = document.match
    ours = {name: value, **document.at_first, **document.owned}
    for one, here in ours.items():
        told = there.get(one)
        yield Field(one, _comparable(here), _comparable(told), one not in document.at_first)
    for one, told in there.items():
        if one not in ours and one != "_mirror":
            yield Field(one, None, _comparable(told), False)


def _comparable(value: Any) -> Any:
    """Mongo's dates know no more than milliseconds."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(microsecond=value.microsecond // 1000 * 1000)
    return value
