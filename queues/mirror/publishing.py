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
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge, InvalidOperation

from orchestrator_site.clock import db_now
from queues.mirror import door
from queues.mirror.kinds import KINDS, Document, Kind, Place
from queues.models import MirrorChange, MirrorState

logger = logging.getLogger(__name__)
AT_ONCE = 1000
DUPLICATE = 11000
UNSENDABLE = (BSONError, DocumentTooLarge, InvalidOperation, OverflowError, TypeError, ValueError)
Operation = InsertOne[Any] | UpdateOne | DeleteOne


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
    return _Sending(place, documents, version).run()


class _Sending:
    """Documents of one collection on their way. What is there is changed, what is not is inserted:
    one that somebody inserts meanwhile is changed after all."""

    def __init__(self, place: Place, documents: Mapping[str, Document], version: int) -> None:
        self.collection = door.collection(place)
        self.documents = documents
        self.version = version
        self.problems: dict[str, str] = {}

    def run(self) -> dict[str, str]:
        met = self._write(list(self.documents))
        # Now they are there; what cannot be inserted still is a duplicate by some other name.
        self.problems |= self._write(list(met)) if met else {}
        return self.problems

    def _write(self, keys: Sequence[str]) -> dict[str, str]:
        """Returns the refusals of those that were not there a moment ago."""
        there = self._there(keys)
        planned = [(key, self._operation(key, there.get(key))) for key in keys]
        return self._sent([(key, one) for key, one in planned if one])

    def _operation(self, key: str, there: Mapping[str, Any] | None) -> Operation | None:
        return _operation(self.documents[key], there, self.version)

    def _there(self, keys: Sequence[str]) -> dict[str, dict[str, Any]]:
        """What is known of those that are there, by key."""
        found: dict[str, dict[str, Any]] = {}
        by_name: dict[str, dict[Any, str]] = defaultdict(dict)
        for key in keys:
            name, value = self.documents[key].match
            by_name[name][value] = key
        for name, by_value in by_name.items():
            fields = {name: 1, "_mirror": 1, "Status": 1}
            for one in self.collection.find({name: {"$in": list(by_value)}}, fields):
                found[by_value[one[name]]] = one
        return found

    def _sent(self, planned: Sequence[tuple[str, Operation]]) -> dict[str, str]:
        if not planned:
            return {}
        try:
            self.collection.bulk_write([one for _key, one in planned], ordered=False)
        except BulkWriteError as error:
            return self._judged(planned, error.details or {})
        except UNSENDABLE as error:
            if len(planned) == 1:
                self.problems[planned[0][0]] = f"{type(error).__name__}: {error}"
                return {}
            half = len(planned) // 2  # which of them it is, the driver does not say
            return self._sent(planned[:half]) | self._sent(planned[half:])
        return {}

    def _judged(
        self, planned: Sequence[tuple[str, Operation]], details: Mapping[str, Any]
    ) -> dict[str, str]:
        if wrong := details.get("writeConcernErrors"):
            raise door.PyMongoError(str(wrong))
        met: dict[str, str] = {}
        for fault in details.get("writeErrors", ()):
            key, operation = planned[fault["index"]]
            is_there = fault.get("code") == DUPLICATE and isinstance(operation, InsertOne)
            (met if is_there else self.problems)[key] = str(fault.get("errmsg", fault))
        return met


def _operation(one: Document, there: Mapping[str, Any] | None, version: int) -> Operation | None:
    """None: nothing is to be written."""
    if there is None:
        return None if one.is_gone else InsertOne(_whole(one, version))
    if any(there.get(name) == value for name, value in one.unless.items()):
        return None
    older = _version(there)
    # The guard stands in the write: whoever writes meanwhile is not overwritten.
    guard: dict[str, Any] = {
        "_id": there["_id"],
        "_mirror.v": None if older is None else {"$lt": version},
        **{name: {"$ne": value} for name, value in one.unless.items()},
    }
    if one.is_gone:
        return DeleteOne(guard)
    owned = {key: value for key, value in one.owned.items() if value is not None}
    unset = {key: "" for key, value in one.owned.items() if value is None}
    update: dict[str, Any] = {"$set": {**owned, "_mirror.v": version}}
    return UpdateOne(guard, {**update, "$unset": unset} if unset else update)


def _whole(one: Document, version: int) -> dict[str, Any]:
    name, value = one.match
    whole: dict[str, Any] = {"_id": one.new_id, name: value, **one.at_first}
    owned = {key: value for key, value in one.owned.items() if value is not None}
    for path, given in {**owned, "_mirror.v": version}.items():
        parent, _dot, last = path.rpartition(".")
        (whole.setdefault(parent, {}) if parent else whole)[last] = given
    return whole


def _version(there: Mapping[str, Any]) -> int | None:
    mirror = there.get("_mirror")
    return mirror.get("v") if isinstance(mirror, dict) else None
