"""The appeals in the queue. Here, because rerun and authorise ask the brain."""

from __future__ import annotations

from django.contrib import admin
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from brain.verbs import TASK_VERBS
from orchestrator_site import sentences
from orchestrator_site.admin import ReadOnlyAdmin, VerbAdmin, badge, moment
from orchestrator_site.admin.bases import sentence
from queues.admin.evidence import evidence_of
from queues.admin.lists import thread
from queues.models import TramiteTask

Status = TramiteTask.Status


@admin.register(TramiteTask)
class TramiteTaskAdmin(VerbAdmin, ReadOnlyAdmin):
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
    list_filter = ("status", "site_id", "error_class")
    search_fields = ("=resource_id", "=case_id", "payload")
    date_hierarchy = "created_at"
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
