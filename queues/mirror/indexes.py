"""The indexes that old programs and the mirror find their documents by."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from devices.models import Fleet
from queues.mirror import door
from queues.mirror.kinds import MINI, NBC, WORKS, Place
from queues.models import Generator


@dataclass(frozen=True)
class Index:
    place: Place
    fields: tuple[str, ...]  # ascending

    def __str__(self) -> str:
        return f"{self.place[1]} ({', '.join(self.fields)})"


def wanted() -> list[Index]:
    queues = Generator.objects.values_list("queue_collection", flat=True)
    fleets = [(MINI, fleet) for fleet in Fleet.values]
    return [
        Index(NBC, ("imss.status", "_mirror.status")),
        Index(WORKS, ("rw_id",)),
        *(Index((MINI, name), ("Status", "created_at")) for name in queues),
        *(Index(place, ("process", "online", "available")) for place in fleets),
        *(Index(place, ("device",)) for place in fleets),
    ]


def missing() -> list[Index]:
    """One that has more fields after the wanted ones serves too. Raises PyMongoError."""
    by_place: dict[Place, list[Index]] = defaultdict(list)
    for index in wanted():
        by_place[index.place].append(index)
    return [
        index
        for place, indexes in by_place.items()
        for there in [_there(place)]
        for index in indexes
        if not any(fields[: len(index.fields)] == index.fields for fields in there)
    ]


def create(indexes: Iterable[Index]) -> None:
    for index in indexes:
        door.collection(index.place).create_index([(name, 1) for name in index.fields])


def _there(place: Place) -> list[tuple[str, ...]]:
    """The fields of each index that covers every document."""
    found = door.collection(place).index_information().values()
    return [
        tuple(name for name, _direction in one["key"])
        for one in found
        if "partialFilterExpression" not in one and not one.get("sparse")
    ]
