"""What distribution goes by, and the work records of what it did."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.admin import EmptyFieldListFilter
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orchestrator_site import recording, sentences
from orchestrator_site.admin import badge, moment
from orchestrator_site.admin.bases import sentence
from orchestrator_site.cells import NOTHING, brief
from queues.admin.lists import LongListAdmin, link
from queues.models import DistributionConfig, QueueEntry, RegistroWork


@admin.register(DistributionConfig)
class DistributionConfigAdmin(ModelAdmin):
    """One row, which the list opens."""

    readonly_fields = ("updated_at",)
    fieldsets = (
        (
            _("Batches and levels"),
            {
                "fields": (
                    ("batch_size", "batch_minutes"),
                    ("high_threshold", "low_threshold"),
                    "window_hours",
                )
            },
        ),
        (_("People"), {"fields": ("person_window_minutes", "result_minutes", "max_attempts")}),
        (
            _("Devices"),
            {
                "fields": (
                    ("stuck_minutes", "silence_minutes"),
                    ("quarantine_failures", "probe_minutes"),
                    "updated_at",
                )
            },
        ),
    )

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        row = DistributionConfig.current()
        return self.change_view(request, str(row.pk), extra_context=extra_context)

    def save_model(
        self, request: HttpRequest, obj: DistributionConfig, form: Any, change: bool
    ) -> None:
        before = recording.stored(obj)
        super().save_model(request, obj, form, change)
        recording.note(obj, before)


class ConditionFilter(admin.SimpleListFilter):
    """Of the conditions that there are: the rows are not asked."""

    title = _("condition")
    parameter_name = "condition"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(str(one.value), f"{one.value} {one.label}") for one in QueueEntry.Condition]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        value = self.value() or ""
        return queryset.filter(condition=value) if value.isdecimal() else queryset


@admin.register(RegistroWork)
class RegistroWorkAdmin(LongListAdmin):
    list_display = ("rw", "person", "state", "outcome", "told", "began", "ended")
    list_filter = (("f_date", EmptyFieldListFilter), ConditionFilter)
    list_select_related = ("nbc",)
    search_fields = ("rw_id__exact", "nbc__curp__startswith", "nbc__nbc_id__exact")
    search_help_text = _("An rw_id, an NBC id, a CURP or its beginning.")
    fields = ("rw_id", "nbc", "outcome", "message_told", "i_date", "f_date")
    readonly_fields = ("outcome", "message_told")
    message_told = sentence("message", _("message"))

    @display(description=_("work record"), ordering="id")
    def rw(self, row: RegistroWork) -> SafeString:
        return format_html('<span class="key">{}</span>', row.rw_id)

    @display(description=_("person"))
    def person(self, row: RegistroWork) -> SafeString:
        return link(row.nbc, row.nbc.curp)

    @display(description=_("status"), ordering="f_date")
    def state(self, row: RegistroWork) -> SafeString:
        name = QueueEntry.Status(row.status).label
        return badge(row.status, name, "off" if row.f_date else "busy")

    @display(description=_("condition"), ordering="condition")
    def outcome(self, row: RegistroWork) -> str | SafeString:
        return condition(row.condition)

    @display(description=_("message"))
    def told(self, row: RegistroWork) -> SafeString:
        return brief(sentences.told(row.message))

    @display(description=_("began"), ordering="i_date")
    def began(self, row: RegistroWork) -> SafeString:
        return moment(row.i_date)

    @display(description=_("ended"), ordering="f_date")
    def ended(self, row: RegistroWork) -> SafeString:
        return moment(row.f_date)


def condition(number: int | None) -> str | SafeString:
    """A condition in words; the number is what scrapers know it by."""
    if number is None:
        return NOTHING
    if number not in QueueEntry.Condition:
        return str(number)
    known = QueueEntry.Condition(number)
    tone = "ok" if known in QueueEntry.SUCCESSFUL else "warn"
    return badge(str(number), f"{number} {known.label}", tone)
