"""The events of a case, a page at a time by their ids: there may be a great many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from orchestrator_site import sentences, telling
from orchestrator_site.models import Event

CHUNK = 2000


@dataclass(frozen=True)
class Line:
    """An event in the reader's language."""

    event: Event

    @property
    def kind(self) -> str:
        return telling.kind(self.event.object_type)

    @property
    def change(self) -> str:
        return telling.change(self.event)

    @property
    def reason(self) -> str:
        return sentences.told(self.event.reason)

    @property
    def actor(self) -> str:
        return f"{self.event.get_actor_kind_display()} {self.event.actor}".strip()


@dataclass(frozen=True)
class Page:
    """`more`: the id past which the next page begins, None: this is the last one."""

    lines: Sequence[Line]
    more: int | None
    oldest_first: bool
    is_first: bool

    def as_list(self) -> list[dict[str, Any]]:
        return [_as_dict(line.event) for line in self.lines]


def page_of(case_id: UUID, *, oldest_first: bool, past: int | None, most: int) -> Page:
    """`past`: only events with greater ids (smaller, with the newest first) than that."""
    rows = Event.objects.filter(case_id=case_id)
    if past is not None:
        rows = rows.filter(id__gt=past) if oldest_first else rows.filter(id__lt=past)
    found = list(rows.order_by("id" if oldest_first else "-id")[: most + 1])
    shown = found[:most]
    more = shown[-1].pk if len(found) > most else None
    return Page([Line(one) for one in shown], more, oldest_first, past is None)


def all_of(case_id: UUID, most: int) -> Iterator[Event]:
    """The oldest first, at most so many."""
    rows = Event.objects.filter(case_id=case_id).order_by("id")[:most]
    return rows.iterator(chunk_size=CHUNK)


def _as_dict(event: Event) -> dict[str, Any]:
    return {
        "id": event.pk,
        "at": event.at.isoformat(),
        "actor_kind": event.actor_kind,
        "actor": event.actor,
        "object_type": event.object_type,
        "object_id": event.object_id,
        "old": event.old,
        "new": event.new,
        "reason": event.reason,
        "data": event.data,
    }
