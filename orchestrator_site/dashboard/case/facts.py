"""What a story is made of: plain facts, shown as HTML on a page and as JSON everywhere else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.urls import reverse
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.timesince import timesince
from django.utils.translation import gettext as _

from orchestrator_site.cells import NOTHING, badge

LONG = 300  # characters of a text, from which on a page folds it up


@dataclass(frozen=True)
class State:
    """A row's state; `tone` is ok, busy, wait, warn, bad or off."""

    value: str
    text: str
    tone: str

    @classmethod
    def of(cls, row: Any, tone: str = "") -> State:
        value = str(row.status)
        return cls(value, str(row.get_status_display()), tone or row.tone)


@dataclass(frozen=True)
class Link:
    """`may`: the permission to see where it leads; without it the text stands alone."""

    text: str
    url: str
    may: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of a section: a title to each column, and a value for it in each row."""

    heads: Mapping[str, str]
    rows: Sequence[Mapping[str, Any]]

    @property
    def lines(self) -> list[list[tuple[str, Any]]]:
        """For a page: each row's values with the titles of their columns."""
        return [[(title, row.get(name)) for name, title in self.heads.items()] for row in self.rows]

    def as_list(self) -> list[dict[str, Any]]:
        return [{name: plain(row.get(name)) for name in self.heads} for row in self.rows]


@dataclass(frozen=True)
class Section:
    """A part of a story: facts by name (with their titles), and tables. `empty` is told where
    there is nothing in it."""

    name: str
    title: str
    facts: Mapping[str, tuple[str, Any]] = field(default_factory=dict)
    tables: Mapping[str, Table] = field(default_factory=dict)
    note: str = ""
    empty: str = ""

    @property
    def shown_facts(self) -> list[tuple[str, Any]]:
        """Those that have a value."""
        return [(title, value) for title, value in self.facts.values() if not is_nothing(value)]

    @property
    def shown_tables(self) -> list[Table]:
        return [table for table in self.tables.values() if table.rows]

    @property
    def is_empty(self) -> bool:
        return not (self.shown_facts or self.shown_tables)

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": self.title,
            "facts": {name: plain(value) for name, (_title, value) in self.facts.items()},
            "tables": {name: table.as_list() for name, table in self.tables.items()},
        }


def row_link(row: Any, text: Any = None) -> Link:
    """To a row's own page; called by what it is, where it has no other name."""
    meta = row._meta
    url = reverse(f"admin:{meta.app_label}_{meta.model_name}_change", args=[row.pk])
    return Link(
        capfirst(str(meta.verbose_name)) if text is None else str(text),
        url,
        f"{meta.app_label}.view_{meta.model_name}",
    )


def is_nothing(value: Any) -> bool:
    return value is None or value == "" or value == [] or value == {}


def plain(value: Any) -> Any:
    """As JSON knows it; what it does not know becomes text."""
    if isinstance(value, State):
        return value.value
    if isinstance(value, Link):
        return value.text
    if isinstance(value, str | int | float | bool) or value is None:
        return value
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): plain(one) for key, one in value.items()}
    if isinstance(value, Iterable):
        return [plain(one) for one in value]
    return str(value)


def shown(value: Any, may: Callable[[str], bool]) -> SafeString:
    """As HTML, in the reader's language and zone."""
    if is_nothing(value):
        return NOTHING
    if isinstance(value, State):
        return badge(value.value, value.text, value.tone)
    if isinstance(value, Link):
        if value.may and not may(value.may):
            return format_html("{}", value.text)
        return format_html('<a href="{}">{}</a>', value.url, value.text)
    if isinstance(value, datetime):
        return moment(value)
    if isinstance(value, bool):
        return format_html("{}", _("yes") if value else _("no"))
    if isinstance(value, dict | list | tuple):
        return _json(value)
    return _text(str(value))


def moment(at: datetime | None, now: datetime | None = None) -> SafeString:
    """A time in the reader's zone, and how long ago it was."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at)
    today = local.date() == timezone.localdate(now)
    short = local.strftime("%H:%M:%S") if today else date_format(local, "j M Y H:i:s")
    return format_html(
        '<time datetime="{}" title="{}"><span class="nowrap">{}</span>'
        ' <span class="quiet-text nowrap">{}</span></time>',
        at.isoformat(),
        local.strftime("%Y-%m-%d %H:%M:%S %Z"),
        short,
        ago(at, now or timezone.now()),
    )


def ago(at: datetime, now: datetime) -> str:
    """In one word or two: "3 minutes ago", "in 2 hours"."""
    seconds = round((now - at).total_seconds())
    if abs(seconds) < 60:
        if seconds < 0:
            return _("in %(n)d s") % {"n": -seconds}
        return _("%(n)d s ago") % {"n": seconds}
    text = _("%(time)s ago") if seconds > 0 else _("in %(time)s")
    first, second = (at, now) if seconds > 0 else (now, at)
    return text % {"time": timesince(first, second, depth=1)}


def _text(text: str) -> SafeString:
    if len(text) <= LONG:
        return format_html("{}", text)
    return format_html(
        '<details><summary>{}…</summary><span class="whole">{}</span></details>', text[:80], text
    )


def _json(value: Any) -> SafeString:
    text = json.dumps(value, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1)
    if len(text) <= LONG:
        return format_html("<pre>{}</pre>", text)
    size = _("%(n)d entries") % {"n": len(value)}
    return format_html("<details><summary>{}</summary><pre>{}</pre></details>", size, text)
