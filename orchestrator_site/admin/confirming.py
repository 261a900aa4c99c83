"""What a verb's confirmation asks and tells, and what becomes of the rows it was confirmed for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from orchestrator_site import bulk, verbs
from orchestrator_site.models import BulkAction
from orchestrator_site.verbs import InvalidValue, Refused, Tally, Verb

EXAMPLES = 3
LOOKED_AT = 200  # rows, for how many of them are in a state for it
SHORTEST, LONGEST = 3, 1000  # letters of a reason


@dataclass(frozen=True)
class Asked:
    """What the confirmation was filled in with, and what is wrong with it, by field."""

    reason: str
    value: str
    is_confirmed: bool
    problems: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, request: HttpRequest, verb: Verb, now: str = "") -> Asked:
        """`now`: the value that stands in the field before anybody writes one."""
        reason = request.POST.get("reason", "").replace("\0", "").strip()
        value = request.POST.get("value", request.GET.get("value", now)).replace("\0", "")
        if not request.POST.get("confirmed"):
            return cls(reason, value, False)
        problems = {}
        if not SHORTEST <= len(reason) <= LONGEST:
            problems["reason"] = _("Please give a reason of at least three letters.")
        try:
            if verb.argument:
                verb.argument.value(value)
        except InvalidValue as error:
            problems["value"] = str(error)
        return cls(reason, value, True, problems)

    @property
    def is_settled(self) -> bool:
        return self.is_confirmed and not self.problems


def about(verb: Verb, rows: QuerySet[Any], asked: Asked) -> dict[str, Any]:
    """What the page tells: how many rows, how many of them are in a state for it, some of them."""
    count = rows.count()
    looked_at = list(rows[:LOOKED_AT])
    choices = verb.argument.choices() if verb.argument and verb.argument.choices else ()
    return {
        "title": verb.label,
        "verb": verb,
        "asked": asked,
        "count": count,
        "examples": looked_at[:EXAMPLES],
        "looked_at": len(looked_at),
        "fitting": sum(bool(verb.fits(row)) for row in looked_at),
        "choices": choices,
        "is_long": count > bulk.AT_MOST,
    }


def one(request: HttpRequest, verb: Verb, row: Model, asked: Asked) -> None:
    """Do it to a single row, and offer what takes it back."""
    outcome = verbs.do(verb, row, asked.reason, asked.value)
    done, moved = outcome.result is verbs.Result.DONE, outcome.result is verbs.Result.MOVED_ON
    refused = [f"{row}: {outcome.why}"] if outcome.result is verbs.Result.REFUSED else []
    way_back = _way_back(verb, row, outcome.before) if done else None
    tell(request, Tally(int(done), int(moved), refused), way_back)


def some(request: HttpRequest, verb: Verb, rows: QuerySet[Any], asked: Asked) -> None:
    """Do it to rows whose answers are for the reader alone."""
    if rows.count() > bulk.AT_MOST:
        messages.error(request, _("Choose at most %(n)d rows for this.") % {"n": bulk.AT_MOST})
        return
    tell(request, verbs.apply(verb, list(rows), asked.reason, asked.value))


def many(
    request: HttpRequest, verb: Verb, rows: QuerySet[Any], asked: Asked, told: str
) -> HttpResponse | None:
    """Do it to all rows of the query: at once where they are few, or in the background, whose page
    is the answer then. `told`: the query, in words."""
    offer = verbs.offer_of(rows.model)
    assert offer is not None, rows.model
    try:
        action = bulk.ask(offer, verb, rows, asked.reason, asked.value, told)
    except Refused as error:
        messages.error(request, str(error))
        return None
    if action.total <= bulk.AT_MOST and bulk.carry_on(action):
        tell(request, _tally(action), _page(action), _("Report"))
        return None
    bulk.ring()
    return HttpResponseRedirect(_page(action))


def tell(request: HttpRequest, tally: Tally, way: str | None = None, text: str = "") -> None:
    """`way`: an address to go on to, behind what was done."""
    if tally.done:
        told = ngettext("Done for %(n)d row.", "Done for %(n)d rows.", tally.done)
        told %= {"n": tally.done}
        link = format_html('{} <a href="{}">{}</a>', told, way, text or _("Undo"))
        messages.success(request, link if way else told)
    if tally.moved_on:
        told = ngettext(
            "%(n)d row was left alone: it is not in a state for this (any more).",
            "%(n)d rows were left alone: they are not in a state for this (any more).",
            tally.moved_on,
        )
        messages.warning(request, told % {"n": tally.moved_on})
    for refusal in tally.refused[:EXAMPLES]:
        messages.error(request, refusal)
    if (more := len(tally.refused) - EXAMPLES) > 0:
        messages.error(request, _("%(n)d more were refused.") % {"n": more})


def _tally(action: BulkAction) -> Tally:
    refused = [why for _key, _name, why in bulk.lines(action, ("refused",))]
    return Tally(action.counts["done"], action.counts["moved_on"], refused)


def _page(action: BulkAction) -> str:
    return reverse("admin:orchestrator_site_bulkaction_change", args=[action.pk])


def _way_back(verb: Verb, row: Model, before: str) -> str | None:
    offer = verbs.offer_of(type(row))
    undo = offer.undo_of(verb) if offer else None
    if undo is None:
        return None
    meta = row._meta
    address = reverse(f"admin:{meta.app_label}_{meta.model_name}_verb", args=[row.pk, undo.name])
    return f"{address}?{urlencode({'value': before})}" if before else address
