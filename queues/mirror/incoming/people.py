"""People to look up: those that Mongo has and that were never seen here, and those put back."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import bson
from bson import ObjectId, json_util
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from django.db import transaction

from queues import documents, importing, sentences
from queues.importing import ID_LENGTH
from queues.mirror import door
from queues.mirror.incoming.comparing import marked, write_back
from queues.mirror.incoming.refusing import Refusals, Unreadable, found_in, shown
from queues.mirror.incoming.values import whole
from queues.mirror.kinds import NBC, object_id
from queues.models import NbcRecord

AT_ONCE = 500  # people of one look
LOOKED_AT = 10 * AT_ONCE  # `_id`s of one look: those that were seen already wait to be published
HELD = 16 * 2**20  # bytes of documents that are held until they are written
SOURCE = "Mongo"
WAITING = (None, "", "pending")  # `imss.status` of who is to be looked up; None: it has none
PENDING = {"imss.status": {"$in": WAITING}}
NEVER_SEEN = {"_mirror": None, "_mirror.status": None}  # the second is there for the index
PUT_BACK = {
    "_mirror.status": {"$exists": True, "$ne": NbcRecord.Status.PENDING.value},
    "_mirror.refused": None,
}
RETURNABLE = (*NbcRecord.FINAL, NbcRecord.Status.AFTER_MIDNIGHT)


def new() -> int:
    """Those that were never seen here, the oldest first."""
    found = door.collection(NBC).find({**PENDING, **NEVER_SEEN}, {"_id": 1})
    ids = [one["_id"] for one in found.sort("_id", 1).limit(LOOKED_AT)]
    refusals = Refusals(NBC)
    readable = _readable(refusals, refusals.left_in(ids))
    there = NbcRecord.objects.filter(nbc_id__in=list(readable))
    known = set(there.values_list("nbc_id", flat=True))
    # Their documents are still to be written, or were here before the mirror was.
    write_back("nbc", known)
    unknown = [_id for text, _id in readable.items() if text not in known]
    return _take(refusals, unknown[:AT_ONCE])


def returned() -> int:
    """Those that were done here and put back there, with what their documents say now. Who is
    under way or waits is written back: that is ours to say."""
    found = door.collection(NBC).find({**PENDING, **PUT_BACK}, {"_id": 1}).limit(LOOKED_AT)
    ids = {str(one["_id"]): one["_id"] for one in found}
    rows = {row.nbc_id: row for row in NbcRecord.objects.filter(nbc_id__in=ids).defer("data")}
    _forget([_id for text, _id in ids.items() if text not in rows])
    untold = marked("nbc", rows)  # Mongo does not know yet how these stand
    told = {nbc_id: row for nbc_id, row in rows.items() if nbc_id not in untold}
    back = {nbc_id: row for nbc_id, row in told.items() if row.status in RETURNABLE}
    write_back("nbc", told.keys() - back.keys())
    return _put_back(back, [ids[nbc_id] for nbc_id in back][:AT_ONCE])


# --- New ------------------------------------------------------------------------------------------


def _readable(refusals: Refusals, ids: Iterable[Any]) -> dict[str, Any]:
    """By the text that each is kept as; the others are set aside."""
    readable: dict[str, Any] = {}
    for _id in ids:
        try:
            readable[_text_of_id(_id)] = _id
        except Unreadable as error:
            refusals.mark(_id, str(error))
    return readable


def _text_of_id(value: Any) -> str:
    """What would not be found again by it is refused."""
    text = str(value)
    if object_id(text) != value or not 0 < len(text) <= ID_LENGTH or "\0" in text:
        raise Unreadable(sentences.STRANGE_ID % {"value": shown(value)})
    return text


def _take(refusals: Refusals, ids: Sequence[Any]) -> int:
    """In portions, so that nobody holds many large ones at once."""
    created, rows, size = 0, [], 0
    for raw, row in _people(refusals, ids):
        rows.append(row)
        size += len(raw.raw)
        if size > HELD:
            created += _create(refusals, rows)
            rows, size = [], 0
    return created + _create(refusals, rows)


def _people(refusals: Refusals, ids: Sequence[Any]) -> Iterator[tuple[RawBSONDocument, NbcRecord]]:
    """Those that can be taken, with their documents."""
    if not ids:
        return
    for raw in found_in(NBC, {"_id": {"$in": list(ids)}}):
        if row := refusals.read(raw, _person, marking=True):
            yield raw, row


def _create(refusals: Refusals, rows: Collection[NbcRecord]) -> int:
    if not rows:
        return 0
    refusals.forget([object_id(row.nbc_id) for row in rows])
    return len(importing.create(list(rows), SOURCE))


def _person(raw: RawBSONDocument) -> NbcRecord:
    """The unsaved row. Raises Unreadable and Refused."""
    try:
        values = bson.decode(raw.raw, door.STRICT)
    except (BSONError, OverflowError) as error:
        raise Unreadable(sentences.UNDECODABLE % {"why": shown(error)}) from error
    nbc_id = _text_of_id(values.pop("_id"))
    values.pop("_mirror", None)
    if not isinstance(values.get("imss", {}), dict):
        raise Unreadable(sentences.IMSS_NO_OBJECT % {"value": shown(values["imss"])})
    kept = _storable(values)
    return importing.person(nbc_id, {**kept, "priority": whole(kept.get("priority"))})


def _storable(values: Mapping[str, Any]) -> dict[str, Any]:
    """As extended JSON, which keeps the types."""
    try:
        text = json_util.dumps(values, json_options=json_util.RELAXED_JSON_OPTIONS)
        kept: dict[str, Any] = documents.storable(json.loads(text))
    except (ValueError, TypeError, OverflowError, RecursionError) as error:
        raise Unreadable(shown(error)) from error
    return kept


# --- Returned -------------------------------------------------------------------------------------


def _forget(ids: Sequence[Any]) -> None:
    """The mirror wrote them, and their rows are no more: they are new people again."""
    if known := [_id for _id in ids if isinstance(_id, ObjectId | str)]:
        forget = {"$unset": {"_mirror": ""}}
        door.collection(NBC).update_many({"_id": {"$in": known}}, forget)


def _put_back(rows: Mapping[str, NbcRecord], ids: Sequence[Any]) -> int:
    refusals = Refusals(NBC)
    people = [person for _raw, person in _people(refusals, ids)]
    return sum(_return(rows[person.nbc_id], person) for person in people)


def _return(row: NbcRecord, person: NbcRecord) -> bool:
    told = f"returned in {SOURCE}"
    with transaction.atomic():
        is_back = row.come_back(told) or row.hurry(told)
        if is_back:
            news = {"curp": person.curp, "data": person.data, "priority": person.priority}
            NbcRecord.objects.filter(pk=row.pk).update(**news)
    return is_back
