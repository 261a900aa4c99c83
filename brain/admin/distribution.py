"""Why each person went where it went: decisions, batches, shares."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext
from unfold.decorators import display

from brain.admin import shares
from brain.batches import reckoned
from brain.distribution import Level, is_the_same_anew
from brain.models import Decision, DistributionBatch
from brain.shares import LEVEL_NAMES, LEVEL_TONES
from orchestrator_site.admin import ReadOnlyAdmin, badge, moment
from orchestrator_site.admin.bases import sentence
from orchestrator_site.cells import brief, pair
from queues import blockers
from queues.admin.lists import LongListAdmin, link
from queues.models import ShareChange


@admin.register(Decision)
class DecisionAdmin(LongListAdmin):
    list_display = ("at", "person", "went_to", "turn", "passed_over", "batch")
    list_filter = ("generator",)
    list_select_related = ("nbc", "batch", "generator")
    search_fields = (
        "nbc__nbc_id__exact",
        "nbc__curp__startswith",
        "device__exact",
        "entry__document_id__exact",
    )
    search_help_text = _("An NBC id, a CURP or its beginning, a device, a document's id.")
    fields = ("created_at", "told", "table", "replay", "person", "task", "device", "its_batch")
    readonly_fields = ("told", "table", "replay", "person", "task", "its_batch")

    @display(description=_("at"), ordering="id")
    def at(self, row: Decision) -> SafeString:
        return moment(row.created_at)

    @display(description=_("person"))
    def person(self, row: Decision) -> SafeString:
        return link(row.nbc, row.nbc.nbc_id)

    @display(description=_("task"))
    def task(self, row: Decision) -> SafeString:
        return link(row.entry, row.entry.rw_id)

    @display(description=_("batch"))
    def its_batch(self, row: Decision) -> SafeString:
        return link(row.batch)

    @display(description=_("generator"))
    def went_to(self, row: Decision) -> SafeString:
        return pair(row.generator_id, row.device)

    @display(description=_("whose turn it was"))
    def turn(self, row: Decision) -> str:
        return _turn(row.choice)

    @display(description=_("passed over, and why"))
    def passed_over(self, row: Decision) -> SafeString:
        return brief("; ".join(_why_not(row.choice).values()))

    @display(description=_("in words"))
    def told(self, row: Decision) -> SafeString:
        context = {"row": row, "turn": _turn(row.choice), "why": _why_not(row.choice).values()}
        return render_to_string("admin/distribution/told.html", context)

    @display(description=_("each as it stood"))
    def table(self, row: Decision) -> SafeString:
        why = _why_not(row.choice)
        contenders = [
            {**one, "why": why.get(one["name"]), "is_chosen": one["name"] == row.generator_id}
            for one in row.choice.get("contenders", ())
        ]
        context = {"contenders": contenders, "turn": _turn(row.choice)}
        return render_to_string("admin/distribution/contenders.html", context)

    @display(description=_("made anew"))
    def replay(self, row: Decision) -> SafeString:
        return _replay(is_the_same_anew(row.choice, row.generator_id))


class OpenFilter(admin.SimpleListFilter):
    title = _("state")
    parameter_name = "is_open"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", pgettext("batch", "Open")), ("no", _("Closed"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() in ("yes", "no"):
            return queryset.filter(is_open=self.value() == "yes")
        return queryset


@admin.register(DistributionBatch)
class DistributionBatchAdmin(LongListAdmin):
    list_display = ("number", "state", "spread", "size", "opened", "closed", "closed_because")
    list_filter = (OpenFilter,)
    readonly_fields = (
        "closed_because",
        *("state", "table", "rules", "replay", "opened", "closed", "decided"),
    )
    fields = ("size", "counter", *readonly_fields)
    closed_because = sentence("close_reason", _("closed because"))

    @display(description=_("batch"), ordering="id")
    def number(self, row: DistributionBatch) -> str:
        return str(row.pk)

    @display(description=_("state"), ordering="is_open")
    def state(self, row: DistributionBatch) -> SafeString:
        if row.is_open:
            return badge("open", pgettext("batch", "Open"), "busy")
        return badge("closed", _("Closed"), "off")

    @display(description=_("used of the slots"))
    def spread(self, row: DistributionBatch) -> str:
        parts = (f"{name} {row.used.get(name, 0)}/{slots}" for name, slots in row.slots.items())
        return ", ".join(parts)

    @display(description=_("opened"), ordering="opened_at")
    def opened(self, row: DistributionBatch) -> SafeString:
        return moment(row.opened_at)

    @display(description=_("closed"), ordering="closed_at")
    def closed(self, row: DistributionBatch) -> SafeString:
        return moment(row.closed_at)

    @display(description=_("reckoned from"))
    def rules(self, row: DistributionBatch) -> str:
        text = _("Good from %(high)s %%, normal from %(low)s %%; the remainder goes to %(name)s.")
        told = {"high": row.inputs.get("high"), "low": row.inputs.get("low")}
        return str(text) % {**told, "name": row.inputs.get("remainder") or "-"}

    @display(description=_("by generator"))
    def table(self, row: DistributionBatch) -> SafeString:
        context = {"lines": [_line(row, name) for name in row.slots]}
        return render_to_string("admin/distribution/slots.html", context)

    @display(description=_("made anew"))
    def replay(self, row: DistributionBatch) -> SafeString:
        return _replay(_slots_anew(row.inputs) == row.slots)

    @display(description=_("decisions"))
    def decided(self, row: DistributionBatch) -> SafeString:
        url = reverse("admin:brain_decision_changelist")
        return format_html('<a href="{}?batch__id__exact={}">{}</a>', url, row.pk, row.assigned)


@admin.register(ShareChange)
class ShareChangeAdmin(ReadOnlyAdmin):
    """The list of changes is part of the shares page."""

    fields = ("at", "by", "reason", "shares")

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("", wrap(self.changelist_view), name="brain_shares"),
            path("export/", wrap(shares.export), name="brain_shares_export"),
            *super().get_urls(),
        ]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        return shares.page(request)


def _turn(choice: Mapping[str, Any]) -> str:
    """The generator that the counter preferred."""
    contenders: Sequence[Mapping[str, Any]] = choice.get("contenders", ())
    return contenders[choice["counter"] % len(contenders)]["name"] if contenders else "-"


def _why_not(choice: Mapping[str, Any]) -> dict[str, str]:
    """For each generator that was passed over, why, in words."""
    slots = {one["name"]: one["slots"] for one in choice.get("contenders", ())}
    return {
        name: blockers.describe({"kind": "nobody", "passed": [[name, why, slots.get(name, 0)]]})
        for name, why in choice.get("passed", ())
    }


def _line(row: DistributionBatch, name: str) -> dict[str, Any]:
    picked = row.inputs.get("picked", {}).get(name, {})
    level = picked.get("level")
    return {
        **picked,
        "name": name,
        "label": LEVEL_NAMES[Level(level)] if level else "-",
        "tone": LEVEL_TONES[Level(level)] if level else "off",
        "slots": row.slots[name],
        "used": row.used.get(name, 0),
    }


def _slots_anew(inputs: Mapping[str, Any]) -> dict[str, int] | None:
    """The slots from the inputs that were kept; None where they do not say enough."""
    try:
        rates = {name: one["rate"] for name, one in inputs["picked"].items()}
        return reckoned(inputs, rates)[0]
    except (KeyError, TypeError, ValueError):
        return None


def _replay(is_same: bool) -> SafeString:
    if is_same:
        return badge("same", _("Same answer"), "ok")
    return badge("another", _("ANOTHER ANSWER: what is kept does not lead to what was done"), "bad")
