"""The ledger, the cycles and the comparisons in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from brain import reconciling
from brain.models import Claim, Cycle, Reconciliation
from brain.previewing import verdict_name
from brain.reconciling import Kind
from brain.repairing import REPAIR_ALL
from brain.verbs import CLAIM_VERBS
from orchestrator_site import sentences
from orchestrator_site.admin import ReadOnlyAdmin, VerbAdmin
from orchestrator_site.admin.bases import sentence
from orchestrator_site.admin.lists import LongListAdmin
from orchestrator_site.cells import badge, moment, plain_table

COLOURS = {
    Claim.Status.STARTED: "busy",
    Claim.Status.PROVEN: "ok",
    Claim.Status.RECOVERED: "ok",
    Claim.Status.LOST: "off",
    Claim.Status.UNPROVEN: "bad",
    Claim.Status.FAILED: "bad",
    Claim.Status.RELEASED: "off",
    Claim.Status.TAKEN_OVER: "warn",
}
CYCLE_COLOURS = {
    Cycle.Outcome.RUNNING: "busy",
    Cycle.Outcome.DONE: "ok",
    Cycle.Outcome.WITH_ERRORS: "bad",
    Cycle.Outcome.STOPPED: "warn",
    Cycle.Outcome.ABANDONED: "bad",
}
COUNTS = {
    "found": _("found"),
    "claimed": _("claimed"),
    "queued": _("queued"),
    "held": _("held"),
    "lost": _("lost"),
    "unproven": _("unproven"),
    "recovered": _("recovered"),
}
KINDS = {
    Kind.OURS_THERE_NOT_HERE: _("Ours in the origin, not here"),
    Kind.HERE_NOT_OURS_THERE: _("Ours here, not in the origin"),
    Kind.TAKEN_OVER: _("Taken over by a person"),
}


class NotQueuedFilter(admin.SimpleListFilter):
    title = _("queue")
    parameter_name = "queued"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("no", _("Ours, but not queued")), ("yes", _("Queued"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "no":
            return queryset.filter(status__in=Claim.OURS, queued_at=None)
        if self.value() == "yes":
            return queryset.filter(queued_at__isnull=False)
        return queryset


@admin.register(Claim)
class ClaimAdmin(VerbAdmin, LongListAdmin):
    verbs = CLAIM_VERBS
    list_display = (
        "resource_id",
        "expediente",
        "organismo",
        "outcome",
        "by",
        "told",
        "started",
        "queued",
    )
    list_filter = ("status", NotQueuedFilter, "method", "organismo")
    list_select_related = ("organismo",)
    search_fields = ("resource_id__exact",)
    search_help_text = _("A case number or its beginning, an idRecurso, a name, a plate, a case.")
    ordering = ("-id",)
    exclude = ("message",)
    readonly_fields = ("message_told", "whole_case")
    message_told = sentence("message", _("message"))

    @display(description=_("case"))
    def whole_case(self, row: Claim) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("case", args=[row.case_id]), row.case_id)

    def meant_by(self, term: str) -> Q:
        return super().meant_by(term) | Claim.objects.meant_by(term)

    @display(description=_("method"), ordering="method")
    def by(self, row: Claim) -> str:
        return row.get_method_display().partition(":")[0]

    @display(description=_("answer"))
    def told(self, row: Claim) -> str:
        return "; ".join(filter(None, (row.answer, sentences.told(row.message)))) or "-"

    @display(description=_("started"), ordering="started_at")
    def started(self, row: Claim) -> SafeString:
        return moment(row.started_at)

    @display(description=_("queued"), ordering="queued_at")
    def queued(self, row: Claim) -> SafeString:
        return moment(row.queued_at)

    @display(description=_("outcome"), ordering="status")
    def outcome(self, row: Claim) -> SafeString:
        return badge(row.status, row.get_status_display(), COLOURS[Claim.Status(row.status)])


@admin.register(Cycle)
class CycleAdmin(LongListAdmin):
    list_display = ("started", "state", "finished", "summary", "runner")
    list_filter = ("outcome",)
    readonly_fields = ("table", "dropped")
    fields = ("started_at", "finished_at", "outcome", "runner", "table", "dropped")

    @display(description=_("started"), ordering="started_at")
    def started(self, row: Cycle) -> SafeString:
        return moment(row.started_at)

    @display(description=_("outcome"), ordering="outcome")
    def state(self, row: Cycle) -> SafeString:
        colour = CYCLE_COLOURS[Cycle.Outcome(row.outcome)]
        return badge(row.outcome, row.get_outcome_display(), colour)

    @display(description=_("finished"), ordering="finished_at")
    def finished(self, row: Cycle) -> SafeString:
        return moment(row.finished_at)

    @display(description=_("what it did"))
    def summary(self, row: Cycle) -> str:
        return "; ".join(_summary(site, report) for site, report in row.sites.items()) or "-"

    @display(description=_("by organismo"))
    def table(self, row: Cycle) -> SafeString:
        lines = [
            (_whole(site), *(report[name] for name in COUNTS), _error(report) or "-")
            for site, report in row.sites.items()
        ]
        return plain_table((_("organismo"), *COUNTS.values(), _("error")), lines)

    @display(description=_("left alone, and why"))
    def dropped(self, row: Cycle) -> SafeString:
        lines = [
            (
                case["idRecurso"],
                case["expediente"] or "-",
                verdict_name(case["verdict"]),
                sentences.told(case["reason"]),
            )
            for report in row.sites.values()
            for case in report["dropped"]
        ]
        return plain_table(("idRecurso", _("case number"), _("verdict"), _("why")), lines)


def _whole(text: str) -> SafeString:
    """On one line, however narrow the table."""
    return format_html('<span class="nowrap">{}</span>', text)


def _summary(site: str, report: dict[str, Any]) -> str:
    if report["error"]:
        return f"{site}: {_error(report)}"
    return f"{site}: {report['claimed']}/{report['found']}"


def _error(report: dict[str, Any]) -> str:
    return f"{report['error_kind']}: {sentences.told(report['error'])}" if report["error"] else ""


@admin.register(Reconciliation)
class ReconciliationAdmin(VerbAdmin, ReadOnlyAdmin):
    verbs = (REPAIR_ALL,)
    list_display = ("compared", "found", "trouble")
    fields = ("at", "lists", "trouble")
    readonly_fields = ("lists", "trouble")
    actions_list = ("compare_now",)

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("brain.operate_claim")

    @display(description=_("at"), ordering="at")
    def compared(self, row: Reconciliation) -> SafeString:
        return moment(row.at)

    @display(description=_("differences"))
    def found(self, row: Reconciliation) -> str:
        counted = row.counts().items()
        return ", ".join(f"{KINDS[Kind(kind)]}: {n}" for kind, n in counted) or str(_("none"))

    @display(description=_("not compared"))
    def trouble(self, row: Reconciliation) -> str:
        return "; ".join(f"{site}: {error}" for site, error in row.errors.items()) or "-"

    @display(description=_("differences"))
    def lists(self, row: Reconciliation) -> SafeString:
        heads = (
            _("difference"),
            _("organismo"),
            "idRecurso",
            _("case number"),
            _("the origin shows"),
        )
        lines = [
            (
                KINDS[Kind(one["kind"])],
                _whole(one["site_id"]),
                one["resource_id"],
                one["expediente"],
                ", ".join(f"{name} {value}" for name, value in one["shown"].items()) or "-",
            )
            for one in row.differences
        ]
        return plain_table(heads, lines)

    @action(description=_("Compare now"), permissions=["operate"], icon="sync")
    def compare_now(self, request: HttpRequest) -> HttpResponse:
        row = reconciling.run()
        messages.success(request, self.found(row))
        return HttpResponseRedirect(reverse("admin:brain_reconciliation_change", args=[row.pk]))
