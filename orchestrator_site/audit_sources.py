"""What the audit is made of: events of persons, versions of configuration, the admin's log.

Each source yields what no entry is of yet, oldest first, and can read one again: a verification
compares the entry with it.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol
from uuid import UUID

from django.apps import apps
from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.auth.models import Group, User
from django.contrib.contenttypes.models import ContentType
from django.core.serializers.json import DjangoJSONEncoder
from django.db import models
from django.db.models import CharField, Exists, OuterRef, Q, QuerySet
from django.db.models.functions import Cast

from orchestrator_site import roles
from orchestrator_site.actors import ActorKind
from orchestrator_site.models import AuditEntry, Event
from orchestrator_site.models.event import PERSONS

logger = logging.getLogger(__name__)
CHUNK = 500  # rows read at a time
NAME_LENGTH = 200
MADE, CHANGED, DELETED = "made", "changed", "deleted"
# Of a field of this name it is only told that it was changed.
SECRET = re.compile(r"password|passwd|secret|digest|token|cookie|credential", re.I)
MASKED = "(secret)"
EMPTY: tuple[Any, ...] = (None, "", [], {})
# An admin's line and the event of the same change are written within one request.
SAME_CHANGE = timedelta(seconds=3)
AS_IS = (str, int, bool, type(None))
Values = dict[str, Any]


@dataclass(frozen=True)
class Found:
    """An entry that is to be: every field of it but its place in the chain."""

    at: datetime
    source: str
    source_id: str
    actor_kind: str
    actor: str
    action: str
    object_type: str
    object_id: str
    before: Values
    after: Values
    object_name: str = ""
    reason: str = ""
    case_id: UUID | None = None

    @property
    def order(self) -> tuple[datetime, str, int]:
        return self.at, self.source, int(self.source_id)


class Source(Protocol):
    def unsealed(self, since: datetime | None, until: datetime) -> Iterator[Found]: ...

    def differences(self, entries: Iterable[AuditEntry]) -> dict[int, list[str]]:
        """By the entry's number, the fields in which it is not what the source says."""


def sources() -> list[Source]:
    return [EventSource(), *(VersionSource(model) for model in versioned()), LogSource()]


def source_of(name: str) -> Source | None:
    """None for a model that is no more."""
    return next((one for one in sources() if getattr(one, "name", "") == name), None)


def versioned() -> list[type[models.Model]]:
    """The models that keep their history."""
    return [one for one in apps.get_models() if hasattr(one._meta, HISTORY)]


HISTORY = "simple_history_manager_attribute"


def _not_sealed(rows: QuerySet[Any], source: str) -> QuerySet[Any]:
    key = Cast(OuterRef("pk"), CharField())
    return rows.filter(~Exists(AuditEntry.objects.filter(source=source, source_id=key)))


def _in_order(rows: QuerySet[Any], at: str, until: datetime) -> Iterator[list[Any]]:
    """Chunks of rows by time and key, each asked for behind the one before it."""
    rows = rows.filter(**{f"{at}__lte": until}).order_by(at, "pk")
    last: Any = None
    while True:
        rest = rows
        if last is not None:
            moment = getattr(last, at)
            same = Q(**{at: moment, "pk__gt": last.pk})
            # The first condition again, so that an index on the time alone is a range.
            rest = rows.filter(**{f"{at}__gte": moment}).filter(same | Q(**{f"{at}__gt": moment}))
        chunk = list(rest[:CHUNK])
        if chunk:
            yield chunk
        if len(chunk) < CHUNK:
            return
        last = chunk[-1]


def _since(rows: QuerySet[Any], at: str, since: datetime | None) -> QuerySet[Any]:
    return rows if since is None else rows.filter(**{f"{at}__gt": since})


def _unlike(entry: AuditEntry, found: Found, names: Iterable[str]) -> list[str]:
    return [name for name in names if getattr(entry, name) != getattr(found, name)]


COMPARED = ("at", "case_id", "actor_kind", "actor", "action", "object_type", "object_id", "reason")


# --- Events ---------------------------------------------------------------------------------------


class EventSource:
    """Those behind which a person stands. A scraper has a key, and is none."""

    name = "event"

    def unsealed(self, since: datetime | None, until: datetime) -> Iterator[Found]:
        rows = _since(Event.objects.filter(actor_kind__in=PERSONS), "at", since)
        for scraper in _scrapers():
            rows = rows.exclude(actor_kind=ActorKind.API_KEY, actor__startswith=f"{scraper}/")
        for chunk in _in_order(_not_sealed(rows, self.name), "at", until):
            names = _names((one.object_type, one.object_id) for one in chunk)
            for event in chunk:
                yield self._found(event, names.get((event.object_type, event.object_id), ""))

    def differences(self, entries: Iterable[AuditEntry]) -> dict[int, list[str]]:
        entries = list(entries)
        known = Event.objects.in_bulk([int(one.source_id) for one in entries])
        return {
            entry.number: _unlike(entry, self._found(event, ""), (*COMPARED, "before", "after"))
            for entry in entries
            if (event := known.get(int(entry.source_id)))
        }

    def _found(self, event: Event, name: str) -> Found:
        before, after = _sides(event)
        return Found(
            at=event.at,
            source=self.name,
            source_id=str(event.pk),
            case_id=event.case_id,
            actor_kind=event.actor_kind,
            actor=event.actor,
            action=event.new,
            object_type=event.object_type,
            object_id=event.object_id,
            object_name=name,
            before=before,
            after=after,
            reason=event.reason,
        )


def _scrapers() -> list[str]:
    """Whose keys report results, and may nothing else."""
    others = Group.objects.exclude(name=roles.SCRAPER)
    machines = User.objects.filter(groups__name=roles.SCRAPER, is_superuser=False)
    # Whoever has anything else, of a role of ours or not, is somebody.
    more = Q(groups__in=others) | Q(user_permissions__isnull=False)
    people = User.objects.filter(more).values("pk")
    return list(machines.exclude(pk__in=people).values_list("username", flat=True))


def _sides(event: Event) -> tuple[Values, Values]:
    """What an event tells of before and after: its states, and its data in the shapes that the
    code writes: {name: [before, after]}, {"before": ..., "after" or "now": ...}, or facts."""
    before: Values = {"status": event.old} if event.old else {}
    after: Values = {"status": event.new} if event.old else {}
    data = event.data if isinstance(event.data, dict) else {"data": event.data}
    if "before" in data and (later := {"after", "now"} & set(data)):
        before |= _as_values(data["before"])
        after |= _as_values(data[later.pop()])
    elif data and event.new in (MADE, CHANGED) and all(_is_pair(one) for one in data.values()):
        before |= {name: pair[0] for name, pair in data.items() if event.new == CHANGED}
        after |= {name: pair[1] for name, pair in data.items()}
    else:
        after |= data
    return _plain(before), _plain(after)


def _is_pair(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2


def _as_values(value: Any) -> Values:
    return value if isinstance(value, dict) else {"value": value}


# --- Versions -------------------------------------------------------------------------------------


class VersionSource:
    """The history that a model keeps of its rows: what differs from the version before."""

    ACTIONS = {"+": MADE, "~": CHANGED, "-": DELETED}

    def __init__(self, model: type[models.Model]) -> None:
        self.kind = model._meta.label_lower
        self.name = f"history:{self.kind}"
        self.versions: Any = getattr(model, getattr(model._meta, HISTORY)).model
        self.key = model._meta.pk.attname
        # When a row was written is told by the version.
        self.fields = [
            field.attname
            for field in self.versions.tracked_fields
            if not getattr(model._meta.get_field(field.name), "auto_now", False)
            and not getattr(model._meta.get_field(field.name), "auto_now_add", False)
            and field.attname != self.key
        ]

    def unsealed(self, since: datetime | None, until: datetime) -> Iterator[Found]:
        rows = _since(self.versions.objects.all(), "history_date", since)
        for chunk in _in_order(_not_sealed(rows, self.name), "history_date", until):
            for version in chunk:
                changed = _difference(*self._sides(version))
                if any(changed):
                    yield self._found(version, changed)

    def differences(self, entries: Iterable[AuditEntry]) -> dict[int, list[str]]:
        """Values are compared where the version still has such a field: a later release may have
        dropped it."""
        entries = list(entries)
        known = self.versions.objects.in_bulk([int(one.source_id) for one in entries])
        return {
            entry.number: self._unlike(entry, version)
            for entry in entries
            if (version := known.get(int(entry.source_id)))
        }

    def _unlike(self, entry: AuditEntry, version: Any) -> list[str]:
        sides = dict(zip(("before", "after"), self._sides(version), strict=True))
        wrong = _unlike(entry, self._found(version, ({}, {})), COMPARED)
        if not version.actor:  # an older one: its user may be gone
            wrong = [name for name in wrong if not name.startswith("actor")]
        for side, values in sides.items():
            kept: Values = getattr(entry, side)
            shown = {name: _plain({name: values.get(name)})[name] for name in kept}
            if any(kept[name] != shown[name] for name in kept if name in self.fields):
                wrong.append(side)
        return wrong

    def _sides(self, version: Any) -> tuple[Values, Values]:
        """All values of the version before, and of this one."""
        same_row = {self.key: getattr(version, self.key)}
        older = self.versions.objects.filter(**same_row, history_id__lt=version.history_id)
        last = None if version.history_type == "+" else older.order_by("-history_id").first()
        before = self._values(last) if last else {}
        if version.history_type == "-":
            return before or self._values(version), {}
        return before, self._values(version)

    def _values(self, version: Any) -> Values:
        values = {name: getattr(version, name) for name in self.fields}
        for field in version._history_m2m_fields:
            through = getattr(version, field.name).all()
            values[field.name] = sorted(getattr(one, field.m2m_reverse_name()) for one in through)
        return values

    def _found(self, version: Any, sides: tuple[Values, Values]) -> Found:
        kind, actor = version.actor_kind, version.actor
        if not actor and version.history_user:
            kind, actor = ActorKind.USER, version.history_user.get_username()
        return Found(
            at=version.history_date,
            source=self.name,
            source_id=str(version.history_id),
            actor_kind=str(kind or ActorKind.SYSTEM),
            actor=actor,
            action=self.ACTIONS[version.history_type],
            object_type=self.kind,
            object_id=str(getattr(version, self.key)),
            object_name=_name_of(version.instance),
            before=sides[0],
            after=sides[1],
            reason=version.history_change_reason or "",
        )


def _difference(before: Values, after: Values) -> tuple[Values, Values]:
    """Both sides without what they have in common, and without what is empty on both."""
    names = [
        name
        for name in {**before, **after}
        if before.get(name) != after.get(name)
        and not (before.get(name) in EMPTY and after.get(name) in EMPTY)
    ]
    kept = [{name: side[name] for name in names if name in side} for side in (before, after)]
    return _plain(kept[0]), _plain(kept[1])


# --- The admin's log ------------------------------------------------------------------------------


class LogSource:
    """Changes in the admin of rows that keep no history, and of which no event tells."""

    name = "log"
    ACTIONS = {ADDITION: MADE, CHANGE: CHANGED, DELETION: DELETED}

    def unsealed(self, since: datetime | None, until: datetime) -> Iterator[Found]:
        others = ContentType.objects.get_for_models(*versioned()).values()
        rows = LogEntry.objects.exclude(content_type__in=[one.pk for one in others])
        rows = _since(rows, "action_time", since).select_related("user")
        for chunk in _in_order(_not_sealed(rows, self.name), "action_time", until):
            yield from (self._found(line) for line in chunk if not self._is_told(line))

    def differences(self, entries: Iterable[AuditEntry]) -> dict[int, list[str]]:
        entries = list(entries)
        ids = [int(one.source_id) for one in entries]
        known = LogEntry.objects.select_related("user").in_bulk(ids)
        return {
            entry.number: _unlike(entry, self._found(line), (*COMPARED, "before", "after"))
            for entry in entries
            if (line := known.get(int(entry.source_id)))
        }

    def _is_told(self, line: LogEntry) -> bool:
        """Nothing was changed, or an event says what."""
        if line.action_flag == CHANGE and not _parts(line):
            return True
        around = (line.action_time - SAME_CHANGE, line.action_time + SAME_CHANGE)
        events = Event.objects.filter(object_type=_kind(line), object_id=line.object_id or "")
        same = events.filter(actor=line.user.get_username(), at__range=around)
        is_end = Q(new=DELETED)
        return same.filter(is_end if line.action_flag == DELETION else ~is_end).exists()

    def _found(self, line: LogEntry) -> Found:
        return Found(
            at=line.action_time,
            source=self.name,
            source_id=str(line.pk),
            actor_kind=ActorKind.USER,
            actor=line.user.get_username(),
            action=self.ACTIONS[line.action_flag],
            object_type=_kind(line),
            object_id=(line.object_id or "")[:64],
            object_name=line.object_repr,
            before={},
            after={"fields": parts} if (parts := _parts(line)) else {},
        )


def _kind(line: LogEntry) -> str:
    content = line.content_type
    return f"{content.app_label}.{content.model}" if content else ""


def _parts(line: LogEntry) -> list[str]:
    """The fields and the inner rows that were changed."""
    try:
        told = json.loads(line.change_message or "[]")
    except ValueError:
        return [line.change_message]
    if not isinstance(told, list):
        return [line.change_message]
    return [text for one in told for text in _fields_of(one)]


def _fields_of(one: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for what, about in one.items():
        row = f"{about['name']} {about['object']}" if "object" in about else ""
        fields = about.get("fields", [])
        if row or fields:
            yield f"{what} {row}: {', '.join(fields)}".strip(": ") if row else ", ".join(fields)


# --- Values ---------------------------------------------------------------------------------------


def _plain(values: Values) -> Values:
    """As JSON has it after it was stored, without what is secret."""
    if any(type(value) not in AS_IS for value in values.values()):
        values = json.loads(json.dumps(values, cls=DjangoJSONEncoder))
    return _masked(values)


def _masked(value: Any, name: str = "") -> Any:
    if isinstance(value, dict):
        return {key: _masked(inner, key) for key, inner in value.items()}
    if value and SECRET.search(name):
        return MASKED
    if isinstance(value, list):
        return [_masked(inner) for inner in value]
    # PostgreSQL keeps 1e300 as a whole number, and gives it back as one.
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _names(rows: Iterable[tuple[str, str]]) -> dict[tuple[str, str], str]:
    """What the rows are called now, by kind and key; those that are no more are left out."""
    keys: dict[str, set[str]] = {}
    for kind, key in rows:
        keys.setdefault(kind, set()).add(key)
    return {
        (kind, str(pk)): _name_of(row)
        for kind, wanted in keys.items()
        for pk, row in _rows(kind, wanted).items()
    }


def _rows(kind: str, keys: set[str]) -> Mapping[Any, Any]:
    """A row may be unreadable: its secret under a key that is gone."""
    try:
        return apps.get_model(kind)._base_manager.in_bulk(list(keys))
    except (LookupError, ValueError, TypeError):
        return {}
    except Exception as error:
        logger.info("no names of %s: %s", kind, error)
        return {}


def _name_of(row: Any) -> str:
    try:
        return str(row)[:NAME_LENGTH]
    except Exception as error:  # what it is called may be a row that is gone
        logger.info("no name of %s %s: %s", type(row).__name__, row.pk, error)
        return ""
