"""Devices. Here, because releasing one ends the task that holds it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Exists, OuterRef, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from unfold.decorators import display

from devices.models import DevDevice, Device
from orchestrator_site import recording, sentences
from orchestrator_site.admin import VerbAdmin, badge, moment
from orchestrator_site.admin.bases import sentence
from orchestrator_site.cells import NOTHING, pair
from orchestrator_site.clock import db_now
from queues.admin.lists import happened
from queues.models import DistributionConfig
from queues.verbs import DEVICE_VERBS


class HeldFilter(admin.SimpleListFilter):
    title = pgettext_lazy("device", "held")
    parameter_name = "held"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [
            ("free", _("Free")),
            ("held", pgettext_lazy("device", "Held")),
            ("stuck", _("Stuck")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "stuck":
            return queryset.filter(is_stuck=True)
        if self.value() in ("free", "held"):
            return queryset.filter(available=self.value() == "free")
        return queryset


def _stuck_before(request: Any) -> datetime:
    """Asked once: a list makes its rows' query several times."""
    if not hasattr(request, "stuck_before"):
        request.stuck_before = db_now() - DistributionConfig.current().minutes("stuck")
    return request.stuck_before


@admin.register(Device)
class DeviceAdmin(VerbAdmin):
    """Held ones first, the longest held at the top."""

    verbs = DEVICE_VERBS
    list_display = (
        "device",
        "pool",
        "on",
        "service",
        "is_online",
        "held_by",
        "since",
        "failed",
        "seen",
    )
    list_filter: tuple[Any, ...] = (
        HeldFilter,
        "fleet",
        "process",
        "status",
        "online",
        "instance",
    )
    search_fields = ("device", "device_name", "=current_task", "=task_id")
    ordering = ("available", "task_start_time", "device")
    list_per_page = 50
    show_full_result_count = False
    fieldsets = (
        (None, {"fields": ("fleet", "device", "device_name", "process", "instance", "online")}),
        (_("Service"), {"fields": ("service", "reason_told", "failures", "probe_at")}),
        (_("Task"), {"fields": ("held_by", "current_task", "since", "updated_at", "seen")}),
        (_("What happened"), {"fields": ("events",)}),
    )
    readonly_fields = (
        "service",
        "reason_told",
        "failures",
        "probe_at",
        "held_by",
        "current_task",
        "since",
        "updated_at",
        "seen",
        "events",
    )

    reason_told = sentence("status_reason", _("reason"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        stuck = Device.objects.stuck(_stuck_before(request)).filter(pk=OuterRef("pk"))
        return super().get_queryset(request).annotate(is_stuck=Exists(stuck))

    def has_delete_permission(self, request: HttpRequest, obj: Device | None = None) -> bool:
        """Not under a task that goes on."""
        return super().has_delete_permission(request, obj) and (obj is None or obj.available)

    def get_actions(self, request: HttpRequest) -> dict[str, Any]:
        """Deleting is for single rows: the list would not ask whether each is free."""
        actions = super().get_actions(request)
        actions.pop("delete_selected", None)
        return actions

    def save_model(self, request: HttpRequest, obj: Device, form: Any, change: bool) -> None:
        before = recording.stored(obj)
        if change:  # the machine's own fields may have changed since the form was opened
            obj.save(update_fields=form.changed_data)
        else:
            super().save_model(request, obj, form, change)
        recording.note(obj, before)

    @display(description=_("pool"), ordering="process")
    def pool(self, row: Device) -> SafeString:
        return pair(row.process, row.fleet)

    @display(description=_("instance"), ordering="instance")
    def on(self, row: Device) -> str | SafeString:
        return row.instance or NOTHING

    @display(description=_("failures in a row"), ordering="failures")
    def failed(self, row: Device) -> int | SafeString:
        return row.failures or NOTHING

    @display(description=_("service"), ordering="status")
    def service(self, row: Device) -> SafeString:
        why = sentences.told(row.status_reason)
        return badge(why or row.status, row.get_status_display(), row.tone)

    @display(description=_("online"), ordering="online")
    def is_online(self, row: Device) -> SafeString:
        if row.online:
            return badge("online", _("Online"), "ok")
        return badge("offline", _("Offline"), "off")

    @display(description=_("held by"), ordering="task_id")
    def held_by(self, row: Any) -> str | SafeString:
        if row.available is not False:
            return NOTHING
        words, tone = (
            (_("stuck"), "bad")
            if getattr(row, "is_stuck", False)
            else (pgettext_lazy("device", "held"), "busy")
        )
        state = badge(row.current_task, words, tone)
        if row.task_id is None:
            return state
        url = reverse("admin:queues_queueentry_change", args=[row.task_id])
        shown = '<span class="nowrap">{} <a href="{}">{}</a></span>'
        return format_html(shown, state, url, row.task_id)

    @display(description=_("since"), ordering="task_start_time")
    def since(self, row: Device) -> SafeString:
        return moment(row.task_start_time)

    @display(description=_("last heartbeat"), ordering="heartbeat_at")
    def seen(self, row: Device) -> SafeString:
        return moment(row.heartbeat_at)

    @display(description=_("events"))
    def events(self, row: Device) -> SafeString:
        return happened(row)


@admin.register(DevDevice)
class DevDeviceAdmin(DeviceAdmin):
    """The other fleet, by the same code."""

    list_filter = (HeldFilter, "process", "status", "online", "instance")

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        (title, first), *others = super().get_fieldsets(request, obj)
        fields = tuple(name for name in first["fields"] if name != "fleet")
        return ((title, {**first, "fields": fields}), *others)
