"""Taking in what the outside wrote: new and returned people, results, devices and their flags.

What belongs to Django and was changed there is marked, to be written back. What cannot be taken in
is set aside with its reason, and delays nothing else.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import bson
from bson import json_util
from bson.codec_options import CodecOptions
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from django.utils.translation import gettext as _

from devices.models import Device, Fleet
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import documents, importing, results
from queues.importing import ID_LENGTH, Refused
from queues.mirror import door
from queues.mirror.kinds import GENERATORS, MINI, NBC, WORKS, Place, object_id
from queues.mirror.publishing import mark, open_changes
from queues.models import (
    DistributionConfig,
    Generator,
    MirrorState,
    NbcRecord,
    QueueEntry,
    SetAside,
)
from queues.results import InvalidReport, MovedOn, Report

logger = logging.getLogger(__name__)
AT_ONCE = 500
LARGEST = 2**20  # bytes of a person's document
EXCERPT = 500
SOURCE = "Mongo"
WAITING = (None, "", "pending")  # `imss.status` of who is to be looked up; None: it has none
PENDING = {"imss.status": {"$in": WAITING}}
Status = QueueEntry.Status


class Unreadable(Exception):
    """A document that cannot be taken in; the text says why."""


def step() -> int:
    """Look at everything once; returns how much was taken in. Raises PyMongoError."""
    taken = sum(part() for part in PARTS)
    MirrorState.went_well(read_at=db_now())
    return taken


def register(*parts: Callable[[], int]) -> None:
    """An app says what else is read of Mongo; each answers how much it took in."""
    PARTS.extend(parts)


# --- People ---------------------------------------------------------------------------------------


def new_people() -> int:
    """Those that were never seen here, the oldest first."""
    new = {**PENDING, "_mirror": None, "_id": {"$nin": _left_out(NBC)}}
    rows: list[NbcRecord] = []
    for found in door.raw_collection(NBC).find(new).sort("_id", 1).limit(AT_ONCE):
        try:
            rows.append(_person(found))
        except (Unreadable, Refused) as error:
            _set_aside(NBC, found, str(error))
    if not rows:
        return 0
    created = importing.create(rows, SOURCE)
    # Who was here before the mirror was: its document is still to be written once.
    mark("nbc", [row.nbc_id for row in rows if row.nbc_id not in created])
    return len(created)


def returned_people() -> int:
    """Those that were done here, and that somebody put back in Mongo."""
    known = {"_mirror.status": {"$exists": True, "$ne": NbcRecord.Status.PENDING.value}}
    found = door.collection(NBC).find({**PENDING, **known}, {"_id": 1}).limit(AT_ONCE)
    rows = NbcRecord.objects.filter(nbc_id__in=[str(one["_id"]) for one in found])
    returned, overwritten = 0, []
    unpublished = _unpublished("nbc", rows)
    for row in rows:
        if row.nbc_id in unpublished:
            continue
        if row.come_back("returned in Mongo"):
            returned += 1
        else:  # under way, or waiting: its state is ours to say
            overwritten.append(row.nbc_id)
    mark("nbc", overwritten)
    return returned


def _person(found: RawBSONDocument) -> NbcRecord:
    if (size := len(found.raw)) > LARGEST:
        told = _("it has %(size)d bytes, and may have %(most)d")
        raise Unreadable(told % {"size": size, "most": LARGEST})
    try:
        values = bson.decode(found.raw, CodecOptions(tz_aware=True))
    except BSONError as error:
        raise Unreadable(_("it cannot be decoded: %s") % error) from error
    nbc_id = _text_of_id(values.pop("_id"))
    values.pop("_mirror", None)
    try:
        kept = documents.storable(json.loads(json_util.dumps(values, json_options=_RELAXED)))
    except (ValueError, RecursionError) as error:
        raise Unreadable(str(error)) from error
    return importing.person(nbc_id, kept)


_RELAXED = json_util.RELAXED_JSON_OPTIONS


def _text_of_id(value: Any) -> str:
    """As it is kept here; what would not be found again by it is refused."""
    text = str(value)
    if object_id(text) != value or len(text) > ID_LENGTH:
        raise Unreadable(_("its _id is no ObjectId, and no other text either: %r") % value)
    return text


# --- Tasks ----------------------------------------------------------------------------------------


def tasks() -> int:
    """What old workers and scrapers wrote into the documents of tasks that are not done here."""
    open_tasks = QueueEntry.objects.filter(status__in=QueueEntry.LIVE).select_related("generator")
    by_place: dict[Place, dict[str, QueueEntry]] = {}
    for entry in open_tasks:
        place = (MINI, entry.generator.queue_collection)
        by_place.setdefault(place, {})[entry.document_id] = entry
    return sum(_read_tasks(place, entries) for place, entries in by_place.items())


def _read_tasks(place: Place, entries: Mapping[str, QueueEntry]) -> int:
    fields = {"Status": 1, "success": 1, "Message": 1, "Condition": 1}
    said = _by(place, "_id", [object_id(one) for one in entries], fields)
    found = [(entries[str(_id)], document) for _id, document in said.items()]
    works = _by(WORKS, "rw_id", [entry.rw_id for entry, _said in found], {**fields, "rw_id": 1})
    return sum(_judge(place, one, document, works.get(one.rw_id, {})) for one, document in found)


def _judge(
    place: Place, entry: QueueEntry, document: Mapping[str, Any], work: Mapping[str, Any]
) -> bool:
    """Take in what is news of a task; True where something was."""
    try:
        status = _status(document)
        report = (
            _report(document, work) if Status.COMPLETE in (status, work.get("Status")) else None
        )
    except (Unreadable, InvalidReport) as error:
        _note(place, document["_id"], str(error), document)
        return False
    is_begun = status == Status.PROCESSING and entry.generator.is_worked_from_mongo
    taken = (is_begun or report is not None) and _begin(entry)
    if report is None:
        return taken
    try:
        return results.take_in(entry.document_id, report)
    except MovedOn:
        return False


def _begin(entry: QueueEntry) -> bool:
    """An old worker took it: its result is waited for as for one of ours."""
    if entry.status != Status.ASSIGNED:
        return False
    now = db_now()
    due = now + DistributionConfig.current().minutes("result")
    told = "taken by a worker in Mongo"
    return entry.move(Status.ACCEPTED, told, called_at=now, answered_at=now, result_due_at=due)


def _status(document: Mapping[str, Any]) -> str:
    status = document.get("Status")
    if status not in ("Assigned", "Processing", "Complete"):
        raise Unreadable(_("unknown Status: %r") % status)
    return str(status)


def _report(document: Mapping[str, Any], work: Mapping[str, Any]) -> Report:
    """The condition from either document; where neither has one, by its success."""
    told = document if document.get("Status") == "Complete" else work
    condition = next(
        (one["Condition"] for one in (document, work) if one.get("Condition") is not None), None
    )
    if condition is None:
        success = document.get("success")
        if not isinstance(success, bool):
            raise Unreadable(_("Complete, with neither a Condition nor a success: %r") % success)
        condition = QueueEntry.Condition.FOUND if success else QueueEntry.Condition.ERROR
    if isinstance(condition, bool) or not isinstance(condition, int | float):
        raise Unreadable(_("the Condition is no number: %r") % condition)
    message = told.get("Message") or work.get("Message") or ""
    if not isinstance(message, str):
        raise Unreadable(_("the Message is no text: %r") % message)
    if condition != int(condition):
        raise Unreadable(_("unknown Condition: %r") % condition)
    return Report(int(condition), message)


# --- Devices --------------------------------------------------------------------------------------


def devices() -> int:
    """New ones, and the online flags of those that are known."""
    return sum(_read_fleet(fleet) for fleet in Fleet.values)


def _read_fleet(fleet: str) -> int:
    place = (MINI, fleet)
    known = {row.device: row for row in Device.objects.filter(fleet=fleet)}
    taken, differing = 0, []
    for document in door.collection(place).find({}, {"_mirror": 0}):
        try:
            name = _text(document, "device", 100)
            row = known.get(name) or _created(fleet, name, document)
            online = _flag(document, "online")
        except Unreadable as error:
            _note(place, document["_id"], str(error), document)
            continue
        taken += name not in known
        if online is not None and online != row.mirror_online:
            taken += _switch(row, online)
        if _holds_otherwise(document, row):
            differing.append(f"{fleet}/{name}")
    _write_back("device", differing)
    return taken


def _created(fleet: str, name: str, document: Mapping[str, Any]) -> Device:
    row = Device(
        fleet=fleet,
        device=name,
        device_name=_text(document, "device_name", 200, needed=False),
        process=_text(document, "process", 32),
        instance=_text(document, "instance", 64, needed=False),
        online=bool(_flag(document, "online")),
    )
    row.mirror_online = row.online
    row.save()
    Event.record([row], "", row.status, f"found in {SOURCE}")
    return row


def _switch(row: Device, online: bool) -> bool:
    """The flag counts when it changes there: what the device itself says since is newer."""
    Device.objects.filter(pk=row.pk).update(mirror_online=online)
    return row.switch(online, f"its flag in {SOURCE}")


def _holds_otherwise(document: Mapping[str, Any], row: Device) -> bool:
    """Whether what Django says of a device is not what stands there."""
    ours = (row.available, row.task_id, row.current_task or None)
    return ours != tuple(document.get(name) for name in ("available", "task_id", "current_task"))


# --- Generators -----------------------------------------------------------------------------------


def generators() -> int:
    """How those fare that are worked from Mongo: their workers say so there."""
    rows = {row.name: row for row in Generator.objects.filter(worked_by=Generator.WorkedBy.MONGO)}
    found = _by(GENERATORS, "_id", list(rows), {"status": 1}) if rows else {}
    taken = 0
    for name, document in found.items():
        row, status = rows[name], document.get("status")
        if status in Generator.Status.values and status != row.status:
            taken += row.move(status, f"its document in {SOURCE}")
    return taken


# --- What is common -------------------------------------------------------------------------------


def _by(
    place: Place, name: str, values: Sequence[Any], fields: Mapping[str, int]
) -> dict[Any, dict[str, Any]]:
    """The documents with one of these values, by it."""
    found: dict[Any, dict[str, Any]] = {}
    for start in range(0, len(values), AT_ONCE):
        wanted = {name: {"$in": list(values[start : start + AT_ONCE])}}
        found |= {one[name]: one for one in door.collection(place).find(wanted, dict(fields))}
    return found


def _text(document: Mapping[str, Any], name: str, most: int, needed: bool = True) -> str:
    value = document.get(name, "")
    if not isinstance(value, str) or len(value) > most or (needed and not value.strip()):
        raise Unreadable(
            _("%(name)s is no text of at most %(most)d characters: %(value)r")
            % {"name": name, "most": most, "value": value}
        )
    return value


def _flag(document: Mapping[str, Any], name: str) -> bool | None:
    value = document.get(name)
    if value is not None and not isinstance(value, bool):
        raise Unreadable(
            _("%(name)s is neither true nor false: %(value)r") % {"name": name, "value": value}
        )
    return value


def _unpublished(kind: str, rows: Collection[NbcRecord]) -> set[str]:
    """Keys whose newest state Mongo has not been told yet."""
    keys = [row.nbc_id for row in rows]
    return set(open_changes().filter(kind=kind, key__in=keys).values_list("key", flat=True))


def _write_back(kind: str, keys: Sequence[str]) -> None:
    """Mark those that are not marked yet."""
    marked = set(open_changes().filter(kind=kind, key__in=keys).values_list("key", flat=True))
    mark(kind, [key for key in keys if key not in marked])


# --- Setting aside --------------------------------------------------------------------------------


def _left_out(place: Place) -> list[Any]:
    """The `_id`s of documents that were set aside and could not be marked as such."""
    rows = SetAside.objects.filter(collection=place[1], is_marked=False)
    return [json_util.loads(one)["_id"] for one in rows.values_list("document", flat=True)]


def _set_aside(place: Place, found: RawBSONDocument, reason: str) -> None:
    """So that it is not read again and again it is marked; retrying takes the mark off."""
    _id = found["_id"]
    mark = {"$set": {"_mirror": {"refused": reason}}}
    try:
        marked = door.collection(place).update_one({"_id": _id}, mark).matched_count
    except door.PyMongoError as error:  # too large for one more field, say
        logger.warning("%s %s could not be marked: %s", place[1], _id, error)
        marked = 0
    excerpt = str(found.raw[:EXCERPT])
    SetAside.note(place[1], _named(_id), reason, excerpt=excerpt, is_marked=bool(marked))


def _note(place: Place, _id: Any, reason: str, document: Mapping[str, Any]) -> None:
    """What is read again anyway is not marked. It is told once, while it stays as it is."""
    excerpt = json_util.dumps(document, default=str)[:EXCERPT]
    told = SetAside.objects.filter(collection=place[1], document=_named(_id))
    if not told.filter(reason=reason, excerpt=excerpt).exists():
        SetAside.note(place[1], _named(_id), reason, excerpt=excerpt)


def _named(_id: Any) -> str:
    return json_util.dumps({"_id": _id})


PARTS: list[Callable[[], int]] = [new_people, returned_people, tasks, devices, generators]
