"""Taking over what Mongo has into a database that has none of it: people in any state, and what
was done for them.

What is here already stays as it is, so the same may be taken over again. A task that is under way
in Mongo is left there, and its person with it: they come with the next run, when it has ended.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import bson
from bson import ObjectId, json_util
from bson.errors import BSONError
from bson.raw_bson import RawBSONDocument
from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator_site import waking
from orchestrator_site.models import Event
from queues import documents, importing, sentences
from queues.importing import Refused
from queues.mirror import door, reading
from queues.mirror.kinds import MINI, NBC, WORKS, Place, object_id
from queues.mirror.session import portions
from queues.models import Generator, NbcRecord, QueueEntry, RegistroWork, SetAside

AT_ONCE = 500
LISTED = 1000  # refusals that a report keeps
EXCERPT = 500
LARGEST = 2**20  # bytes of a document
SOURCE = "Mongo"
Person = NbcRecord.Status
WAITING = (None, "", Person.PENDING, Person.P1)  # P1 without a task: it was left behind
UNDER_WAY = ("Assigned", "Processing")
WORKS_HERE = {"rw_id": {"$regex": "^IMSS_"}}  # others keep their works there too
Row = NbcRecord | RegistroWork | QueueEntry
Values = Mapping[str, Any]
Told = Callable[[str, int], object]  # what of, and how many documents more


@dataclass(frozen=True)
class Found:
    """A document: its values as they came, and as JSON that a database can keep."""

    values: Values
    kept: Values

    @property
    def _id(self) -> Any:
        return self.values["_id"]


class Unfit(Exception):
    """A document that cannot be taken over; the text says why."""


@dataclass
class Report:
    """Counted by what they are: people, works, tasks."""

    dry_run: bool = False
    created: Counter[str] = field(default_factory=Counter)
    known: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)
    set_aside: Counter[str] = field(default_factory=Counter)
    read: int = 0  # devices, flags and configuration, as the reader takes them in
    listed: list[tuple[str, str, str]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        names = ("collection", "document", "reason")
        listed = [dict(zip(names, one, strict=True)) for one in self.listed]
        return {**vars(self), "listed": listed}


def size() -> int:
    """How many documents there are to look at, about. Raises PyMongoError."""
    places = (NBC, WORKS, *_queues().values())
    return sum(door.collection(place).estimated_document_count() for place in places)


def from_mongo(dry_run: bool = False, told: Told = lambda what, count: None) -> Report:
    """In portions: what was taken over before an error stays. Raises PyMongoError."""
    report = Report(dry_run)
    queues = _queues()
    busy = _under_way(queues.values())
    parts = [_People(busy), _Works(busy), *(_Tasks(name, at, busy) for name, at in queues.items())]
    with transaction.atomic() if dry_run else nullcontext():
        for part in parts:
            for found in _portions_of(part):
                with transaction.atomic():
                    _take(part, found, report)
                told(part.what, len(found))
        if dry_run:
            transaction.set_rollback(True)
    if not dry_run:
        report.read = reading.step()
    return report


def _queues() -> dict[str, Place]:
    rows = Generator.objects.values_list("name", "queue_collection")
    return {name: (MINI, collection) for name, collection in rows}


def _under_way(places: Iterable[Place]) -> set[str]:
    """The nbc_ids of tasks that somebody works in Mongo."""
    wanted = {"Status": {"$in": list(UNDER_WAY)}}
    found = (door.collection(place).find(wanted, {"nbc_id": 1}) for place in places)
    return {str(one.get("nbc_id")) for cursor in found for one in cursor}


def _portions_of(part: _Part) -> Iterator[list[RawBSONDocument]]:
    cursor = door.collection(part.place, door.RAW).find(dict(part.query)).batch_size(AT_ONCE)
    with cursor:
        yield from portions(cursor, AT_ONCE)


# --- One portion ----------------------------------------------------------------------------------


def _take(part: _Part, found: Sequence[RawBSONDocument], report: Report) -> None:
    readable = [one for raw in found if (one := _decoded(part, raw, report))]
    part.prepare([one.values for one in readable])
    rows: dict[str, tuple[Found, Row]] = {}
    for one in readable:
        try:
            row = part.row(one)
        except (Unfit, Refused) as error:
            _set_aside(part, one, str(error), report)
            continue
        if row is None:
            report.under_way[part.what] += 1
        else:
            rows[str(getattr(row, part.key))] = one, row
    _create(part, rows, report)


def _create(part: _Part, rows: Mapping[str, tuple[Found, Row]], report: Report) -> None:
    known = part.there(rows)
    new = [row for key, (_one, row) in rows.items() if key not in known]
    part.model.objects.bulk_create(new, ignore_conflicts=True)
    made = part.there(rows) - known
    for key, (one, _row) in rows.items():
        if key not in known and key not in made:
            _set_aside(part, one, _("another one has its rw_id"), report)
    part.note(made)
    report.known[part.what] += len(known)
    report.created[part.what] += len(made)


def _decoded(part: _Part, raw: RawBSONDocument, report: Report) -> Found | None:
    """None: it was set aside."""
    try:
        if (size := len(raw.raw)) > LARGEST:
            told = _("it has %(size)d bytes, and may have %(most)d")
            raise Unfit(told % {"size": size, "most": LARGEST})
        values: dict[str, Any] = bson.decode(raw.raw, door.STRICT)
        text = json_util.dumps(values, json_options=json_util.RELAXED_JSON_OPTIONS)
        return Found(values, documents.storable(json.loads(text)))
    except (Unfit, BSONError, ValueError, RecursionError) as error:
        _set_aside(part, Found({"_id": raw.get("_id")}, {}), str(error), report)
        return None


def _set_aside(part: _Part, one: Found, reason: str, report: Report) -> None:
    """The reader marks what it refuses of what it reads itself; nothing is marked here."""
    collection, named = part.place[1], json_util.dumps({"_id": one._id})
    excerpt = json.dumps(one.kept, ensure_ascii=False)[:EXCERPT]
    SetAside.note(collection, named, reason, excerpt=excerpt)
    report.set_aside[part.what] += 1
    if len(report.listed) < LISTED:
        report.listed.append((collection, named, reason))


# --- The documents --------------------------------------------------------------------------------


class _Part:
    """Documents of one collection, as rows of one model."""

    what: str
    place: Place
    model: Any
    key: str  # by which field a row is known
    query: Values = {}

    def prepare(self, found: Sequence[Values]) -> None:
        """Look up what the rows of a portion need."""

    @abstractmethod
    def row(self, one: Found) -> Row | None:
        """Unsaved; None: it is under way. Raises Unfit, Refused."""

    def note(self, made: set[str]) -> None:
        """Write down what was made of them."""

    def there(self, keys: Iterable[str]) -> set[str]:
        rows = self.model.objects.filter(**{f"{self.key}__in": list(keys)})
        return set(rows.values_list(self.key, flat=True))


class _People(_Part):
    what, place, model, key = "people", NBC, NbcRecord, "nbc_id"

    def __init__(self, busy: set[str]) -> None:
        self.busy = busy
        zone = ZoneInfo(settings.IMSS_TIME_ZONE)
        tomorrow = timezone.now().astimezone(zone).date() + timedelta(days=1)
        self.midnight = datetime.combine(tomorrow, time(), zone)

    def row(self, one: Found) -> NbcRecord | None:
        nbc_id = str(one._id)
        if object_id(nbc_id) != one._id or len(nbc_id) > importing.ID_LENGTH:
            told = _("its _id is no ObjectId, and no other text either: %r")
            raise Unfit(told % one._id)
        imss = one.values.get("imss") or {}
        if not isinstance(imss, Mapping):
            raise Unfit(_("imss is no object: %r") % imss)
        status = imss.get("status")
        if status == Person.P1 and nbc_id in self.busy:
            return None
        if status not in (*WAITING, *Person.values):
            raise Unfit(_("unknown imss.status: %r") % status)
        return self._filled(nbc_id, one, imss, Person.PENDING if status in WAITING else status)

    def _filled(self, nbc_id: str, one: Found, imss: Values, status: str) -> NbcRecord:
        left_out = ("_id", "_mirror")
        values = {name: value for name, value in one.kept.items() if name not in left_out}
        person = importing.person(nbc_id, values)
        waits = {"available_at": self.midnight} if status == Person.AFTER_MIDNIGHT else {}
        return NbcRecord(
            nbc_id=nbc_id,
            curp=person.curp,
            data=person.data,
            priority=person.priority,
            status=status,
            rw_id=_text(imss, "rw_id", 100),
            message=_text(imss, "message"),
            **waits,
        )

    def note(self, made: set[str]) -> None:
        rows = NbcRecord.objects.filter(nbc_id__in=made).only("nbc_id", "case_id", "status")
        for status in Person:
            same = [row for row in rows if row.status == status]
            Event.record(same, "", status, sentences.TAKEN_OVER % {"source": SOURCE})
        if made:
            waking.notify(NbcRecord._meta.db_table)


class _Works(_Part):
    what, place, model, key, query = "works", WORKS, RegistroWork, "rw_id", WORKS_HERE

    def __init__(self, busy: set[str]) -> None:
        self.busy = busy
        self.people: dict[str, NbcRecord] = {}

    def prepare(self, found: Sequence[Values]) -> None:
        self.people = _people([_person_of(one["rw_id"]) for one in found])

    def row(self, one: Found) -> RegistroWork | None:
        values = one.values
        nbc_id = _person_of(rw_id := _text(values, "rw_id", 100))
        if values.get("Status") != "Complete" or _is_left(nbc_id, self.busy, self.people):
            return None
        begun = _moment(values, "i_date") or _made(one)
        return RegistroWork(
            rw_id=rw_id,
            nbc=_known(self.people, nbc_id),
            condition=_condition(values),
            message=_text(values, "Message"),
            i_date=begun,
            f_date=_moment(values, "f_date") or begun,
        )


class _Tasks(_Part):
    what, model, key = "tasks", QueueEntry, "document_id"

    def __init__(self, generator: str, place: Place, busy: set[str]) -> None:
        self.generator, self.place, self.busy = generator, place, busy
        self.people: dict[str, NbcRecord] = {}
        self.works: dict[str, RegistroWork] = {}

    def prepare(self, found: Sequence[Values]) -> None:
        self.people = _people([str(one.get("nbc_id")) for one in found])
        names = [str(one.get("rw_id"))[:100] for one in found]
        self.works = {row.rw_id: row for row in RegistroWork.objects.filter(rw_id__in=names)}

    def row(self, one: Found) -> QueueEntry | None:
        status, nbc_id = one.values.get("Status"), str(one.values.get("nbc_id"))
        if status in UNDER_WAY or _is_left(nbc_id, self.busy, self.people):
            return None
        if status != "Complete":
            raise Unfit(_("unknown Status: %r") % status)
        if not isinstance(one._id, ObjectId):
            raise Unfit(_("its _id is no ObjectId: %r") % one._id)
        return self._filled(one, self.works.get(_text(one.values, "rw_id", 100)))

    def _filled(self, one: Found, work: RegistroWork | None) -> QueueEntry:
        values = one.values
        person = _known(self.people, str(values.get("nbc_id")))
        condition = _condition(values) or (work.condition if work else None)
        created = _moment(values, "created_at") or _made(one)
        return QueueEntry(
            document_id=str(one._id),
            generator_id=self.generator,
            nbc=person,
            case_id=person.case_id,
            curp=person.curp,
            task_data=one.kept.get("task_data") or {},
            rw_id=_text(values, "rw_id", 100) or f"IMSS_{person.nbc_id}_{one._id}",
            device=_text(values, "device", 100),
            device_name=_text(values, "device_name", 200),
            status=QueueEntry.Status.COMPLETE,
            success=_success(values, condition),
            condition=condition,
            message=_text(values, "Message"),
            created_at=created,
            available_at=created,
            processed_at=work.f_date if work and work.f_date else created,
        )


# --- Their fields ---------------------------------------------------------------------------------


def _people(nbc_ids: Sequence[str]) -> dict[str, NbcRecord]:
    rows = NbcRecord.objects.filter(nbc_id__in=[one[: importing.ID_LENGTH] for one in nbc_ids])
    return {row.nbc_id: row for row in rows.only("nbc_id", "curp", "case_id")}


def _known(people: Mapping[str, NbcRecord], nbc_id: str) -> NbcRecord:
    if nbc_id not in people:
        raise Unfit(_("nobody here has its nbc_id: %s") % nbc_id)
    return people[nbc_id]


def _is_left(nbc_id: str, busy: set[str], people: Mapping[str, NbcRecord]) -> bool:
    """Whether its person stays in Mongo for now."""
    return nbc_id in busy and nbc_id not in people


def _person_of(rw_id: str) -> str:
    return rw_id.removeprefix("IMSS_").rpartition("_")[0]


def _text(one: Values, name: str, most: int = LARGEST) -> str:
    value = one.get(name)
    if value is None:
        return ""
    if not isinstance(value, str) or len(value) > most:
        told = _("%(name)s is no text of at most %(most)d characters: %(value)r")
        raise Unfit(told % {"name": name, "most": most, "value": value})
    return value


def _moment(one: Values, name: str) -> datetime | None:
    value = one.get(name)
    if value is not None and not isinstance(value, datetime):
        raise Unfit(_("%(name)s is no date: %(value)r") % {"name": name, "value": value})
    return value


def _made(one: Found) -> datetime:
    """As its `_id` tells, where it does."""
    return one._id.generation_time if isinstance(one._id, ObjectId) else timezone.now()


def _condition(one: Values) -> int | None:
    value = one.get("Condition")
    is_known = not isinstance(value, bool) and value in QueueEntry.Condition.values
    if value is not None and not is_known:
        raise Unfit(_("unknown Condition: %r") % value)
    return None if value is None else int(value)


def _success(one: Values, condition: int | None) -> bool:
    """It may be there as 1 or 0."""
    success = one.get("success")
    if isinstance(success, bool | int | float) and success in (0, 1):
        return bool(success)
    if condition is None:
        raise Unfit(_("Complete, with neither a Condition nor a success: %r") % success)
    return condition in QueueEntry.SUCCESSFUL
