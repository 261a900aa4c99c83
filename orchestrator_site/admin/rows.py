"""What the ground writes down: events, leases, pauses, alerts."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orchestrator_site import sentences, telling
from orchestrator_site.admin.bases import ReadOnlyAdmin, VerbAdmin, sentence
from orchestrator_site.admin.lists import (
    LongListAdmin,
    PeriodFilter,
    distinct_values,
    indexed_values,
)
from orchestrator_site.alerting import ALERT_VERBS
from orchestrator_site.cells import NOTHING, badge, brief, moment, pair
from orchestrator_site.models import Alert, AlertRule, Event, Lease, Pause
from orchestrator_site.models.event import PERSONS


@admin.register(Event)
class EventAdmin(LongListAdmin):
    list_display = ("when", "row", "change", "why", "actor", "case")
    list_filter = (
        indexed_values("object_type", _("object type"), telling.kind),
        indexed_values("new", _("after")),
        "actor_kind",
        ("at", PeriodFilter),
    )
    list_filter_submit = True
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
    search_fields = ("case_id__exact",)
    search_help_text = _("A case, an object's id, a person.")
    reason_told = sentence("reason", _("reason"))

    def meant_by(self, term: str) -> Q:
        """Its index begins with the kind of object, so that each is named. Of the actors only the
        people are looked through: machines write nearly all of the rows."""
        of_object = Q(object_type__in=distinct_values(Event, "object_type"), object_id=term)
        of_person = Q(actor_kind__in=PERSONS, actor__istartswith=term)
        return of_object | of_person | super().meant_by(term)

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
        """Its beginning, which leads to all that is known of it."""
        if row.case_id is None:
            return NOTHING
        shown = '<a class="nowrap" href="{0}" title="{1}">{2}…</a>'
        url = reverse("case", args=[row.case_id])
        return format_html(shown, url, row.case_id, str(row.case_id)[:8])

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
    hook_error_told = sentence("hook_error", _("webhook that failed"))
    readonly_fields = (
        *("state", "severity", "message_told", "acknowledged", "hook_error_told", "thread"),
    )
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
        "hooked_at",
        "hook_error_told",
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
        url = reverse("case", args=[row.case_id])
        return format_html('<a href="{}">{}</a>', url, _("All its events"))
