"""People to look up and their tasks. Here, because their pages show the brain's decisions."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from brain.models import Decision
from devices.models import Device
from orchestrator_site import sentences
from orchestrator_site.admin import VerbAdmin, badge, moment
from orchestrator_site.admin.bases import sentence
from orchestrator_site.admin.lists import PeriodFilter
from orchestrator_site.cells import NOTHING, brief, pair, plain_table
from queues import blockers
from queues.admin.distribution import condition
from queues.admin.lists import LongListAdmin, link, thread
from queues.models import NbcRecord, QueueEntry
from queues.verbs import ENTRY_VERBS, PERSON_VERBS

TASKS = 50  # of one person on one page
FOUND = 1000  # people whose tasks a search looks for


@admin.register(NbcRecord)
class NbcRecordAdmin(VerbAdmin, LongListAdmin):
    verbs = PERSON_VERBS
    made_by = _(
        "People come in by import (manage.py importnbc FILE) or over the API (POST /api/v1/nbc/)."
    )
    list_display = (
        "who",
        "state",
        "why",
        "attempts",
        "entered",
    )
    list_filter = ("status",)
    search_fields = ("curp", "nbc_id")
    search_help_text = _("A CURP or its beginning, an NBC id, an rw_id, a case.")
    fieldsets = (
        (None, {"fields": ("state", "waits_for", "curp", "nbc_id", "case_id")}),
        (_("Result"), {"fields": ("message_told", "result")}),
        (_("Tasks"), {"fields": ("tasks",)}),
        (_("What happened"), {"fields": ("events",)}),
        (_("Record"), {"fields": ("data",)}),
        (
            _("In the queue"),
            {
                "fields": (
                    "priority",
                    "available_at",
                    "attempts",
                    "bad_requests",
                    "rw_id",
                    "created_at",
                    "updated_at",
                )
            },
        ),
    )
    readonly_fields = ("state", "waits_for", "message_told", "tasks", "events")
    message_told = sentence("message", _("message"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.strip()
        return (queryset.called(text) if text else queryset), False  # type: ignore[attr-defined]

    @display(description="CURP", ordering="curp")
    def who(self, row: NbcRecord) -> SafeString:
        return pair(row.curp, row.nbc_id)

    @display(description=_("status"), ordering="status")
    def state(self, row: NbcRecord) -> SafeString:
        return badge(row.status, row.get_status_display(), row.tone)

    @display(description=_("waits for"))
    def waits_for(self, row: NbcRecord) -> str:
        return blockers.of(row, timezone.now()) or "-"

    @display(description=_("why"))
    def why(self, row: NbcRecord) -> SafeString:
        """What the person waits for, which may be a sentence for each generator; and what was said
        last."""
        texts = (blockers.of(row, timezone.now()), sentences.told(row.message))
        return format_html_join("", "{}", ((brief(text),) for text in texts if text)) or NOTHING

    @display(description=_("created"), ordering="id")
    def entered(self, row: NbcRecord) -> SafeString:
        return moment(row.created_at)

    @display(description=_("tasks"))
    def tasks(self, row: NbcRecord) -> SafeString:
        heads = (_("task"), _("status"), _("generator"), _("device"), _("created"), _("ended"))
        more = (_("message"), _("decision"))
        found = row.entries.select_related("decision").order_by("-id")[:TASKS]
        return plain_table((*heads, *more), (_line(entry) for entry in found))

    @display(description=_("thread"))
    def events(self, row: NbcRecord) -> SafeString:
        return thread(row.case_id)


def _line(entry: QueueEntry) -> tuple[Any, ...]:
    return (
        link(entry, entry.pk),
        _state(entry),
        entry.generator_id,
        entry.device,
        moment(entry.created_at),
        moment(entry.processed_at),
        sentences.told(entry.message),
        _decision(entry),
    )


def _state(entry: QueueEntry) -> SafeString:
    return badge(entry.status, entry.get_status_display(), entry.tone)


def _decision(entry: QueueEntry) -> str | SafeString:
    """A task that no distributor made has none."""
    try:
        return link(entry.decision, _("Why here"))
    except Decision.DoesNotExist:
        return "-"


@admin.register(QueueEntry)
class QueueEntryAdmin(VerbAdmin, LongListAdmin):
    verbs = ENTRY_VERBS
    list_display = (
        "taskid",
        "curp",
        "where",
        "came_to",
        "told",
        "entered",
        "called",
        "ended",
    )
    list_filter = (
        "status",
        "success",
        "condition",
        ("processed_at", PeriodFilter),
        "generator",
        "error_class",
    )
    list_filter_submit = True
    search_fields = ("curp", "document_id")
    search_help_text = _("A taskid, a document's id, an rw_id, or what a person is known by.")
    fieldsets = (
        (None, {"fields": ("state", "waits_for", "outcome", "message_told", "case_id")}),
        (_("Document"), {"fields": ("person", "device_held", "document", "task_data", "result")}),
        (_("What happened"), {"fields": ("decision_made", "events")}),
        (
            _("The call"),
            {"fields": ("generator", "device_instance", "endpoint", "error_class")},
        ),
        (
            _("Times"),
            {
                "fields": (
                    "created_at",
                    "started_at",
                    "called_at",
                    "answered_at",
                    "result_due_at",
                    "processed_at",
                )
            },
        ),
        (
            _("In the queue"),
            {"fields": ("priority", "available_at", "attempts", "max_attempts", "worker")},
        ),
    )
    readonly_fields = (
        "state",
        "waits_for",
        "outcome",
        "message_told",
        "person",
        "device_held",
        "document",
        "decision_made",
        "events",
    )
    message_told = sentence("message", _("message"))

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        text = search_term.strip()
        return (queryset.filter(_meant(text)) if text else queryset), False

    @display(description=_("task"), ordering="id")
    def taskid(self, row: QueueEntry) -> int:
        return row.taskid

    @display(description=_("generator"), ordering="generator")
    def where(self, row: QueueEntry) -> SafeString:
        return pair(row.generator_id, row.device)

    @display(description=_("status"), ordering="status")
    def state(self, row: QueueEntry) -> SafeString:
        return _state(row)

    @display(description=_("status"), ordering="status")
    def came_to(self, row: QueueEntry) -> SafeString:
        """Its status, and its condition once there is one."""
        ended = "" if row.condition is None else condition(row.condition)
        return format_html("<div>{} {}</div>", _state(row), ended)

    @display(description=_("waits for"))
    def waits_for(self, row: QueueEntry) -> str:
        return blockers.of_task(row, timezone.now()) or "-"

    @display(description=_("condition"), ordering="condition")
    def outcome(self, row: QueueEntry) -> str | SafeString:
        return condition(row.condition)

    @display(description=_("message"))
    def told(self, row: QueueEntry) -> SafeString:
        return brief(sentences.told(row.message))

    @display(description=_("created"), ordering="created_at")
    def entered(self, row: QueueEntry) -> SafeString:
        return moment(row.created_at)

    @display(description=_("called"), ordering="called_at")
    def called(self, row: QueueEntry) -> SafeString:
        return moment(row.called_at)

    @display(description=_("ended"), ordering="processed_at")
    def ended(self, row: QueueEntry) -> SafeString:
        return moment(row.processed_at)

    @display(description=_("person"))
    def person(self, row: QueueEntry) -> SafeString:
        return link(row.nbc, row.nbc.nbc_id)

    @display(description=_("device"))
    def device_held(self, row: QueueEntry) -> str | SafeString:
        """With a way to it while it is the task's."""
        held = Device.objects.filter(task_id=row.pk).first()
        return link(held) if held else row.device

    @display(description=_("as its document"))
    def document(self, row: QueueEntry) -> SafeString:
        """Under the names that scripts and scrapers know."""
        values = {
            "_id": row.document_id,
            "taskid": row.taskid,
            "nbc_id": row.nbc.nbc_id,
            "curp": row.curp,
            "rw_id": row.rw_id,
            "device": row.device,
            "device_name": row.device_name,
            "created_at": moment(row.created_at),
            "Status": row.status,
            "success": "null" if row.success is None else str(row.success).lower(),
            "Message": row.message,
        }
        return plain_table((_("field"), _("value")), values.items())

    @display(description=_("decision"))
    def decision_made(self, row: QueueEntry) -> str | SafeString:
        return _decision(row)

    @display(description=_("thread"))
    def events(self, row: QueueEntry) -> SafeString:
        return thread(row.case_id)


def _meant(text: str) -> Q:
    """By keys alone: each of them has an index, a join inside of an OR would not use it."""
    people = NbcRecord.objects.called(text).order_by().values_list("pk", flat=True)
    meant = Q(nbc__in=list(people[:FOUND])) | Q(document_id=text.lower()) | Q(rw_id=text)
    return meant | Q(pk=text) if text.isdecimal() else meant
