"""The ledger, the cycles and the comparisons in the admin."""

from __future__ import annotations

from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import action, display

from brain import reconciling
from brain.models import Claim, Cycle, Reconciliation
from brain.repairing import REPAIR_ALL
from brain.verbs import CLAIM_VERBS
from orchestrator_site.admin import ReadOnlyAdmin, VerbAdmin, badge, moment

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
class ClaimAdmin(VerbAdmin, ReadOnlyAdmin):
    verbs = CLAIM_VERBS
    list_display = (
        "resource_id",
        "expediente",
        "organismo",
        "outcome",
        "method",
        "account",
        "answer",
        "message",
        "started",
        "queued",
    )
    list_filter = ("status", NotQueuedFilter, "method", "organismo")
    list_select_related = ("organismo",)
    search_fields = ("=resource_id", "expediente", "=case_id")

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
class CycleAdmin(ReadOnlyAdmin):
    list_display = ("started", "outcome", "finished", "summary", "runner")
    list_filter = ("outcome",)
    fields = ("started_at", "finished_at", "outcome", "runner", "table", "dropped")

    @display(description=_("started"), ordering="started_at")
    def started(self, row: Cycle) -> SafeString:
        return moment(row.started_at)

    @display(description=_("finished"), ordering="finished_at")
    def finished(self, row: Cycle) -> SafeString:
        return moment(row.finished_at)

    @display(description=_("what it did"))
    def summary(self, row: Cycle) -> str:
        return "; ".join(_summary(site, report) for site, report in row.sites.items()) or "-"

    @display(description=_("by organismo"))
    def table(self, row: Cycle) -> SafeString:
        names = ("found", "claimed", "queued", "held", "lost", "unproven", "recovered")
        head = format_html_join("", "<th>{}</th>", ((name,) for name in ("", *names, "error")))
        body = format_html_join(
            "",
            "<tr><th>{}</th>{}<td>{}</td></tr>",
            (
                (
                    site,
                    format_html_join("", "<td>{}</td>", ((report[name],) for name in names)),
                    _error(report),
                )
                for site, report in row.sites.items()
            ),
        )
        return format_html('<table class="plain"><tr>{}</tr>{}</table>', head, body)

    @display(description=_("left alone, and why"))
    def dropped(self, row: Cycle) -> SafeString:
        lines = [
            (case["idRecurso"], case["expediente"], case["verdict"], case["reason"])
            for report in row.sites.values()
            for case in report["dropped"]
        ]
        cells = "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>"
        return format_html('<table class="plain">{}</table>', format_html_join("", cells, lines))


def _summary(site: str, report: dict[str, Any]) -> str:
    if report["error"]:
        return f"{site}: {_error(report)}"
    return f"{site}: {report['claimed']}/{report['found']}"


def _error(report: dict[str, Any]) -> str:
    return f"{report['error_kind']}: {report['error']}" if report["error"] else ""


@admin.register(Reconciliation)
class ReconciliationAdmin(VerbAdmin, ReadOnlyAdmin):
    verbs = (REPAIR_ALL,)
    list_display = ("at", "found", "trouble")
    fields = ("at", "lists", "errors")
    actions_list = ("compare_now",)

    def has_operate_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return request.user.has_perm("brain.operate_claim")

    @display(description=_("differences"))
    def found(self, row: Reconciliation) -> str:
        return ", ".join(f"{kind}: {n}" for kind, n in row.counts().items()) or str(_("none"))

    @display(description=_("not compared"))
    def trouble(self, row: Reconciliation) -> str:
        return "; ".join(f"{site}: {error}" for site, error in row.errors.items()) or "-"

    @display(description=_("differences"))
    def lists(self, row: Reconciliation) -> SafeString:
        lines = [
            (d["kind"], d["site_id"], d["resource_id"], d["expediente"], d["shown"])
            for d in row.differences
        ]
        cells = "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>"
        return format_html('<table class="plain">{}</table>', format_html_join("", cells, lines))

    @action(description=_("Compare now"), permissions=["operate"], icon="sync")
    def compare_now(self, request: HttpRequest) -> HttpResponse:
        row = reconciling.run()
        messages.success(request, self.found(row))
        return HttpResponseRedirect(reverse("admin:brain_reconciliation_change", args=[row.pk]))
