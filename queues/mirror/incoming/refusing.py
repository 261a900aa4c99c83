"""Reading documents one by one: what cannot be taken in is set aside with its reason, once."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cached_property
from typing import Any, TypeVar

import bson
from bson import ObjectId, json_util
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from pymongo.errors import DocumentTooLarge, OperationFailure

from queues import sentences
from queues.importing import Refused
from queues.mirror import door
from queues.mirror.kinds import Place
from queues.models import SetAside
from queues.results import InvalidReport

logger = logging.getLogger(__name__)
LARGEST = 2**20  # bytes of a document that is read
AT_ONCE = 50  # documents of one answer: they may be large
EXCERPT, SHOWN, NAMED = 500, 100, 200  # characters
Taken = TypeVar("Taken")


class Unreadable(Exception):
    """A document that cannot be taken in; the text says why."""


def found_in(
    place: Place, wanted: Mapping[str, Any], fields: Mapping[str, int] | None = None
) -> Iterator[RawBSONDocument]:
    """In the order of their `_id`s. `fields`: those that are asked for, or left out."""
    found = door.collection(place, door.RAW).find(dict(wanted), dict(fields) if fields else None)
    yield from found.sort("_id", 1).batch_size(AT_ONCE)


def decoded(raw: RawBSONDocument) -> dict[str, Any]:
    return bson.decode(raw.raw, door.LENIENT)


def shown(value: Any) -> str:
    """For a reason: short, and with nothing that a database does not keep."""
    text = str(value) if isinstance(value, Exception) else repr(value)
    return text.replace("\0", "\\0")[:SHOWN]


class Refusals:
    """Those of one collection."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._rows = SetAside.objects.filter(collection=place[1])

    def read(
        self, raw: RawBSONDocument, how: Callable[[RawBSONDocument], Taken], *, marking: bool
    ) -> Taken | None:
        """What `how` makes of the document; None: it is set aside, `marking` it or not."""
        try:
            _check_size(raw)
            return how(raw)
        except Exception as error:
            refuse = self.mark if marking else self.note
            refuse(raw["_id"], _reason(error), _excerpt(raw))
            return None

    def documents(
        self, wanted: Mapping[str, Any], fields: Mapping[str, int] | None = None
    ) -> Iterator[dict[str, Any]]:
        """Those of the collection that can be read."""
        for raw in found_in(self.place, wanted, fields):
            document = self.read(raw, decoded, marking=False)
            if document is not None:
                yield document

    def judge(self, document: Mapping[str, Any], take: Callable[[], int]) -> int:
        """What `take` makes of a document; 0 where it cannot be taken in, which is told once."""
        try:
            taken = take()
        except door.PyMongoError:
            raise
        except Exception as error:
            self.note(document["_id"], _reason(error), _told(document))
            return 0
        if _named(document["_id"]) in self._noted:
            self.forget([document["_id"]])
        return taken

    def left_in(self, ids: Sequence[Any]) -> list[Any]:
        """Without those that were set aside and could not be marked as such."""
        out = set(self._rows.filter(is_marked=False).values_list("document", flat=True))
        return [_id for _id in ids if not out or _named(_id) not in out]

    def mark(self, _id: Any, reason: str, excerpt: str = "") -> None:
        """So that it is not read again and again. Trying it again takes the mark off."""
        name = _named(_id)
        # Told first: one that is marked, and of which nobody was told, would be lost.
        SetAside.note(self.place[1], name, reason, excerpt=excerpt, is_marked=False)
        logger.warning("%s %s was set aside: %s", self.place[1], name, reason)
        if self._mark(_id, reason):
            self._rows.filter(document=name).update(is_marked=True)

    def note(self, _id: Any, reason: str, excerpt: str = "") -> None:
        """Of what is read again anyway. It is told once, while it stays as it is."""
        name = _named(_id)
        if self._rows.filter(document=name, reason=reason, excerpt=excerpt).exists():
            return
        SetAside.note(self.place[1], name, reason, excerpt=excerpt)
        self._noted.add(name)
        logger.warning("%s %s was set aside: %s", self.place[1], name, reason)

    def forget(self, ids: Iterable[Any]) -> None:
        """They can be taken in now."""
        self._rows.filter(document__in=[_named(_id) for _id in ids]).delete()

    @cached_property
    def _noted(self) -> set[str]:
        return set(self._rows.values_list("document", flat=True))

    def _mark(self, _id: Any, reason: str) -> bool:
        collection = door.collection(self.place)
        try:
            collection.update_one({"_id": _id}, {"$set": {"_mirror.refused": reason}})
            # Seen with our own eyes: not every server counts well what it changed.
            found = collection.find_one({"_id": _id, "_mirror.refused": reason}, {"_id": 1})
        except (OperationFailure, DocumentTooLarge, BSONError) as error:
            logger.warning("%s %s cannot be marked: %s", self.place[1], _named(_id), error)
            return False
        return found is not None


def _check_size(raw: RawBSONDocument) -> None:
    if (size := len(raw.raw)) > LARGEST:
        told = sentences.TOO_MANY_BYTES
        raise Unreadable(told % {"size": size, "most": LARGEST})


def _reason(error: Exception) -> str:
    if isinstance(error, Refused) and error.field:
        return f"{error.field}: {error}"
    if isinstance(error, Unreadable | Refused | InvalidReport):
        return str(error)
    logger.exception("mirror: a document could not be taken in", exc_info=error)
    return f"{type(error).__name__}: {shown(error)}"


def _named(_id: Any) -> str:
    """As extended JSON; where that is too long for its column, what tells it from others."""
    text = json_util.dumps({"_id": _id})
    if len(text) <= NAMED:
        return text
    return f"{text[:100]}... sha256 {hashlib.sha256(text.encode()).hexdigest()}"


def _excerpt(raw: RawBSONDocument) -> str:
    try:
        return _told(decoded(raw))
    except BSONError:
        return ""


def _told(document: Mapping[str, Any]) -> str:
    """Its small values, for staff."""
    plain = str | int | float | bool | ObjectId | datetime | None
    small = {
        name: value
        for name, value in document.items()
        if isinstance(value, plain) and len(str(value)) <= SHOWN
    }
    return json_util.dumps(small, ensure_ascii=False)[:EXCERPT]
