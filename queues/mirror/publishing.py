"""Telling Mongo what changed: at least once, in order for each document, never an older state
over a newer one.

A document carries the version it was written by: the publisher's epoch, which grows with each
new holder of the lease, and a count. A publisher that was paused and comes back changes nothing,
and takes nothing off the outbox.
"""

from __future__ import annotations

import logging
import secrets
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from django.db.models import QuerySet
from pymongo import DeleteOne, InsertOne, UpdateOne
from pymongo.errors import BulkWriteError, DocumentTooLarge, OperationFailure

from orchestrator_site import waking
from orchestrator_site.clock import db_now
from orchestrator_site.models import Lease
from queues.mirror import door
from queues.mirror.kinds import KINDS, UNTYPED, Document, Place, typed
from queues.models import MirrorChange, MirrorState

logger = logging.getLogger(__name__)
LEASE = "mirror"
AT_ONCE = 1000
LARGEST = 16 * 2**20  # bytes of a document
MOST_IDS = 100_000  # that are remembered
DUPLICATE = 11000
# The server's codes for a whole command that it refuses for what stands in one document.
BAD_COMMANDS = frozenset({2, 9, 14, 15, 22, 52, 57, 10334, 17280, 17419})
# And for one document that it could not write just now: it stops, or follows another.
NOT_NOW = frozenset(
    {6, 7, 50, 89, 91, 112, 189, 262, 9001, 10058, 10107, 11600, 11602, 13435, 13436, 14031}
)
HIGHEST = 2**62  # no version of ours, even in a thousand years
Operation = InsertOne[Any] | UpdateOne | DeleteOne
Ids = dict[tuple[Place, str], Any]  # by collection and key


class Superseded(door.PyMongoError):
    """Another publisher has the lease. For who publishes it is as if Mongo were away: it gives up,
    and finds out when it renews its lease."""


class Newer(Exception):
    """A document is there in a version that is newer than what was to be written."""

    def __init__(self, version: int) -> None:
        super().__init__(f"version {version}")
        self.version = version


class Publisher:
    """One for each `epoch` of the lease that it is held under. Raises PyMongoError where Mongo is
    away, or Superseded: then nothing was taken off the outbox."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch
        # Two under one epoch shall not take each other's documents for their own.
        self.version = (epoch << 32) + secrets.randbelow(2**31)
        self.ids: Ids = {}

    def step(self) -> int:
        """Publish the oldest changes; returns how many documents that were."""
        by_kind: dict[str, dict[str, list[int]]] = defaultdict(lambda: defaultdict(list))
        for pk, kind, key in open_changes().values_list("pk", "kind", "key")[:AT_ONCE]:
            by_kind[kind][key].append(pk)
        if not by_kind:
            return 0
        self.version += 1
        for name, changed in by_kind.items():
            problems = self._publish(name, changed)
            self._check_lease()
            _done(name, changed, changed.keys() - problems.keys())
            _set_aside(name, changed, problems)
        MirrorState.went_well(published_at=db_now())
        return sum(map(len, by_kind.values()))

    def _publish(self, name: str, keys: Collection[str]) -> dict[str, str]:
        """Returns what is wrong with those that cannot be written."""
        kind = KINDS.get(name)
        if kind is None:  # of an app, or a version, that is here no more
            return dict.fromkeys(keys, f"nothing here is called {name!r}")
        by_place: dict[Place, dict[str, Document]] = defaultdict(dict)
        for key, document in kind.documents(keys).items():
            by_place[document.place][key] = document
        problems: dict[str, str] = {}
        for place, documents in by_place.items():
            problems |= self._send(place, documents)
        return problems

    def _send(self, place: Place, documents: Mapping[str, Document]) -> dict[str, str]:
        try:
            return send(place, documents, self.version, self.ids)
        except Newer as found:
            self._rise_above(found.version)
            return send(place, documents, self.version, self.ids)

    def _rise_above(self, version: int) -> None:
        """Of another publisher under this lease. One with a later lease is given way to; where the
        lease knows of none the database was put back to an older state than Mongo's: the next
        lease will be later than that."""
        if version >> 32 > self.epoch:
            Lease.lift(LEASE, self.epoch, version >> 32)
            raise Superseded(f"epoch {self.epoch}, and a document of epoch {version >> 32}")
        self.version = version + 1

    def _check_lease(self) -> None:
        """What was written has counted if the lease is still ours; else perhaps it has not."""
        if Lease.objects.filter(name=LEASE, epoch__gt=self.epoch).exists():
            raise Superseded(f"epoch {self.epoch} of the lease is over")


def _done(kind: str, changed: Mapping[str, Sequence[int]], sent: Collection[str]) -> None:
    MirrorChange.objects.filter(pk__in=[pk for key in sent for pk in changed[key]]).delete()
    # What was set aside of a document that went through meanwhile is over.
    aside = MirrorChange.objects.filter(set_aside_at__isnull=False, kind=kind)
    if sent and aside.exists():
        aside.filter(key__in=sent).delete()


def _set_aside(
    kind: str, changed: Mapping[str, Sequence[int]], problems: Mapping[str, str]
) -> None:
    """One row a document, the newest."""
    for key, problem in problems.items():
        logger.error("mirror: %s %s was set aside: %s", kind, key, problem)
        newest = max(changed[key])
        rows = MirrorChange.objects.filter(kind=kind, key=key)
        rows.filter(pk=newest).update(error=problem, set_aside_at=db_now())
        rows.filter(pk__lt=newest, set_aside_at__isnull=False).delete()
        rows.filter(pk__in=changed[key]).exclude(pk=newest).delete()


def open_changes() -> QuerySet[MirrorChange]:
    """What is to be published, the oldest first."""
    return MirrorChange.objects.filter(set_aside_at=None).order_by("id")


def mark(kind: str, keys: Iterable[str]) -> None:
    """Have these documents written again as they stand here."""
    rows = (MirrorChange(kind=kind, key=key) for key in keys)
    if MirrorChange.objects.bulk_create(rows, batch_size=AT_ONCE):
        waking.notify(MirrorChange._meta.db_table)


def send(place: Place, documents: Mapping[str, Document], version: int, ids: Ids) -> dict[str, str]:
    """Write documents of one collection; returns what is wrong with those that it refuses. `ids`
    is for this alone: what it found out for the next time.

    Raises Newer: then it is to be called again, with a version above that.
    """
    return _Sending(place, documents, version, ids).run()


class _Sending:
    """Documents of one collection on their way. First as most likely they stand there, new or
    written before; the others are looked at, and changed or inserted. One that somebody inserts
    meanwhile is changed after all."""

    def __init__(
        self, place: Place, documents: Mapping[str, Document], version: int, ids: Ids
    ) -> None:
        self.collection = door.collection(place, door.LENIENT)  # others' values may be broken
        self.place = place
        self.ids = ids
        self.documents = documents
        self.version = version
        self.problems: dict[str, str] = {}
        self.changed = 0  # how many documents the server found to change

    def run(self) -> dict[str, str]:
        keys = self._guess()
        there = self._there(keys)
        newest = max((_version(one) or 0 for one in there.values()), default=0)
        if newest > self.version:
            raise Newer(newest)
        met = self._write(keys, lambda one, key: _operation(one, there.get(key), self.version))
        # Those were not guarded by a version: a publisher that is late may have been there first.
        met |= {key: "" for key, one in there.items() if _version(one) is None}
        again = [key for key in met if key not in self.problems]
        there = self._there(again)
        # Now they are there; what cannot be inserted still is a duplicate by some other name.
        self.problems |= self._write(
            again, lambda one, key: _operation(one, there.get(key), self.version)
        )
        return self.problems

    def _guess(self) -> list[str]:
        """Returns those that are still to be looked at."""
        by_guess: dict[str, list[str]] = {"": [], "new": [], "old": []}
        for key, one in self.documents.items():
            by_guess[_guessed(one)].append(key)
        met = self._write(by_guess["new"], lambda one, key: _operation(one, None, self.version))
        self._write(by_guess["old"], self._change)
        left = [key for key in by_guess["old"] if key not in self.problems]
        return [*by_guess[""], *met, *(left if self.changed != len(left) else ())]

    def _change(self, one: Document, key: str) -> UpdateOne:
        """Of one that was written before, if nothing else is known of it."""
        found = self.ids.get((self.place, key), one.new_id)
        return _update(one, self.version, {"_id": found, "_mirror.v": {"$lt": self.version}})

    def _write(
        self, keys: Sequence[str], operation: Callable[[Document, str], Operation | None]
    ) -> dict[str, str]:
        """Returns the refusals of those that were not there a moment ago."""
        planned: list[tuple[str, Operation]] = []
        for key in keys:
            try:
                one = operation(self.documents[key], key)
            except (*UNTYPED, DocumentTooLarge) as error:
                self.problems[key] = f"{type(error).__name__}: {error}"
                continue
            if one is not None:
                planned.append((key, one))
        return self._sent(planned)

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
                # A list that holds it matches too, and is none of ours.
                if not isinstance(one[name], list):
                    found[by_value[one[name]]] = one
        self._remember(found)
        return found

    def _remember(self, found: Mapping[str, Mapping[str, Any]]) -> None:
        """The `_id`s that others gave."""
        if len(self.ids) > MOST_IDS:
            self.ids.clear()
        for key, one in found.items():
            if one["_id"] != self.documents[key].new_id:
                self.ids[self.place, key] = one["_id"]

    def _sent(self, planned: Sequence[tuple[str, Operation]]) -> dict[str, str]:
        if not planned:
            return {}
        try:
            result = self.collection.bulk_write([one for _key, one in planned], ordered=False)
            self.changed += result.matched_count
        except BulkWriteError as error:
            return self._judged(planned, error.details or {})
        except (OperationFailure, DocumentTooLarge, *UNTYPED) as error:
            if isinstance(error, OperationFailure) and error.code not in BAD_COMMANDS:
                raise
            if len(planned) == 1:
                self.problems[planned[0][0]] = f"{type(error).__name__}: {error}"
                return {}
            half = len(planned) // 2  # which of them it is, the server does not say
            return self._sent(planned[:half]) | self._sent(planned[half:])
        return {}

    def _judged(
        self, planned: Sequence[tuple[str, Operation]], details: Mapping[str, Any]
    ) -> dict[str, str]:
        faults = details.get("writeErrors", ())
        later = [one for one in faults if one.get("code") in NOT_NOW]
        if unsure := details.get("writeConcernErrors") or later:
            raise door.PyMongoError(str(unsure[0]))
        self.changed += details.get("nMatched", 0)
        met: dict[str, str] = {}
        for fault in faults:
            key, operation = planned[fault["index"]]
            is_there = fault.get("code") == DUPLICATE and isinstance(operation, InsertOne)
            (met if is_there else self.problems)[key] = str(fault.get("errmsg", fault))
        return met


def _guessed(one: Document) -> str:
    """How it stands in Mongo: new, old, or empty where that must be looked up."""
    if one.is_gone:
        return ""
    if not one.is_new:
        return "old"
    # By another field an insert is no duplicate of what others inserted.
    return "new" if one.match[0] == "_id" else ""


def _operation(one: Document, there: Mapping[str, Any] | None, version: int) -> Operation | None:
    """None: nothing is to be written. Raises what makes it unfit for Mongo."""
    if there is None:
        return None if one.is_gone else InsertOne(_encoded(_whole(one, version)))
    older = _version(there)
    if older == version or any(there.get(name) == value for name, value in one.unless.items()):
        return None
    which = {"_id": there["_id"], "_mirror.v": _mark(there)}
    if older is not None:
        which["_mirror.v"] = {"$lt": version}
    return DeleteOne(which) if one.is_gone else _update(one, version, which)


def _update(one: Document, version: int, which: Mapping[str, Any]) -> UpdateOne:
    # The guard stands in the write: whoever writes meanwhile is not overwritten.
    guard = {**which, **{name: {"$ne": value} for name, value in one.unless.items()}}
    owned = {name: value for name, value in one.owned.items() if value is not None}
    update: dict[str, Any] = {"$set": {**owned, "_mirror.v": version}}
    if unset := one.owned.keys() - owned.keys():
        update["$unset"] = dict.fromkeys(unset, "")
    return UpdateOne(guard, update)


def _encoded(values: Mapping[str, Any]) -> RawBSONDocument:
    """The driver tells what it cannot encode, but not of which document; and not every server
    keeps to the limit."""
    raw = bson.encode(values)
    if len(raw) > LARGEST:
        raise DocumentTooLarge(f"{len(raw)} bytes, and {LARGEST} is the most")
    return RawBSONDocument(raw)


def _whole(one: Document, version: int) -> dict[str, Any]:
    name, value = one.match
    whole: dict[str, Any] = {**typed(dict(one.at_first)), "_id": one.new_id, name: value}
    for path, given in {**one.owned, "_mirror.v": version}.items():
        parent, _dot, last = path.rpartition(".")
        inner = _inner(whole, parent)
        inner.pop(last, None)
        if given is not None:
            inner[last] = given
    return whole


def _inner(whole: dict[str, Any], name: str) -> dict[str, Any]:
    """The document under that name, made where there is none; the whole one without a name."""
    if not name:
        return whole
    if not isinstance(whole.get(name), dict):
        whole[name] = {}
    inner: dict[str, Any] = whole[name]
    return inner


def _mark(there: Mapping[str, Any]) -> Any:
    mirror = there.get("_mirror")
    return mirror.get("v") if isinstance(mirror, dict) else None


def _version(there: Mapping[str, Any]) -> int | None:
    """None: it is the first time. What is no version there was written by somebody else."""
    found = _mark(there)
    return found if isinstance(found, int) and 0 <= found < HIGHEST else None
