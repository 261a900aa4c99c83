"""What a queue page wants to know of a kind of task; each kind says it in a class of its own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar
from uuid import UUID

from django.db import connection
from django.db.models import Model, Q, QuerySet
from django.urls import NoReverseMatch, reverse

from orchestrator_site.verbs import Text
from queues.admin.lists import page_of
from queues.models.base import LeasedTask

KEYS = 1000  # rows that a text may mean by their keys


@dataclass(frozen=True)
class Line:
    """A row of the table. `told`: what it waits for, or what was said last; `since`: when it came
    in; `party`: whose it is (organismo, generator, organisation)."""

    key: Any
    name: str
    second: str
    url: str
    case_url: str
    state: str
    label: str
    tone: str
    party: str
    told: str
    attempts: str
    since: datetime


@dataclass(frozen=True)
class Run:
    """What is under way. `due_at`: when it is too late; `lease_until`: None where no lease is
    held, because somebody outside has it; `is_late`: it should have ended by now."""

    key: Any
    name: str
    url: str
    case_url: str
    party: str
    worker: str
    device: str
    step: str
    since: datetime | None
    due_at: datetime | None
    lease_until: datetime | None
    is_late: bool


class Kind(ABC):
    """One of the queues. `states`: in the order of a row's way; `waiting`: those whose oldest is
    told; `party_field`: the column that says whose a row is; people are somebody's by their tasks
    alone."""

    name: ClassVar[str]
    title: ClassVar[Text]
    model: ClassVar[type[Any]]
    permission: ClassVar[str]
    states: ClassVar[Sequence[str]]
    waiting: ClassVar[Sequence[str]]
    party: ClassVar[Text]
    party_field: ClassVar[str] = ""
    is_organisations: ClassVar[bool] = False
    payload: ClassVar[Sequence[str]]  # JSON columns that a text is looked for in
    known_by: ClassVar[Text]  # what may be typed into the filter
    wait: ClassVar[Text]  # what the chart of waits measures
    when_empty: ClassVar[Text]

    @property
    def is_task(self) -> bool:
        """Whether its rows are the tasks themselves, with their owner and their error."""
        return issubclass(self.model, LeasedTask)

    @property
    def address(self) -> str:
        return reverse(f"queue-{self.name}")

    def rows(self) -> QuerySet[Any]:
        return self.model._default_manager.order_by()

    @abstractmethod
    def parties(self) -> list[tuple[str, str]]:
        """Whose rows there may be: the value of the filter, and its name."""

    def of_party(self, value: str) -> Q:
        return Q(**{self.party_field: value})

    def with_error(self, value: str) -> Q:
        return Q(error_class=value)

    @abstractmethod
    def meant(self, text: str) -> list[int]:
        """Keys of the rows that the text names, by columns with an index: KEYS at most."""

    def containing(self, text: str) -> Q:
        """Rows with the text in their payload, whatever its case."""
        found = Q()
        for name in self.payload:
            for one in _as_stored(text):
                found |= Q(**{f"{name}__icontains": one})
        return found

    def shows(self, row: Any, text: str) -> bool:
        """Whether the text that was found in the row is one that staff may see."""
        return True

    @abstractmethod
    def lines(self, rows: Sequence[Any], now: datetime) -> list[Line]:
        """The rows as the table shows them."""

    @abstractmethod
    def under_way(self) -> QuerySet[Any]:
        """The tasks that somebody has now, the oldest first."""

    @abstractmethod
    def runs(self, tasks: Sequence[Any], now: datetime) -> list[Run]:
        """Tasks under way as the page shows them."""

    @abstractmethod
    def ended(self) -> tuple[QuerySet[Any], Q, Any]:
        """The tasks that ended, which of them ended well, and how long each had waited."""

    def label(self, state: str) -> str:
        return str(self.model.Status(state).label)

    def tone(self, state: str) -> str:
        return str(self.model.TONES[state])


def case_url(case_id: UUID) -> str:
    """The page of a case; without one the list of its events."""
    try:
        return reverse("case", args=[case_id])
    except NoReverseMatch:
        return f"{reverse('admin:orchestrator_site_event_changelist')}?q={case_id}"


def line(row: Any, name: Any, second: Any, party: Any, told: str) -> Line:
    """Of a row whatever its kind."""
    most = f"/{row.max_attempts}" if isinstance(row, LeasedTask) else ""
    return Line(
        key=row.pk,
        name=str(name),
        second=str(second),
        url=page_of(row),
        case_url=case_url(row.case_id),
        state=row.status,
        label=row.get_status_display(),
        tone=row.tone,
        party=str(party),
        told=told,
        attempts=f"{row.attempts}{most}" if row.attempts else "",
        since=row.created_at,
    )


def run(
    task: Any,
    now: datetime,
    *,
    name: Any,
    party: Any,
    step: str,
    due_at: datetime | None,
    **more: Any,
) -> Run:
    """Of a task whatever its kind: late once it is due or its lease is over."""
    ends = [at for at in (due_at, task.lease_expires_at) if at is not None]
    return Run(
        **{
            "key": task.pk,
            "name": str(name),
            "url": page_of(task),
            "case_url": case_url(task.case_id),
            "party": str(party),
            "worker": task.worker,
            "device": "",
            "step": step,
            "since": task.started_at,
            "due_at": due_at,
            "lease_until": task.lease_expires_at,
            "is_late": any(at < now for at in ends),
            **more,
        }
    )


def later(at: datetime | None, most: timedelta) -> datetime | None:
    return None if at is None else at + most


def _as_stored(text: str) -> set[str]:
    """SQLite stores letters with accents as escapes, and knows no case of them."""
    if text.isascii() or connection.vendor == "postgresql":
        return {text}
    cases = {text, text.lower(), text.upper(), text.title(), text.capitalize()}
    return {json.dumps(one)[1:-1] for one in cases}


def as_uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def as_number(text: str) -> int | None:
    """A number that a column of whole numbers may hold."""
    is_number = text.isascii() and text.isdecimal() and len(text) < 19
    return int(text) if is_number else None


def keys(rows: QuerySet[Model]) -> list[int]:
    return list(rows.order_by("-pk").values_list("pk", flat=True)[:KEYS])
