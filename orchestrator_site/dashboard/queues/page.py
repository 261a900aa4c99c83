"""The page of a queue: what is in it, what is under way, what ended, and what can be done."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator_site.clock import db_now
from orchestrator_site.dashboard.queues.catalogue import KINDS
from orchestrator_site.dashboard.queues.hours import Hour, last_day, local
from orchestrator_site.dashboard.queues.kinds import Kind
from orchestrator_site.dashboard.queues.matching import (
    AGES,
    NEWEST,
    OLDEST,
    Asked,
    Count,
    Tiles,
    find,
    tiles,
)
from orchestrator_site.dashboard.queues.summary import running
from orchestrator_site.tenancy import organisation_of
from queues.errors import ErrorClass

AXIS = {"grid": {"display": True}, "ticks": {"color": "#9ca3af", "precision": 0}}
OPTIONS = {
    "animation": False,
    "responsive": True,
    "maintainAspectRatio": False,
    "plugins": {
        "legend": {
            "position": "bottom",
            "align": "start",
            "labels": {"boxWidth": 10, "boxHeight": 10, "color": "#9ca3af"},
        }
    },
}
Figure = Callable[[Hour], float | None]
ENDED: Sequence[tuple[Any, str, Figure]] = (
    (gettext_lazy("ended well"), "#2563eb", lambda hour: hour.good),
    (gettext_lazy("ended badly"), "#dc2626", lambda hour: hour.bad),
)
WAITED: Sequence[tuple[Any, str, Figure]] = (
    (gettext_lazy("median"), "#2563eb", lambda hour: _minutes(hour.median)),
    (gettext_lazy("95 % waited less"), "#d97706", lambda hour: _minutes(hour.p95)),
)


@dataclass(frozen=True)
class Tile:
    """A state, how many there are, and the page filtered by it; again, without it."""

    label: str
    tone: str
    count: Count
    url: str
    is_chosen: bool


def page(request: HttpRequest, name: str) -> HttpResponse:
    kind = KINDS[name]
    check(request.user, kind)
    asked = Asked.of(kind, request.GET)
    context = {**admin.site.each_context(request), **_context(request, kind, asked)}
    return TemplateResponse(request, "admin/queues/page.html", context)


def check(user: Any, kind: Kind) -> None:
    """For our staff alone: the figures are of all organisations, whose members may see jobs."""
    is_allowed = user.has_perm(kind.permission)
    if not is_allowed or (kind.is_organisations and organisation_of(user) is not None):
        raise PermissionDenied


def _context(request: HttpRequest, kind: Kind, asked: Asked) -> dict[str, Any]:
    """All of the page, or what renews itself of it."""
    now = db_now()
    is_part = "HX-Request" in request.headers
    shown = {"is_part": is_part, "title": kind.title, "kind": kind, "asked": asked, "now": now}
    around = {} if is_part else {**_choices(request, kind), **_charts(kind, now)}
    return {**shown, **_live(request, kind, asked, now), **around}


def _live(request: HttpRequest, kind: Kind, asked: Asked, now: datetime) -> dict[str, Any]:
    address = kind.address
    found, known = find(kind, asked, now), tiles(kind, asked, now)
    return {
        "address": address,
        "tiles": _tiles(kind, asked, address, known.counts),
        "oldest": _oldest(kind, known),
        "running": running(kind, now),
        "found": found,
        "lines": kind.lines(found.rows, now),
        "next": f"{address}?{_behind(asked, found.next)}" if found.next is not None else "",
        "first": f"{address}?{asked.query}",
        "actions": _actions(request, kind),
        "list_url": _changelist(kind),
        "same_list": _same_list(kind, asked),
    }


def _choices(request: HttpRequest, kind: Kind) -> dict[str, Any]:
    return {
        "states": [(state, kind.label(state)) for state in kind.states],
        "parties": kind.parties(),
        "ages": [(key, label) for key, (_age, label) in AGES.items()],
        "errors": ErrorClass.choices,
        "orders": [(NEWEST, _("newest first")), (OLDEST, _("oldest first"))],
        "order": request.GET.get("order", ""),
    }


def _charts(kind: Kind, now: datetime) -> dict[str, Any]:
    hours = last_day(kind, now)
    return {
        "hours": hours,
        "ended": _chart(hours, ENDED),
        "waited": _chart(hours, WAITED),
        "bars": json.dumps({**OPTIONS, "scales": {"x": _stacked(), "y": _stacked()}}),
        "lines_options": json.dumps({**OPTIONS, "scales": {"x": AXIS, "y": _minutes_axis()}}),
        "totals": (sum(one.good for one in hours), sum(one.bad for one in hours)),
        "is_counting": any(not one.is_counted for one in hours),
    }


def _oldest(kind: Kind, known: Tiles) -> dict[str, Any] | None:
    first = known.oldest
    return {"label": kind.label(first[0]), "at": first[1]} if first else None


def _tiles(kind: Kind, asked: Asked, address: str, counts: dict[str, Count]) -> list[Tile]:
    without = replace(asked, text="", after=None)
    return [
        Tile(
            label=kind.label(state),
            tone=kind.tone(state),
            count=count,
            url=f"{address}?{replace(without, state='' if asked.state == state else state).query}",
            is_chosen=asked.state == state,
        )
        for state, count in counts.items()
    ]


def _behind(asked: Asked, key: int | None) -> str:
    query = asked.query
    return f"{query}&after={key}" if query else f"after={key}"


def _actions(request: HttpRequest, kind: Kind) -> list[tuple[str, Any]]:
    """The list's own actions on selected rows, as far as the reader may."""
    offered: Any = admin.site.get_model_admin(kind.model).get_actions(request)
    return [(name, label) for name, (_act, _name, label) in offered.items()]


def _changelist(kind: Kind) -> str:
    meta = kind.model._meta
    return reverse(f"admin:{meta.app_label}_{meta.model_name}_changelist")


def _same_list(kind: Kind, asked: Asked) -> str:
    """The admin's list of the same rows, for what can be done to all of them; "" where it knows no
    such filter."""
    is_of_tasks = not kind.is_task and bool(asked.party or asked.error)
    if asked.text or asked.age or is_of_tasks:
        return ""
    values = {"status__exact": asked.state, "error_class__exact": asked.error}
    if asked.party:
        name = "organisation__id__exact" if kind.is_organisations else kind.party_field
        values[name] = asked.party
    query = urlencode({name: value for name, value in values.items() if value})
    return f"{_changelist(kind)}?{query}"


# --- Charts ---------------------------------------------------------------------------------------


def _chart(hours: Sequence[Hour], shown: Sequence[tuple[Any, str, Figure]]) -> str:
    """As Chart.js wants it; a gap where nothing is known."""
    datasets = [
        {
            "label": str(label),
            "data": [figure(one) if one.is_counted else None for one in hours],
            "backgroundColor": colour,
            "borderColor": colour,
            "spanGaps": True,
            "tension": 0.2,
            "pointRadius": 2,
        }
        for label, colour, figure in shown
    ]
    return json.dumps({"labels": [local(one.at) for one in hours], "datasets": datasets})


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / 60, 2)


def _stacked() -> dict[str, Any]:
    return {**AXIS, "stacked": True}


def _minutes_axis() -> dict[str, Any]:
    title = {"display": True, "text": _("minutes"), "color": "#9ca3af"}
    return {
        "grid": AXIS["grid"],
        "ticks": {"color": "#9ca3af"},
        "title": title,
        "beginAtZero": True,
    }
