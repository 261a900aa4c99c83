"""Organisations and their members."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.db.models import Count, ForeignKey, Q, QuerySet
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orchestrator_site import membership, recording, roles, tenancy
from orchestrator_site.admin.bases import VerbAdmin
from orchestrator_site.cells import NOTHING, badge, key, moment, pair, plain_table
from orchestrator_site.models import Event, Member, Organisation

SHOWN = 200  # members on an organisation's page


@admin.register(Organisation)
class OrganisationAdmin(ModelAdmin):
    """One is switched off, not deleted: what it did is to be found later."""

    list_display = ("organisation", "state", "people", "approval", "since")
    list_filter = ("active", "needs_approval")
    search_fields = ("name", "=id")
    readonly_fields = ("id", "created_at", "members")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        there = Count("members", filter=Q(members__user__is_active=True))
        rows = super().get_queryset(request).annotate(there=there)
        return tenancy.visible(rows, request.user, "pk")

    def get_fieldsets(self, request: HttpRequest, obj: Organisation | None = None) -> Any:
        asked = (None, {"fields": ("name", "active", "needs_approval")})
        if obj is None:
            return (asked,)
        return (
            asked,
            (_("Members"), {"fields": ("members",)}),
            (_("Known as"), {"fields": ("id", "created_at")}),
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Organisation, form: Any, change: bool) -> None:
        super().save_model(request, obj, form, change)
        new = {name: form.cleaned_data[name] for name in form.changed_data}
        if new:
            Event.record([obj], "", "changed" if change else "made", data=new)

    @display(description=_("organisation"), ordering="name")
    def organisation(self, row: Organisation) -> SafeString:
        return key(row.name)

    @display(description=_("state"), ordering="active")
    def state(self, row: Organisation) -> SafeString:
        if row.active:
            return badge("active", _("Active"), "ok")
        return badge("inactive", _("Inactive"), "off")

    @display(description=_("members"), ordering="there")
    def people(self, row: Any) -> int | SafeString:
        return row.there or NOTHING

    @display(description=_("approval"), ordering="needs_approval")
    def approval(self, row: Organisation) -> Any:
        return _("By a second person") if row.needs_approval else NOTHING

    @display(description=_("created"), ordering="created_at")
    def since(self, row: Organisation) -> SafeString:
        return moment(row.created_at)

    @display(description=_("members"))
    def members(self, row: Organisation) -> SafeString:
        found = row.members.select_related("user").order_by("created_at")[:SHOWN]
        lines = (
            (_link(one), one.get_role_display(), _state(one), moment(one.created_at))
            for one in found
        )
        return plain_table((_("user"), _("role"), _("state"), _("created")), lines)


@admin.register(Member)
class MemberAdmin(VerbAdmin, ModelAdmin):
    """A row stays for good: a user without one would count as nobody's."""

    verbs = membership.MEMBER_VERBS
    list_display = ("person", "place", "role", "state", "since")
    list_filter = ("role", "user__is_active", "organisation")
    list_select_related = ("user", "organisation")
    search_fields = ("user__username", "user__email", "organisation__name")
    autocomplete_fields = ("organisation",)
    raw_id_fields = ("user",)
    readonly_fields = ("created_at",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return tenancy.visible(super().get_queryset(request), request.user)

    def get_readonly_fields(self, request: HttpRequest, obj: Member | None = None) -> Any:
        """A member stays where it is: its jobs and sessions are its organisation's."""
        return ("created_at",) if obj is None else ("organisation", "user", "created_at")

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> Any:
        """Not our own staff: it would see that organisation alone from then on."""
        if db_field.name == "user":
            kwargs["queryset"] = User.objects.filter(is_staff=False, membership=None)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def has_operate_permission(self, request: HttpRequest) -> bool:
        return self.has_change_permission(request)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def save_model(self, request: HttpRequest, obj: Member, form: Any, change: bool) -> None:
        before = recording.stored(obj, "role") if change else {}
        super().save_model(request, obj, form, change)
        if change:
            recording.note(obj, before, "role")
        else:
            obj.user.groups.add(Group.objects.get(name=roles.MEMBER))
            Event.record([obj], "", "member")

    @display(description=_("user"), ordering="user__username")
    def person(self, row: Member) -> SafeString:
        return pair(key(row.user.get_username()), row.user.get_full_name())

    @display(description=_("organisation"), ordering="organisation__name")
    def place(self, row: Member) -> SafeString:
        return key(row.organisation)

    @display(description=_("state"), ordering="user__is_active")
    def state(self, row: Member) -> SafeString:
        return _state(row)

    @display(description=_("created"), ordering="created_at")
    def since(self, row: Member) -> SafeString:
        return moment(row.created_at)


def _state(row: Member) -> SafeString:
    if row.user.is_active:
        return badge("active", _("Active"), "ok")
    return badge("removed", _("Removed"), "off")


def _link(row: Member) -> SafeString:
    url = reverse("admin:orchestrator_site_member_change", args=[row.pk])
    return format_html('<a href="{}">{}</a>', url, row.user.get_username())
