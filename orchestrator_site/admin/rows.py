"""What the ground writes down: events, leases, pauses, alerts."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orchestrator_site import sentences, telling
from orchestrator_site.admin.bases import ReadOnlyAdmin, VerbAdmin, sentence
from orchestrator_site.alerting import ALERT_VERBS
from orchestrator_site.cells import NOTHING, badge, brief, moment, pair
from orchestrator_site.models import Alert, AlertRule, Event, Lease, Pause


class KindFilter(admin.SimpleListFilter):
    title = _("object type")
    parameter_name = "object_type"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        types = Event.objects.order_by("object_type").values_list("object_type", flat=True)
        return [(one, telling.kind(one)) for one in types.distinct()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(object_type=self.value()) if self.value() else queryset


@admin.register(Event)
class EventAdmin(ReadOnlyAdmin):
    list_display = ("when", "row", "change", "why", "actor", "case")
    list_filter = (KindFilter, "new", "actor_kind")
    readonly_fields = ("kind", "change", "reason_told")
    fields = (
        "at",
        "kind",
        "object_id",
        "change",
        "reason_told",
        "actor_kind",
        "actor",
        "case_id",
        "data",
    )
    search_fields = ("=case_id", "=object_id", "reason", "actor")
    date_hierarchy = "at"
    reason_told = sentence("reason", _("reason"))

    @display(description=_("at"), ordering="at")
    def when(self, row: Event) -> SafeString:
        return moment(row.at)

    @display(description=_("object type"), ordering="object_type")
    def kind(self, row: Event) -> str:
        return telling.kind(row.object_type)

    @display(description=_("object type"), ordering="object_type")
    def row(self, row: Event) -> SafeString:
        return pair(self.kind(row), row.object_id)

    @display(description=_("reason"))
    def why(self, row: Event) -> SafeString:
        return brief(sentences.told(row.reason))

    @display(description=_("case"))
    def case(self, row: Event) -> SafeString:
        """Its beginning, which leads to all its events."""
        if row.case_id is None:
            return NOTHING
        shown = '<a class="nowrap" href="?q={0}" title="{0}">{1}…</a>'
        return format_html(shown, row.case_id, str(row.case_id)[:8])

    @display(description=_("change"), ordering="new")
    def change(self, row: Event) -> str:
        return telling.change(row)


@admin.register(Lease)
class LeaseAdmin(ReadOnlyAdmin):
    list_display = ("name", "holder", "epoch", "expires")

    @display(description=_("expires at"), ordering="expires_at")
    def expires(self, row: Lease) -> SafeString:
        return moment(row.expires_at)


@admin.register(Pause)
class PauseAdmin(ReadOnlyAdmin):
    list_display = ("name", "begun", "by", "reason_told")
    readonly_fields = ("reason_told",)
    fields = ("name", "since", "by", "reason_told")
    reason_told = sentence("reason", _("reason"))

    @display(description=_("since"), ordering="since")
    def begun(self, row: Pause) -> SafeString:
        return moment(row.since)


@admin.register(AlertRule)
class AlertRuleAdmin(SimpleHistoryAdmin, ModelAdmin):
    list_display = ("name", "measured", "beyond", "for_seconds", "state", "enabled")
    list_filter = ("severity", "enabled")
    search_fields = ("name", "measure")
    readonly_fields = ("meaning",)
    fields = (
        "name",
        "measure",
        "meaning",
        "threshold",
        "for_seconds",
        "severity",
        "enabled",
        "cooldown_minutes",
        "emails",
    )

    @display(description=_("measure"), ordering="measure")
    def measured(self, row: AlertRule) -> str:
        return row.title

    @display(description=_("threshold"), ordering="threshold")
    def beyond(self, row: AlertRule) -> str:
        return row.limit

    @display(description=_("severity"), ordering="severity")
    def state(self, row: AlertRule) -> SafeString:
        return badge(row.severity, row.get_severity_display(), row.tone)

    @display(description=_("what is measured"))
    def meaning(self, row: AlertRule) -> str:
        return f"{row.definition.help} ({row.limit})" if row.definition else "-"


@admin.register(Alert)
class AlertAdmin(VerbAdmin, ReadOnlyAdmin):
    verbs = ALERT_VERBS
    list_display = ("about", "severity", "state", "told", "since", "seen")
    list_filter = ("status", "rule__severity", "rule")
    list_select_related = ("rule",)
    search_fields = ("subject", "message", "rule__name", "=case_id")
    date_hierarchy = "first_seen_at"
    message_told = sentence("message", _("message"))
    readonly_fields = ("state", "severity", "message_told", "acknowledged", "thread")
    fields = (
        "rule",
        "severity",
        "subject",
        "state",
        "message_told",
        "value",
        "first_seen_at",
        "last_seen_at",
        "raised_at",
        "acknowledged",
        "resolved_at",
        "notified_at",
        "notify_error",
        "thread",
    )

    @display(description=_("alert"), ordering="subject")
    def about(self, row: Alert) -> str:
        return row.heading

    @display(description=_("severity"), ordering="rule__severity")
    def severity(self, row: Alert) -> SafeString:
        return badge(row.rule.severity, row.rule.get_severity_display(), row.rule.tone)

    @display(description=_("status"), ordering="status")
    def state(self, row: Alert) -> SafeString:
        return badge(row.status, row.get_status_display(), row.tone)

    @display(description=_("message"))
    def told(self, row: Alert) -> SafeString:
        return brief(row.told)

    @display(description=_("since"), ordering="first_seen_at")
    def since(self, row: Alert) -> SafeString:
        return moment(row.first_seen_at)

    @display(description=_("last seen"), ordering="last_seen_at")
    def seen(self, row: Alert) -> SafeString:
        return moment(row.last_seen_at)

    @display(description=_("acknowledged by"))
    def acknowledged(self, row: Alert) -> str | SafeString:
        event = row.acknowledgement
        if event is None:
            return "-"
        return format_html("{} {}: {}", event.actor, moment(event.at), event.reason)

    @display(description=_("thread"))
    def thread(self, row: Alert) -> SafeString:
        url = reverse("admin:orchestrator_site_event_changelist")
        return format_html('<a href="{}?q={}">{}</a>', url, row.case_id, _("All its events"))
