"""The shares page: the grid, what it would change, its history, and the document's arrays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.translation import gettext as _

from brain import main_config, shares, simulating, standing
from brain.distribution import Level
from brain.shares import LEVEL_NAMES, LEVEL_TONES, WHOLE, InvalidShares, Merged, SharesMoved, Told
from brain.standing import Standing
from orchestrator_site.clock import db_now
from queues.models import DistributionConfig, Generator, ShareChange

LOOK, OPERATE = "queues.view_sharechange", "queues.operate_generator"
HISTORY = 20
SHORTEST, LONGEST = 3, 1000  # letters of a reason
LARGEST_FILE = 1024 * 1024
MOST_PEOPLE = 9999
Context = dict[str, Any]
Shown = Context | HttpResponse


def page(request: HttpRequest) -> HttpResponse:
    """The grid and all that is done with it. What is refused leaves what was typed; where somebody
    else was faster it stands on top of what they set."""
    if not request.user.has_perm(LOOK):
        raise PermissionDenied
    try:
        shown = _act(request)
    except InvalidShares as error:
        shown = {"problems": error.messages}
    except SharesMoved:
        shown = {"meanwhile": _meanwhile(_id(request, "seen"))}
    if isinstance(shown, HttpResponse):
        return shown
    context = _context(request, is_overtaken="meanwhile" in shown)
    context = {**admin.site.each_context(request), **context, **shown}
    return TemplateResponse(request, "admin/distribution/shares.html", context)


def export(request: HttpRequest) -> HttpResponse:
    """`main_config` as a file."""
    if not request.user.has_perm(LOOK):
        raise PermissionDenied
    return HttpResponse(
        _document(),
        content_type="application/json",
        headers={"Content-Disposition": 'attachment; filename="main_config.json"'},
    )


# --- What a person does ---------------------------------------------------------------------------


def _act(request: HttpRequest) -> Shown:
    action = ACTIONS.get(request.POST.get("do", ""))
    if action is None:
        return {}
    if action is not _simulate and not request.user.has_perm(OPERATE):
        raise PermissionDenied
    return action(request)


def _simulate(request: HttpRequest) -> Shown:
    return {"simulation": simulating.simulate(_typed(request.POST), _people(request), db_now())}


def _save(request: HttpRequest) -> Shown:
    change = shares.put(_typed(request.POST), _reason(request), _id(request, "seen"))
    return _done(request, change is not None)


def _revert(request: HttpRequest) -> Shown:
    change = get_object_or_404(ShareChange, pk=_id(request, "change"))
    return _done(request, shares.revert(change, _reason(request), _id(request, "seen")) is not None)


def _look(request: HttpRequest) -> Shown:
    """What a document would change, before it is written."""
    text = _given(request)
    return {"document": text, "differences": main_config.parse(text).differences()}


def _import(request: HttpRequest) -> Shown:
    setting = main_config.parse(_given(request))
    differences = setting.differences()
    main_config.write(setting, _reason(request), _id(request, "seen"))
    return _done(request, bool(differences))


ACTIONS: Mapping[str, Callable[[HttpRequest], Shown]] = {
    "simulate": _simulate,
    "save": _save,
    "revert": _revert,
    "look": _look,
    "import": _import,
}


def _done(request: HttpRequest, is_changed: bool) -> HttpResponse:
    if is_changed:
        messages.success(request, _("Written. The next round opens a new batch with it."))
    else:
        messages.info(request, _("All is as it was: nothing was written."))
    return HttpResponseRedirect(reverse("admin:brain_shares"))


# --- What was typed -------------------------------------------------------------------------------


def _typed(posted: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    """By level and name. What is no number stays a text, for `shares.check` to refuse."""
    return {
        str(level): {name: _number(posted.get(f"{level}-{name}", "")) for name in _names()}
        for level in Level
    }


def _number(text: str) -> int | str:
    text = text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 5 else text


def _id(request: HttpRequest, name: str) -> int:
    """A row's number; 0, which no row has, where it is none."""
    text = request.POST.get(name, "")
    return int(text) if text.isascii() and text.isdecimal() and len(text) < 19 else 0


def _people(request: HttpRequest) -> int | None:
    people = _number(request.POST.get("people", ""))
    if people == "":
        return None
    if isinstance(people, int) and people > 0:
        return people
    text = _("The number of people is a whole number from 1 to %(most)d.")
    raise InvalidShares([text % {"most": MOST_PEOPLE}])


def _reason(request: HttpRequest) -> str:
    reason = request.POST.get("reason", "").replace("\0", "").strip()
    if not SHORTEST <= len(reason) <= LONGEST:
        raise InvalidShares([_("Please give a reason of three to a thousand letters.")])
    return reason


def _given(request: HttpRequest) -> str:
    """The file, or else the text."""
    if file := request.FILES.get("file"):
        return file.read(LARGEST_FILE).decode("utf-8-sig", errors="replace")
    return request.POST.get("document", "")


# --- What is shown --------------------------------------------------------------------------------


def _context(request: HttpRequest, is_overtaken: bool) -> Context:
    config = DistributionConfig.current()
    stand = standing.of_all(config, db_now())
    seen = shares.last_id()  # before the shares: what is set in between must not look seen
    current = shares.current()
    # What is typed stays on what it was typed on, until the person was told of something newer.
    is_on_older = _has_grid(request) and not is_overtaken
    return {
        "title": _("Shares"),
        "config": config,
        "columns": [_column(one) for one in stand],
        "rows": _rows(current, _grid(request, current, is_overtaken), stand),
        "most_people": MOST_PEOPLE,
        "seen": seen,
        "grid_seen": _id(request, "seen") if is_on_older else seen,
        "history": shares.history(HISTORY),
        "may_save": request.user.has_perm(OPERATE),
        "typed": request.POST,
        "document": request.POST.get("document") or _document(),
        "order": main_config.order(one.generator for one in stand),
    }


def _has_grid(request: HttpRequest) -> bool:
    return request.POST.get("do") in ("save", "simulate")


def _grid(request: HttpRequest, current: shares.Shares, is_overtaken: bool) -> Merged:
    """What stands in it: what was typed, if anything was; on top of what others set since."""
    typed = _typed(request.POST) if _has_grid(request) else current
    if is_overtaken and _has_grid(request):
        return shares.merged(typed, shares.as_of(_id(request, "seen")), current)
    return Merged(typed, frozenset())


def _column(one: Standing) -> Context:
    return {"standing": one, "level": LEVEL_NAMES[one.level], "tone": LEVEL_TONES[one.level]}


def _rows(current: shares.Shares, grid: Merged, stand: Sequence[Standing]) -> list[Context]:
    return [
        {
            "level": level,
            "label": LEVEL_NAMES[level],
            "is_disputed": level in grid.disputed,
            "cells": [
                {
                    "name": one.generator.name,
                    "value": grid.shares[level][one.generator.name],
                    "now": current[level][one.generator.name],
                    "is_in_force": one.level is level,
                }
                for one in stand
            ],
            "total": (total := sum(n for n in grid.shares[level].values() if isinstance(n, int))),
            "missing": max(WHOLE - total, 0),
            "excess": max(total - WHOLE, 0),
        }
        for level in Level
    ]


def _meanwhile(seen: int) -> list[Told]:
    """What others set since the page was made."""
    return [told for told in shares.history(HISTORY) if told.change.pk > seen and told.differences]


def _document() -> str:
    """A line an array."""
    lines = (f"  {json.dumps(key)}: {json.dumps(row)}" for key, row in main_config.export().items())
    return "{\n" + ",\n".join(lines) + "\n}\n"


def _names() -> list[str]:
    return list(Generator.objects.values_list("name", flat=True))
