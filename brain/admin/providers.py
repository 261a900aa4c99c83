"""Providers, and the sessions at them: whose, until when, never what they are made of."""

from __future__ import annotations

from typing import Any

from django import forms
from django.contrib import admin
from django.db.models import Count, Q, QuerySet, URLField
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from brain.admin.fields import HostsField
from brain.models import ConnectedProvider, Provider
from brain.verbs import CONNECTION_VERBS
from orchestrator_site import recording, sentences, tenancy
from orchestrator_site.admin import ReadOnlyAdmin, VerbAdmin, badge, moment
from orchestrator_site.admin.bases import sentence
from orchestrator_site.cells import NOTHING, brief, key, pair
from queues.admin.lists import happened

Status = ConnectedProvider.Status


class ProviderForm(forms.ModelForm):
    hosts = HostsField(
        help_text=_(
            "Where its flows may go besides the host of its address, one a line: *.example.com too."
        )
    )

    class Meta:
        model = Provider
        fields = ("hosts",)  # the others as the admin makes them


@admin.register(Provider)
class ProviderAdmin(ModelAdmin):
    form = ProviderForm
    list_display = ("provider", "state", "where", "session", "probed", "living")
    list_filter = ("active", "needs_session")
    search_fields = ("name", "title", "url")
    fieldsets = (
        (None, {"fields": ("name", "title", "url", "hosts", "active")}),
        (_("Sessions"), {"fields": ("needs_session", "probe_url", "probe_text")}),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        alive = Q(connections__status=Status.ACTIVE, connections__expires_at__gt=timezone.now())
        return super().get_queryset(request).annotate(alive=Count("connections", filter=alive))

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Sessions and jobs know it by its name."""
        return () if obj is None else ("name",)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if isinstance(db_field, URLField):
            kwargs["assume_scheme"] = "https"
        return super().formfield_for_dbfield(db_field, request, **kwargs)

    def save_model(self, request: HttpRequest, obj: Provider, form: Any, change: bool) -> None:
        before = recording.stored(obj)
        super().save_model(request, obj, form, change)
        recording.note(obj, before)

    @display(description=_("provider"), ordering="name")
    def provider(self, row: Provider) -> SafeString:
        return pair(key(row.title), key(row.name))

    @display(description=_("state"), ordering="active")
    def state(self, row: Provider) -> SafeString:
        if row.active:
            return badge("active", _("Active"), "ok")
        return badge("inactive", _("Inactive"), "off")

    @display(description=_("address"), ordering="url")
    def where(self, row: Provider) -> SafeString:
        return pair(brief(row.url), brief(", ".join(row.hosts)) if row.hosts else "")

    @display(description=_("session"), ordering="needs_session")
    def session(self, row: Provider) -> Any:
        return _("Needed") if row.needs_session else NOTHING

    @display(description=_("probe"), ordering="probe_url")
    def probed(self, row: Provider) -> SafeString:
        return brief(row.probe_url)

    @display(description=_("living sessions"), ordering="alive")
    def living(self, row: Any) -> int | SafeString:
        return row.alive or NOTHING


@admin.register(ConnectedProvider)
class ConnectedProviderAdmin(VerbAdmin, ReadOnlyAdmin):
    verbs = CONNECTION_VERBS
    made_by = _("Sessions are lent by their users: POST /api/v1/providers/NAME/connect.")
    list_display = ("whose", "where", "state", "connected", "ends", "probed", "trouble")
    list_filter = ("status", "provider", "organisation")
    list_select_related = ("organisation", "user", "provider")
    search_fields = ("user__username", "user__email", "organisation__name", "=case_id")
    readonly_fields = ("state", "probe_told", "events")
    fieldsets = (
        (None, {"fields": ("state", "organisation", "user", "provider")}),
        (_("Life"), {"fields": ("connected_at", "expires_at", "probed_at", "probe_told")}),
        (_("What happened"), {"fields": ("events",)}),
    )
    probe_told = sentence("probe_error", _("probe's error"))

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        """Without the cookies."""
        return tenancy.visible(super().get_queryset(request).defer("session"), request.user)

    @display(description=_("user"), ordering="user__username")
    def whose(self, row: ConnectedProvider) -> SafeString:
        return pair(key(row.user.get_username()), key(row.organisation.name))

    @display(description=_("provider"), ordering="provider__name")
    def where(self, row: ConnectedProvider) -> SafeString:
        return key(row.provider)

    @display(description=_("status"), ordering="status")
    def state(self, row: ConnectedProvider) -> SafeString:
        """One whose time is over is told as such, though nobody has written it down yet."""
        is_over = row.status == Status.ACTIVE and not row.is_alive(timezone.now())
        status = Status.EXPIRED if is_over else Status(row.status)
        return badge(status, status.label, row.TONES[status])

    @display(description=_("connected"), ordering="connected_at")
    def connected(self, row: ConnectedProvider) -> SafeString:
        return moment(row.connected_at)

    @display(description=_("expires"), ordering="expires_at")
    def ends(self, row: ConnectedProvider) -> SafeString:
        return NOTHING if row.status == Status.DISCONNECTED else moment(row.expires_at)

    @display(description=_("probed"), ordering="probed_at")
    def probed(self, row: ConnectedProvider) -> SafeString:
        return moment(row.probed_at)

    @display(description=_("probe's error"))
    def trouble(self, row: ConnectedProvider) -> SafeString:
        return brief(sentences.told(row.probe_error))

    @display(description=_("events"))
    def events(self, row: ConnectedProvider) -> SafeString:
        return happened(row)
