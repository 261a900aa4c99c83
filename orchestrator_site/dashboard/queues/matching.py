"""Which rows of a queue match the filters: never more is read than a page's worth of looking.

State, owner and error have an index. The other filters are looked for in a window: the next rows
in the order of their keys. A page that finds nothing in its window offers to look further.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from django.db import connections
from django.db.models import Q, QuerySet
from django.utils.http import urlencode
from django.utils.translation import gettext_lazy as _

from orchestrator_site.dashboard.queues.kinds import KEYS, Kind
from queues.errors import ErrorClass

PAGE = 50
WINDOW = 5000  # rows that filters without an index are looked for in
TEXT_WINDOW = 5000  # the same where payloads are read
COUNTED = 10_000
LONGEST = 200  # characters of a text
AGES = {
    "5m": (timedelta(minutes=5), _("older than 5 minutes")),
    "1h": (timedelta(hours=1), _("older than 1 hour")),
    "6h": (timedelta(hours=6), _("older than 6 hours")),
    "1d": (timedelta(days=1), _("older than 1 day")),
    "7d": (timedelta(days=7), _("older than 7 days")),
}
Compiled = tuple[str, Sequence[Any]]
NEWEST, OLDEST = "newest", "oldest"


@dataclass(frozen=True)
class Asked:
    """The filters, "" for none; `after`: the key behind which the page begins."""

    state: str = ""
    party: str = ""
    age: str = ""
    error: str = ""
    text: str = ""
    order: str = NEWEST
    after: int | None = None

    @classmethod
    def of(cls, kind: Kind, given: Mapping[str, str]) -> Asked:
        """From a query; what the kind does not know is left out."""
        age = given.get("age", "")
        state, error = given.get("state", ""), given.get("error", "")
        order = given.get("order") or (OLDEST if age else NEWEST)
        after = given.get("after", "")
        return cls(
            state=state if state in kind.states else "",
            party=_party(kind, given.get("party", "")),
            age=age if age in AGES else "",
            error=error if error in ErrorClass else "",
            text=given.get("q", "").replace("\0", "").strip()[:LONGEST],
            order=order if order in (NEWEST, OLDEST) else NEWEST,
            after=int(after) if after.isascii() and after.isdecimal() and len(after) < 19 else None,
        )

    @property
    def query(self) -> str:
        """As an address has it, without the page."""
        values = {
            "state": self.state,
            "party": self.party,
            "age": self.age,
            "error": self.error,
            "q": self.text,
            "order": self.order if self.order != (OLDEST if self.age else NEWEST) else "",
        }
        return urlencode({name: value for name, value in values.items() if value})

    @property
    def is_filtered(self) -> bool:
        return bool(self.state or self.party or self.age or self.error or self.text)

    @property
    def by_key(self) -> str:
        return "pk" if self.order == OLDEST else "-pk"


@dataclass(frozen=True)
class Found:
    """A page. `next`: behind which key the next one begins, None at the end; `looked_at`: how many
    rows were looked through, where that was bounded; `is_named`: the text is a key of the rows."""

    rows: list[Any]
    next: int | None = None
    looked_at: int | None = None
    is_named: bool = False


@dataclass(frozen=True)
class Count:
    """How many; `is_more`: at least so many."""

    count: int
    is_more: bool


def find(kind: Kind, asked: Asked, now: datetime) -> Found:
    rows = _behind(_indexed(kind, asked), asked)
    narrow = _narrow(kind, asked, now)
    if asked.text and (named := kind.meant(asked.text)):
        found = _page(rows.filter(narrow, pk__in=named), asked)
        return replace(found, is_named=True, looked_at=KEYS if len(named) == KEYS else None)
    if not asked.text and not narrow:
        return _page(rows, asked)
    size = TEXT_WINDOW if asked.text else WINDOW
    edge = _edge(rows, asked, size)
    found = _page(_until(rows, asked, edge).filter(narrow & _with_text(kind, asked)), asked)
    if asked.text:
        found = replace(found, rows=[row for row in found.rows if kind.shows(row, asked.text)])
    further = edge if found.next is None else found.next
    return replace(found, next=further, looked_at=size if edge is not None else None)


@dataclass(frozen=True)
class Tiles:
    """How many rows there are in each state, and when the first that came in of each state that
    waits did."""

    counts: dict[str, Count]
    since: dict[str, datetime]

    @property
    def oldest(self) -> tuple[str, datetime] | None:
        """Of all that wait, its state first; None where nothing does."""
        return min(self.since.items(), key=lambda one: one[1], default=None)


def tiles(kind: Kind, asked: Asked, now: datetime) -> Tiles:
    """The counts are of what matches the other filters, but for the text."""
    asked = replace(asked, text="", after=None)
    asked_for = [_first(kind, state) for state in kind.waiting]
    for state in kind.states:
        asked_for += _sizes(kind, replace(asked, state=state), now)
    first, sizes = _split(_answers(asked_for), len(kind.waiting))
    counts = {
        state: _count(*sizes[2 * place : 2 * place + 2]) for place, state in enumerate(kind.states)
    }
    since = {state: _as_moment(at) for state, at in zip(kind.waiting, first, strict=True) if at}
    return Tiles(counts, since)


def _count(looked: int, matching: int | None) -> Count:
    """`matching`: None where all that are looked at do."""
    found, most = (looked, COUNTED) if matching is None else (matching, WINDOW)
    return Count(min(found, most), looked > most)


def _first(kind: Kind, state: str) -> Compiled:
    rows = kind.model._default_manager.filter(status=state).order_by("pk")
    return rows.values("created_at")[:1].query.sql_with_params()


def _sizes(kind: Kind, asked: Asked, now: datetime) -> list[Compiled]:
    """How many are looked at, and how many of them match."""
    rows, narrow = _indexed(kind, asked), _narrow(kind, asked, now)
    looked = rows.values("pk")[: COUNTED + 1]
    if not narrow:
        return [_size(looked), ("SELECT NULL", ())]
    in_order = rows.order_by(asked.by_key).values("pk")[:WINDOW]
    matching = kind.model._default_manager.filter(narrow, pk__in=in_order).order_by()
    return [_size(looked), _size(matching.values("pk"))]


def _size(rows: QuerySet[Any, Any]) -> Compiled:
    text, given = rows.query.sql_with_params()
    return f"SELECT COUNT(*) FROM ({text}) AS part", given


def _answers(asked_for: Sequence[Compiled]) -> list[Any]:
    """Each gives one value; all in one statement."""
    texts = ", ".join(f"({text})" for text, _given in asked_for)
    with connections["default"].cursor() as cursor:
        cursor.execute(f"SELECT {texts}", [one for _text, given in asked_for for one in given])
        return list(cursor.fetchone())


def _split(values: list[Any], place: int) -> tuple[list[Any], list[Any]]:
    return values[:place], values[place:]


def _as_moment(value: Any) -> datetime:
    """SQLite answers in UTC, without saying so."""
    at = value if isinstance(value, datetime) else datetime.fromisoformat(value)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _party(kind: Kind, value: str) -> str:
    """A value that the column may be compared with."""
    if not kind.is_organisations:
        return value[:LONGEST].replace("\0", "")
    try:
        return str(UUID(value))
    except ValueError:
        return ""


def _indexed(kind: Kind, asked: Asked) -> QuerySet[Any]:
    rows = kind.rows()
    if asked.state:
        rows = rows.filter(status=asked.state)
    if asked.party and kind.is_task:
        rows = rows.filter(kind.of_party(asked.party))
    if asked.error and kind.is_task:
        rows = rows.filter(kind.with_error(asked.error))
    return rows


def _narrow(kind: Kind, asked: Asked, now: datetime) -> Q:
    """The filters without an index."""
    wanted = Q()
    if asked.party and not kind.is_task:
        wanted &= kind.of_party(asked.party)
    if asked.age:
        wanted &= Q(created_at__lte=now - AGES[asked.age][0])
    if asked.error and not kind.is_task:
        wanted &= kind.with_error(asked.error)
    return wanted


def _with_text(kind: Kind, asked: Asked) -> Q:
    return kind.containing(asked.text) if asked.text else Q()


def _behind(rows: QuerySet[Any], asked: Asked) -> QuerySet[Any]:
    if asked.after is None:
        return rows
    return rows.filter(**{"pk__gt" if asked.order == OLDEST else "pk__lt": asked.after})


def _edge(rows: QuerySet[Any], asked: Asked, size: int) -> int | None:
    """The last key of the window; None where it reaches to the end."""
    keys = rows.order_by(asked.by_key).values_list("pk", flat=True)
    return next(iter(keys[size - 1 : size]), None)


def _until(rows: QuerySet[Any], asked: Asked, edge: int | None) -> QuerySet[Any]:
    if edge is None:
        return rows
    return rows.filter(**{"pk__lte" if asked.order == OLDEST else "pk__gte": edge})


def _page(rows: QuerySet[Any], asked: Asked) -> Found:
    found = list(rows.order_by(asked.by_key)[: PAGE + 1])
    is_more = len(found) > PAGE
    return Found(found[:PAGE], next=found[PAGE - 1].pk if is_more else None)
