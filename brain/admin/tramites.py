"""The appeals in the queue. Here, because rerun and authorise ask the brain."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from brain.models import Claim, Organismo
from brain.verbs import TASK_VERBS
from orchestrator_site import sentences
from orchestrator_site.admin import VerbAdmin, badge, moment
from orchestrator_site.admin.bases import sentence
from orchestrator_site.admin.lists import FOUND, LongListAdmin, PeriodFilter
from queues.admin.evidence import evidence_of
from queues.admin.lists import thread
from queues.models import TramiteTask

Status = TramiteTask.Status
NEWEST = 500  # rows whose payload a search reads


class SiteFilter(admin.SimpleListFilter):
    """Of the sites that there are: the rows are not asked."""

    title = _("site")
    parameter_name = "site_id"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        names = Organismo.objects.order_by("site_id").values_list("site_id", flat=True)
        return [(name, name) for name in names]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        """The index begins with the status, so that each is named."""
        if not self.value():
            return queryset
        return queryset.filter(site_id=self.value(), status__in=Status.values)


@admin.register(TramiteTask)
class TramiteTaskAdmin(VerbAdmin, LongListAdmin):
    verbs = TASK_VERBS
    list_display = (
        "number",
        "site_id",
        "state",
        "why",
        "attempts",
        "worker",
        "queued",
        "processed",
    )
    list_filter = ("status", SiteFilter, "error_class", ("created_at", PeriodFilter))
    list_filter_submit = True
    search_fields = ("resource_id__exact",)
    search_help_text = _("A case number or its beginning, an idRecurso, a name, a plate, a case.")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("state", "why", "site_id", "expediente", "case_id")}),
        (_("What happened"), {"fields": ("thread",)}),
        (_("Evidence"), {"fields": ("evidence",)}),
        (
            _("What is sent"),
            {"fields": ("url_directa", "payload", "attachments", "flow_name", "flow_version")},
        ),
        (_("Result"), {"fields": ("result", "error_class", "error_told")}),
        (
            _("In the queue"),
            {
                "fields": (
                    "resource_id",
                    "run",
                    "priority",
                    "attempts",
                    "max_attempts",
                    "worker",
                    "available_at",
                    "created_at",
                    "started_at",
                    "intent_at",
                    "processed_at",
                )
            },
        ),
    )
    readonly_fields = ("state", "why", "expediente", "evidence", "error_told", "thread")
    error_told = sentence("error_log", _("message"))

    def meant_by(self, term: str) -> Q:
        """The number and the name stand in what was claimed; of the newest rows any part of what is
        sent will do."""
        claimed = Claim.objects.called(term).order_by("-id").values_list("resource_id", flat=True)
        newest = TramiteTask.objects.order_by("-pk").values("pk")[:NEWEST]
        holding = TramiteTask.objects.filter(pk__in=newest, payload__icontains=term)
        return (
            super().meant_by(term)
            | Q(resource_id__in=list(claimed[:FOUND]))
            | Q(pk__in=list(holding.values_list("pk", flat=True)))
        )

    @display(description=_("case number"), ordering="id")
    def number(self, row: TramiteTask) -> SafeString:
        return format_html('<span class="nowrap">{}</span>', row.expediente or row.resource_id)

    @display(description=_("queued"), ordering="created_at")
    def queued(self, row: TramiteTask) -> SafeString:
        return moment(row.created_at)

    @display(description=_("processed"), ordering="processed_at")
    def processed(self, row: TramiteTask) -> SafeString:
        return moment(row.processed_at)

    @display(description=_("status"), ordering="status")
    def state(self, row: TramiteTask) -> SafeString:
        return badge(row.status, row.get_status_display(), row.tone)

    @display(description=_("why"))
    def why(self, row: TramiteTask) -> str:
        if row.status == Status.HELD:
            return sentences.told(row.hold_reason)
        if row.error_log:
            told = sentences.told(row.error_log)
            return f"{row.get_error_class_display()}: {told}"[:200]
        return "-"

    @display(description=_("evidence"))
    def evidence(self, row: TramiteTask) -> SafeString:
        return evidence_of(row)

    @display(description=_("thread"))
    def thread(self, row: TramiteTask) -> SafeString:
        return thread(row.case_id)
