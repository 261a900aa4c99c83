"""Telling Mongo what changed: at least once, in order for each document, never an older state
over a newer one.

A document carries the version it was written by: the publisher's epoch, which grows with each
new holder of the lease, and a count. A publisher that was paused and comes back changes nothing.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bson.errors import BSONError
from django.db.models import QuerySet
from pymongo import DeleteOne, UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge, InvalidOperation

from orchestrator_site.clock import db_now
from queues.mirror import door
from queues.mirror.kinds import KINDS, Document, Kind, Place
from queues.models import MirrorChange, MirrorState

logger = logging.getLogger(__name__)
AT_ONCE = 1000
DUPLICATE = 11000
UNSENDABLE = (BSONError, DocumentTooLarge, InvalidOperation, OverflowError, TypeError, ValueError)
Operation = UpdateOne | DeleteOne


class Publisher:
    """`epoch` of the lease that it is held under. Raises PyMongoError where Mongo is away: then
    nothing was taken off the outbox."""

    def __init__(self, epoch: int) -> None:
        self.version = epoch << 32

    def step(self) -> int:
        """Publish the oldest changes; returns how many documents that were."""
        changes = list(open_changes()[:AT_ONCE])
        if not changes:
            return 0
        by_kind: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for change in changes:
            by_kind[change.kind][change.key].append(change.pk)
        self.version += 1
        for name, changed in by_kind.items():
            self._publish(KINDS[name], changed)
        MirrorState.went_well(published_at=db_now())
        return sum(map(len, by_kind.values()))

    def _publish(self, kind: Kind, changed: Mapping[str, list[int]]) -> None:
        by_place: dict[Place, dict[str, Document]] = defaultdict(dict)
        for key, document in kind.documents(changed.keys()).items():
            by_place[document.place][key] = document
        problems: dict[str, str] = {}
        for place, documents in by_place.items():
            problems |= send(place, documents, self.version)
        done = [pk for key, pks in changed.items() if key not in problems for pk in pks]
        MirrorChange.objects.filter(pk__in=done).delete()
        # What was set aside of a document that went through meanwhile is over.
        sent = changed.keys() - problems.keys()
        aside = MirrorChange.objects.filter(set_aside_at__isnull=False, kind=kind.name)
        if aside.exists():
            aside.filter(key__in=sent).delete()
        for key, problem in problems.items():
            logger.error("mirror: %s %s was set aside: %s", kind.name, key, problem)
            rows = MirrorChange.objects.filter(pk__in=changed[key])
            rows.update(error=problem, set_aside_at=db_now())


def open_changes() -> QuerySet[MirrorChange]:
    """What is to be published, the oldest first."""
    return MirrorChange.objects.filter(set_aside_at=None).order_by("id")


def mark(kind: str, keys: Iterable[str]) -> None:
    """Have these documents written again as they stand here."""
    rows = (MirrorChange(kind=kind, key=key) for key in keys)
    MirrorChange.objects.bulk_create(rows, batch_size=AT_ONCE)


def send(place: Place, documents: Mapping[str, Document], version: int) -> dict[str, str]:
    """Write documents of one collection; returns what is wrong with those that it refuses."""
    keys = list(documents)
    ids = _ids(place, documents)
    operations = [_operation(documents[key], ids[key], version) for key in keys]
    return _sent(place, keys, operations)


def _sent(place: Place, keys: Sequence[str], operations: Sequence[Operation]) -> dict[str, str]:
    try:
        door.collection(place).bulk_write(operations, ordered=False)
    except BulkWriteError as error:
        return _refused(keys, error.details or {})
    except UNSENDABLE as error:
        if len(keys) == 1:
            return {keys[0]: f"{type(error).__name__}: {error}"}
        half = len(keys) // 2  # which of them it is, the driver does not say
        return _sent(place, keys[:half], operations[:half]) | _sent(
            place, keys[half:], operations[half:]
        )
    return {}


def _refused(keys: Sequence[str], details: Mapping[str, Any]) -> dict[str, str]:
    """A duplicate `_id` is no fault: the document is there, with a newer version or an end that
    the outside wrote, which the guard left alone."""
    if wrong := details.get("writeConcernErrors"):
        raise door.PyMongoError(str(wrong))
    return {
        keys[fault["index"]]: str(fault["errmsg"])
        for fault in details.get("writeErrors", ())
        if not (fault.get("code") == DUPLICATE and _is_of_id(fault))
    }


def _is_of_id(fault: Mapping[str, Any]) -> bool:
    pattern = fault.get("keyPattern")
    return "_id" in pattern if pattern else "_id_" in str(fault.get("errmsg", "_id_"))


def _ids(place: Place, documents: Mapping[str, Document]) -> dict[str, Any]:
    """The `_id` of each document: its own, or that of the one that has its name already."""
    ids = {key: one.new_id for key, one in documents.items()}
    named = {one.match: key for key, one in documents.items() if one.match[0] != "_id"}
    if named:
        (name, _value), *_rest = named
        wanted = {name: {"$in": [value for _name, value in named]}}
        for found in door.collection(place).find(wanted, {name: 1}):
            ids[named[name, found[name]]] = found["_id"]
    return ids


def _operation(one: Document, _id: Any, version: int) -> Operation:
    unwritten = {"_id": _id, "_mirror.v": {"$not": {"$gte": version}}}
    if one.is_gone:
        return DeleteOne(unwritten)
    unless = {name: {"$ne": value} for name, value in one.unless.items()}
    name, value = one.match
    named = {} if name == "_id" else {name: value}
    owned = {key: value for key, value in one.owned.items() if value is not None}
    unset = {key: "" for key, value in one.owned.items() if value is None}
    update: dict[str, Any] = {"$set": {**named, **owned, "_mirror.v": version}}
    if one.at_first:
        update["$setOnInsert"] = dict(one.at_first)
    if unset:
        update["$unset"] = unset
    return UpdateOne({**unwritten, **unless}, update, upsert=True)
