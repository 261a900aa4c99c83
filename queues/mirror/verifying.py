"""Comparing both sides: what is owned here must stand there as it is, and nothing without a row.

Fields that belong to the outside are left out. What is on its way (waits in the outbox, or was
written there and not read yet) is counted, and is no difference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from bson import json_util

from devices.models import Fleet
from queues.mirror import door
from queues.mirror.incoming.comparing import NOT_COMPARED
from queues.mirror.incoming.values import moment
from queues.mirror.kinds import GENERATORS, KINDS, MINI, NBC, WORKS, Document, Kind, Place
from queues.mirror.publishing import open_changes
from queues.mirror.session import portions
from queues.models import Generator, SetAside

PAGE = 500
LOOKS = 3  # at a row and its document, since both change while they are compared
MISSING = "missing"


@dataclass(frozen=True)
class Difference:
    """`field` is empty where a whole document, or a whole row, is missing. What is here and there
    is told as extended JSON."""

    kind: str
    key: str
    field: str
    here: str
    there: str


@dataclass
class Comparison:
    compared: Counter[str] = field(default_factory=Counter)  # by kind
    waiting: Counter[str] = field(default_factory=Counter)
    outlived: Counter[str] = field(default_factory=Counter)  # of rows that upkeep deleted
    set_aside: Counter[str] = field(default_factory=Counter)  # by collection
    differences: int = 0

    def as_dict(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if name != "differences"}


Told = Callable[[str, int], object]  # a kind, and how many more keys of it were looked at


def differences(result: Comparison, told: Told = lambda kind, count: None) -> Iterator[Difference]:
    """All of them, kind by kind; `result` is filled meanwhile. Raises PyMongoError."""
    for kind in list(KINDS.values()):
        for keys in portions(kind.all_keys(), PAGE):
            yield from _counted(result, _of_rows(kind, keys, result))
            result.compared[kind.name] += len(keys)
            told(kind.name, len(keys))
    for side in _sides():
        yield from _counted(result, _without_row(side, result, told))


def _counted(result: Comparison, found: Iterator[Difference]) -> Iterator[Difference]:
    for one in found:
        result.differences += 1
        yield one


# --- Rows and their documents ---------------------------------------------------------------------


def _of_rows(kind: Kind, keys: Sequence[str], result: Comparison) -> Iterator[Difference]:
    differing: dict[str, list[Difference]] = {}
    for _look in range(LOOKS):
        differing = _compared(kind, keys)
        if not (keys := list(differing)):
            return
    waiting = _waiting(kind, keys, differing)
    result.waiting[kind.name] += len(waiting)
    for key in keys:
        yield from () if key in waiting else differing[key]


def _compared(kind: Kind, keys: Sequence[str]) -> dict[str, list[Difference]]:
    """By key; an empty list: it ended there, and that was not read yet."""
    rows = kind.documents(set(keys))
    found = _found(rows)
    differing: dict[str, list[Difference]] = {}
    for key, row in rows.items():
        there = found.get(key)
        if row.is_gone or (there and any(there.get(n) == v for n, v in row.unless.items())):
            if there:
                differing[key] = []
        elif unlike := list(_unlike(kind.name, key, row, there)):
            differing[key] = unlike
    return differing


def _waiting(kind: Kind, keys: Sequence[str], differing: Mapping[str, list[Any]]) -> set[str]:
    changed = open_changes().filter(kind=kind.name, key__in=keys).values_list("key", flat=True)
    return {*changed, *(key for key in keys if not differing[key])}


def _found(rows: Mapping[str, Document]) -> dict[str, Mapping[str, Any]]:
    """The documents that are there, by key."""
    by_query: dict[tuple[Place, str], dict[Any, str]] = {}
    for key, row in rows.items():
        name, value = row.match
        by_query.setdefault((row.place, name), {})[value] = key
    paths = (path for row in rows.values() for path in (*row.owned, *row.unless))
    fields = {path.partition(".")[0]: 1 for path in paths}
    found: dict[str, Mapping[str, Any]] = {}
    for (place, name), by_value in by_query.items():
        wanted = {name: {"$in": list(by_value)}}
        for one in door.collection(place, door.LENIENT).find(wanted, {**fields, name: 1}):
            if not isinstance(one[name], list):  # a list that holds it matches too
                found[by_value[one[name]]] = one
    return found


def _unlike(
    kind: str, key: str, row: Document, there: Mapping[str, Any] | None
) -> Iterator[Difference]:
    if there is None:
        yield Difference(kind, key, "", "", MISSING)
        return
    for path, value in row.owned.items():
        if path in NOT_COMPARED:
            continue
        stands = _at(there, path)
        if not _is_same(value, stands):
            yield Difference(kind, key, path, _text(value), _text(stands))


def _at(document: Any, path: str) -> Any:
    """None: it is not there. A null that stands there is told from that: what is unset here must
    be unset there."""
    for name in path.split("."):
        if not isinstance(document, Mapping) or name not in document:
            return None
        document = document[name]
    return NULL if document is None else document


class _Null:
    def __repr__(self) -> str:
        return "null"


NULL = _Null()


def _is_same(here: Any, there: Any) -> bool:
    if isinstance(here, datetime):
        return _milliseconds(here) == _milliseconds(moment(there))
    return bool(here == there)


def _milliseconds(value: datetime | None) -> datetime | None:
    """Mongo keeps no more of it."""
    return value and value.replace(microsecond=value.microsecond // 1000 * 1000)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return "null" if value is NULL else json_util.dumps(value, ensure_ascii=False, default=str)


# --- Documents without a row ----------------------------------------------------------------------


@dataclass(frozen=True)
class _Side:
    """Documents of a collection: which field of them a row is known by, and its key by that."""

    kind: str
    place: Place
    name: str = "_id"
    key: Callable[[Any], str] = str
    only: Mapping[str, Any] = field(default_factory=dict)


def _sides() -> Iterator[_Side]:
    yield _Side("nbc", NBC)
    for name in Generator.objects.values_list("queue_collection", flat=True):
        yield _Side("queue", (MINI, name))
    # Others keep their works there too.
    yield _Side("work", WORKS, "rw_id", only={"rw_id": {"$regex": "^IMSS_"}})
    for fleet in Fleet.values:
        yield _Side("device", (MINI, fleet), "device", _named_in(fleet))
    yield _Side("generator", GENERATORS)


def _named_in(fleet: str) -> Callable[[Any], str]:
    return lambda name: f"{fleet}/{name}"


def _without_row(side: _Side, result: Comparison, told: Told) -> Iterator[Difference]:
    fields = {side.name: 1, "_mirror": 1}
    there = door.collection(side.place, door.LENIENT)
    cursor = there.find(dict(side.only), fields).batch_size(PAGE)
    with cursor:
        for portion in portions(cursor, PAGE):
            rowless = _rowless(side, portion)
            if KINDS[side.kind].is_history:
                known = [one for one in rowless if _at(one, "_mirror.v") is not None]
                result.outlived[side.kind] += len(known)
                rowless = [one for one in rowless if one not in known]
            aside = _aside(side, rowless)
            result.set_aside[side.place[1]] += len(aside)
            for one in rowless:
                if _named(one) not in aside:
                    key = str(one.get(side.name, one["_id"]))
                    yield Difference(side.kind, f"{side.place[1]} {key}", "", MISSING, "")
            told(side.kind, 0)


def _rowless(side: _Side, portion: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    keys = {id(one): side.key(one.get(side.name)) for one in portion}
    rows = KINDS[side.kind].documents(set(keys.values()))
    there = {key for key, row in rows.items() if not row.is_gone and row.place == side.place}
    return [one for one in portion if keys[id(one)] not in there]


def _aside(side: _Side, documents: Sequence[Mapping[str, Any]]) -> set[str]:
    """Which of them were set aside, as they are named there."""
    names = [_named(one) for one in documents]
    rows = SetAside.objects.filter(collection=side.place[1], document__in=names)
    return set(rows.values_list("document", flat=True))


def _named(document: Mapping[str, Any]) -> str:
    return json_util.dumps({"_id": document["_id"]})[:200]
