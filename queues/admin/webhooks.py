"""Webhooks in the admin: addresses, messages, and every call."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin, messages
from django.db.models import QuerySet, URLField
from django.http import HttpRequest, HttpResponse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from orchestrator_site import recording, sentences, tenancy
from orchestrator_site.addresses import AddressRefused
from orchestrator_site.admin import VerbAdmin, badge, moment
from orchestrator_site.admin.bases import sentence
from orchestrator_site.admin.lists import PeriodFilter, indexed_values
from orchestrator_site.cells import NOTHING, brief, pair, plain_table
from orchestrator_site.verbs import Verb
from queues import webhooks
from queues.admin.lists import LongListAdmin, link, thread
from queues.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint
from queues.webhook_verbs import DELIVERY_VERBS, ENDPOINT_VERBS

LATEST = 20


class EndpointForm(forms.ModelForm):
    events = forms.MultipleChoiceField(
        label=_("events"),
        help_text=_("None: all of them."),
        choices=WebhookEndpoint.Event.choices,
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = WebhookEndpoint
        fields = ("events",)  # the others as the admin makes them

    def clean_url(self) -> str:
        url: str = self.cleaned_data["url"]
        try:
            webhooks.resolve(url)
        except AddressRefused as error:
            raise forms.ValidationError(str(error)) from error
        return url


@admin.register(WebhookEndpoint)
class WebhookEndpointAdmin(VerbAdmin, ModelAdmin):
    form = EndpointForm
    verbs = ENDPOINT_VERBS
    list_display = ("address", "organisation", "state", "told_of", "failing", "created")
    list_filter = ("enabled", "organisation")
    list_select_related = ("organisation",)
    search_fields = ("url", "organisation__name")
    list_per_page = 50
    readonly_fields = ("state", "why_disabled", "failing", "old_secret_until", "created", "latest")
    why_disabled = sentence("disabled_because", _("disabled because"))

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, URLField):
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request).defer("secret", "old_secret")
        return tenancy.visible(rows, request.user)

    def get_fieldsets(self, request: HttpRequest, obj: Any = None) -> Any:
        asked = (None, {"fields": ("organisation", "url", "events")})
        if obj is None:
            return (asked,)
        stands = ("state", "why_disabled", "failing", "old_secret_until", "created")
        return (
            asked,
            (_("State"), {"fields": stands}),
            (_("Latest messages"), {"fields": ("latest",)}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """It stays whose it is."""
        return self.readonly_fields if obj is None else (*self.readonly_fields, "organisation")

    def save_model(
        self, request: HttpRequest, obj: WebhookEndpoint, form: Any, change: bool
    ) -> None:
        before = recording.stored(obj)
        if change:  # the sender writes into the same row
            obj.save(update_fields=form.changed_data)
        else:
            obj.secret = webhooks.new_secret()
            super().save_model(request, obj, form, change)
            _show(request, obj)
        recording.note(obj, before)

    def confirm(self, request: HttpRequest, verb: Verb, rows: QuerySet[Any]) -> HttpResponse | None:
        """A new secret is shown, once."""
        if verb.name != "rotate_secret":
            return super().confirm(request, verb, rows)
        whole = WebhookEndpoint.objects.filter(pk__in=list(rows.values_list("pk", flat=True)))
        before = {row.pk: row.secret for row in whole}
        answer = super().confirm(request, verb, rows)
        for row in whole.all():
            if row.secret != before[row.pk]:
                _show(request, row)
        return answer

    @display(description=_("address"), ordering="url")
    def address(self, row: WebhookEndpoint) -> SafeString:
        return brief(row.url)

    @display(description=_("state"), ordering="enabled")
    def state(self, row: WebhookEndpoint) -> SafeString:
        why = sentences.told(row.disabled_because)
        if not row.enabled:
            return badge(why, _("Disabled"), "bad" if row.failing_since else "off")
        if row.failing_since:
            return badge("failing", _("Failing"), "warn")
        return badge("enabled", _("Enabled"), "ok")

    @display(description=_("events"))
    def told_of(self, row: WebhookEndpoint) -> str:
        return ", ".join(row.events) or str(_("all"))

    @display(description=_("failing since"), ordering="failing_since")
    def failing(self, row: WebhookEndpoint) -> SafeString:
        return moment(row.failing_since)

    @display(description=_("created"), ordering="created_at")
    def created(self, row: WebhookEndpoint) -> SafeString:
        return moment(row.created_at)

    @display(description=_("messages"))
    def latest(self, row: WebhookEndpoint) -> SafeString:
        lines = (
            (moment(one.created_at), link(one, one.event), _state(one), one.attempts, _said(one))
            for one in row.deliveries.order_by("-id")[:LATEST]
        )
        heads = (_("created"), _("event"), _("status"), _("attempts"), _("message"))
        return plain_table(heads, lines)


class EventFilter(admin.SimpleListFilter):
    """Of the events that there are: the rows are not asked."""

    title = _("event")
    parameter_name = "event"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [(value, value) for value in WebhookEndpoint.Event.values]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        return queryset.filter(event=self.value()) if self.value() else queryset


@admin.register(WebhookDelivery)
class WebhookDeliveryAdmin(VerbAdmin, LongListAdmin):
    verbs = DELIVERY_VERBS
    list_display = ("told", "where", "state", "attempts", "said", "next", "created")
    list_filter = ("status", EventFilter, "organisation", ("created_at", PeriodFilter))
    list_filter_submit = True
    list_select_related = ("organisation", "endpoint")
    search_fields = ("message_id__exact",)
    search_help_text = _("A message's id, a job's id.")
    ordering = ("-id",)
    fieldsets = (
        (None, {"fields": ("message_id", "event", "endpoint", "organisation", "payload")}),
        (_("State"), {"fields": ("state", "message", "next", "created", "processed_at")}),
        (_("Calls"), {"fields": ("calls",)}),
        (_("What happened"), {"fields": ("events",)}),
    )
    readonly_fields = ("state", "message", "next", "created", "calls", "events")
    message = sentence("error_log", _("message"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        return tenancy.visible(rows, request.user).defer("endpoint__secret", "endpoint__old_secret")

    @display(description=_("message"), ordering="id")
    def told(self, row: WebhookDelivery) -> SafeString:
        return pair(row.event, str(row.message_id)[-12:])

    @display(description=_("webhook"))
    def where(self, row: WebhookDelivery) -> SafeString:
        return pair(brief(row.endpoint.url), row.organisation.name)

    @display(description=_("status"), ordering="status")
    def state(self, row: WebhookDelivery) -> SafeString:
        return _state(row)

    @display(description=_("message"))
    def said(self, row: WebhookDelivery) -> SafeString:
        return _said(row)

    @display(description=_("next attempt"), ordering="available_at")
    def next(self, row: WebhookDelivery) -> SafeString:
        is_waiting = row.status == WebhookDelivery.Status.PENDING
        return moment(row.available_at) if is_waiting else NOTHING

    @display(description=_("created"), ordering="created_at")
    def created(self, row: WebhookDelivery) -> SafeString:
        return moment(row.created_at)

    @display(description=_("calls"))
    def calls(self, row: WebhookDelivery) -> SafeString:
        lines = (
            (one.number, moment(one.at), f"{one.seconds:.2f} s", _answered(one), brief(one.body))
            for one in row.calls.all()
        )
        return plain_table((_("attempt"), _("at"), _("duration"), _("status"), _("answer")), lines)

    @display(description=_("events"))
    def events(self, row: WebhookDelivery) -> SafeString:
        return thread(row.case_id)


@admin.register(WebhookAttempt)
class WebhookAttemptAdmin(LongListAdmin):
    list_display = ("call", "where", "when", "took", "state", "answer")
    list_filter = (indexed_values("status_code", _("status")), ("at", PeriodFilter))
    list_filter_submit = True
    list_select_related = ("delivery__endpoint__organisation",)
    search_fields = ("delivery__message_id__exact", "delivery__case_id__exact")
    search_help_text = _("A message's id, a job's id.")
    fields = ("delivery", "number", "at", "seconds", "status_code", "body", "error_told")
    readonly_fields = ("error_told",)
    error_told = sentence("error", _("error"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        rows = super().get_queryset(request)
        secrets = ("delivery__endpoint__secret", "delivery__endpoint__old_secret")
        return tenancy.visible(rows, request.user, "delivery__organisation").defer(*secrets)

    @display(description=_("message"), ordering="id")
    def call(self, row: WebhookAttempt) -> str:
        return f"{row.delivery.event} #{row.number}"

    @display(description=_("webhook"))
    def where(self, row: WebhookAttempt) -> SafeString:
        endpoint = row.delivery.endpoint
        return pair(brief(endpoint.url), endpoint.organisation.name)

    @display(description=_("at"), ordering="at")
    def when(self, row: WebhookAttempt) -> SafeString:
        return moment(row.at)

    @display(description=_("duration"), ordering="seconds")
    def took(self, row: WebhookAttempt) -> str:
        return f"{row.seconds:.2f} s"

    @display(description=_("status"), ordering="status_code")
    def state(self, row: WebhookAttempt) -> SafeString:
        return _answered(row)

    @display(description=_("answer"))
    def answer(self, row: WebhookAttempt) -> SafeString:
        return brief(row.body)


def _state(row: WebhookDelivery) -> SafeString:
    return badge(
        row.status, row.get_status_display(), row.TONES[WebhookDelivery.Status(row.status)]
    )


def _said(row: WebhookDelivery) -> SafeString:
    return brief(sentences.told(row.error_log))


def _answered(row: WebhookAttempt) -> SafeString:
    if row.status_code is None:
        return brief(sentences.told(row.error))
    return badge(row.error, row.status_code, "ok" if 200 <= row.status_code < 300 else "bad")


def _show(request: HttpRequest, row: WebhookEndpoint) -> None:
    text = _("The secret of %(url)s, shown this once: %(secret)s")
    messages.warning(request, format_html("{}", text % {"url": row.url, "secret": row.secret}))
