"""Which rows are mirrored, and as what documents: names, types, and who owns which field.

`owned` fields are written as they stand here, whatever others wrote; those `at_first` only where
the document is new, since they belong to the outside from then on.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId, json_util
from bson.errors import BSONError
from django.db import models

from devices.models import Device
from queues.models import Generator, NbcRecord, QueueEntry, RegistroWork

MINI, MAIN = "mini", "main"  # Mini_Base_Central and Main_User; see settings.MONGODB_DATABASES
NBC, WORKS = (MAIN, "Nueva_Base_Central"), (MAIN, "Registro_works")
GENERATORS, CONFIG = (MINI, "imss_generators"), (MINI, "imss_config")
Place = tuple[str, str]  # database and collection


@dataclass(frozen=True)
class Document:
    """What the mirror writes of a row. `match` is how its document is found: by `_id`, or by one
    field, where documents that others made have an `_id` of their own. What is None in `owned` is
    not there at all in the document. `at_first` may hold extended JSON: see `typed`."""

    place: Place
    match: tuple[str, Any]
    owned: Mapping[str, Any] = field(default_factory=dict)
    at_first: Mapping[str, Any] = field(default_factory=dict)
    unless: Mapping[str, Any] = field(default_factory=dict)  # left alone while it says so
    is_new: bool = False  # most likely it is not there yet
    is_gone: bool = False  # the row is no more

    @property
    def new_id(self) -> Any:
        """The `_id` that it gets where there is none yet: the same, whoever makes it."""
        name, value = self.match
        if name == "_id":
            return value
        digest = hashlib.sha256("/".join((*self.place, name, value)).encode())
        return ObjectId(digest.digest()[:12])


@dataclass(frozen=True)
class Kind:
    """Rows of one sort. `columns`: whose change is news for Mongo, by table; `key` is SQL for the
    row's key, with {row} for the row. `is_history`: the document outlives its row, which upkeep
    deletes some day."""

    name: str
    key: str
    columns: Mapping[str, Sequence[str]]
    documents: Callable[[Collection[str]], dict[str, Document]]
    all_keys: Callable[[], Iterable[str]]
    is_history: bool = False


KINDS: dict[str, Kind] = {}


def register(*kinds: Kind) -> None:
    """An app says what of its rows is mirrored; done when the app is ready."""
    KINDS.update({kind.name: kind for kind in kinds})


# --- Values ---------------------------------------------------------------------------------------


def object_id(text: str) -> Any:
    """The `_id` as it came: an ObjectId, but where it never was one."""
    return ObjectId(text) if len(text) == 24 and ObjectId.is_valid(text) else text


def typed(value: Any) -> Any:
    """A stored document with the types that it came with: its dates and ObjectIds are kept as
    extended JSON. Raises one of UNTYPED where that says what cannot be."""
    if isinstance(value, dict):
        found = {key: typed(one) for key, one in value.items()}
        return json_util.object_hook(found, _OPTIONS)
    return [typed(one) for one in value] if isinstance(value, list) else value


UNTYPED = (BSONError, TypeError, ValueError, OverflowError, LookupError, AttributeError)
_OPTIONS = json_util.RELAXED_JSON_OPTIONS.with_options(tz_aware=True)


def _set(**values: Any) -> dict[str, Any]:
    """What is empty here is not there."""
    return {name: None if value in ("", None) else value for name, value in values.items()}


def _there(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}


# --- The kinds ------------------------------------------------------------------------------------


def nbc_document(row: NbcRecord) -> Document:
    owned = {
        "imss.status": row.status,
        **{f"imss.{name}": one for name, one in _set(rw_id=row.rw_id, message=row.message).items()},
        "_mirror.status": row.status,
    }
    foreign = {key: one for key, one in row.data.items() if key not in ("_id", "_mirror")}
    at_first = {"curp": row.curp, **foreign}
    is_new = row.status == NbcRecord.Status.PENDING and not row.rw_id
    return Document(NBC, ("_id", object_id(row.nbc_id)), owned, at_first, is_new=is_new)


def queue_document(row: QueueEntry) -> Document:
    """An accepted task is `Processing` there. Whoever works it has the say on a task that lives;
    how it ended is said here."""
    generator: Generator = row.generator
    nbc_id = object_id(row.nbc.nbc_id)
    owned: dict[str, Any] = {
        "nbc_id": nbc_id,
        "curp": row.curp,
        "rw_id": row.rw_id,
        "device": row.device,
        "device_name": row.device_name,
        "created_at": row.created_at,
        "taskid": row.taskid,
    }
    at_first: dict[str, Any] = {"task_data": {**row.task_data, "_id": nbc_id}}
    state = {"Status": _queue_status(row), **_set(Message=row.message, Condition=row.condition)}
    place = (MINI, generator.queue_collection)
    match = ("_id", object_id(row.document_id))
    is_new = row.status == QueueEntry.Status.ASSIGNED and not row.attempts
    if row.status == QueueEntry.Status.COMPLETE:
        return Document(place, match, {**owned, **state, "success": row.success}, at_first)
    # In our worker's hands it is ours to say, though the generator went over to Mongo meanwhile.
    if generator.is_worked_from_mongo and not row.worker:
        at_first |= {"Status": QueueEntry.Status.ASSIGNED.value, "success": None}
        return Document(place, match, owned, at_first, is_new=is_new)
    at_first["success"] = None
    unless = {"Status": QueueEntry.Status.COMPLETE.value}
    return Document(place, match, {**owned, **state}, at_first, unless, is_new)


def _queue_status(row: QueueEntry) -> str:
    is_accepted = row.status == QueueEntry.Status.ACCEPTED
    return str(QueueEntry.Status.PROCESSING if is_accepted else row.status)


def work_document(row: RegistroWork) -> Document:
    more = _set(Condition=row.condition, Message=row.message, f_date=row.f_date)
    owned = {"Status": row.status, "i_date": row.i_date, **more}
    unless = {} if row.f_date else {"Status": "Complete"}
    return Document(WORKS, ("rw_id", row.rw_id), owned, {}, unless, is_new=not row.f_date)


def device_document(row: Device) -> Document:
    owned = {
        "device_name": row.device_name,
        "process": row.process,
        "instance": row.instance,
        "available": row.available,
        "updated_at": row.updated_at,
        **_set(
            current_task=row.current_task,
            task_id=row.task_id,
            task_start_time=row.task_start_time,
        ),
    }
    return Document((MINI, row.fleet), ("device", row.device), owned, {"online": row.online})


def generator_document(row: Generator) -> Document:
    """A generator that is worked from Mongo reports of itself there."""
    named = {"generator_name": row.name, "instance": row.short_name}
    report = {
        "status": row.status,
        "available_devices": row.available_devices,
        "total_devices": row.total_devices,
        "available_capacity": row.available_capacity,
        "current_active_tasks": row.current_active_tasks,
        **_set(last_update=row.last_update, last_failure_date=row.last_failure_date),
    }
    match = ("_id", row.name)
    if row.is_worked_from_mongo:
        return Document(GENERATORS, match, named, _there(report))
    return Document(GENERATORS, match, {**named, **report})


def _of(
    rows: models.QuerySet[Any], key: str, document: Callable[[Any], Document]
) -> Callable[[Collection[str]], dict[str, Document]]:
    def documents(keys: Collection[str]) -> dict[str, Document]:
        found = rows.filter(**{f"{key}__in": keys})
        return {getattr(row, key): document(row) for row in found}

    return documents


def _keys(rows: models.QuerySet[Any], key: str) -> Callable[[], Iterable[str]]:
    return lambda: rows.order_by("pk").values_list(key, flat=True).iterator()


def _devices(keys: Collection[str]) -> dict[str, Document]:
    """Key: fleet and name. One that is no more is no more in Mongo either."""
    named = [key.partition("/") for key in keys]
    found = {
        f"{row.fleet}/{row.device}": device_document(row)
        for row in Device.objects.filter(device__in=[name for _fleet, _slash, name in named])
    }
    gone = {
        key: Document((MINI, fleet), ("device", name), is_gone=True)
        for key, (fleet, _slash, name) in zip(keys, named, strict=True)
        if key not in found
    }
    return {key: one for key, one in (found | gone).items() if key in keys}


def _device_keys() -> Iterable[str]:
    rows = Device.objects.order_by("pk").values_list("fleet", "device")
    return (f"{fleet}/{device}" for fleet, device in rows.iterator())


def _generators(keys: Collection[str]) -> dict[str, Document]:
    found = {row.name: generator_document(row) for row in Generator.objects.filter(name__in=keys)}
    return {key: Document(GENERATORS, ("_id", key), is_gone=True) for key in keys} | found


PEOPLE = NbcRecord.objects.only("nbc_id", "curp", "data", "status", "rw_id", "message")
ENTRIES = QueueEntry.objects.select_related("generator", "nbc").only(
    *("document_id", "curp", "task_data", "rw_id", "device", "device_name", "status"),
    *("success", "condition", "message", "created_at", "attempts", "nbc__nbc_id"),
    *("generator__name", "generator__queue_collection", "generator__worked_by"),
)
register(
    Kind(
        "nbc",
        "{row}.nbc_id",
        {"nueva_base_central": ("status", "rw_id", "message")},
        _of(PEOPLE, "nbc_id", nbc_document),
        _keys(NbcRecord.objects.all(), "nbc_id"),
        is_history=True,
    ),
    Kind(
        "queue",
        "{row}.document_id",
        {"imss_queue": ("status", "success", "condition", "message", "device")},
        _of(ENTRIES, "document_id", queue_document),
        _keys(QueueEntry.objects.all(), "document_id"),
        is_history=True,
    ),
    Kind(
        "work",
        "{row}.rw_id",
        {"registro_works": ("condition", "message", "f_date")},
        _of(RegistroWork.objects.all(), "rw_id", work_document),
        _keys(RegistroWork.objects.all(), "rw_id"),
        is_history=True,
    ),
    Kind(
        "device",
        "{row}.fleet || '/' || {row}.device",
        {
            "devices": (
                *("fleet", "device", "device_name", "process", "instance", "available"),
                *("current_task", "task_id", "task_start_time", "updated_at"),
            )
        },
        _devices,
        _device_keys,
    ),
    Kind(
        "generator",
        "{row}.name",
        {
            "imss_generators": (
                *("name", "short_name", "status", "available_devices", "total_devices"),
                *("available_capacity", "current_active_tasks", "last_update"),
                *("last_failure_date", "worked_by"),
            )
        },
        _generators,
        _keys(Generator.objects.all(), "name"),
    ),
)
