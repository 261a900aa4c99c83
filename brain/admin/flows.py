"""Flows: versions to read, to compare, to approve, to go back to; a new one from a form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.views.decorators.http import require_POST
from unfold.admin import ModelAdmin
from unfold.decorators import action, display

from brain import flowing
from brain.admin.flow_editor import ABOUT, FlowForm, initial_of, previewed, vocabulary
from brain.models import Flow
from brain.rules.differences import Difference, flow_differences
from brain.verbs import FLOW_VERBS
from orchestrator_site import tenancy
from orchestrator_site.admin import VerbAdmin
from orchestrator_site.cells import NOTHING, badge, brief, key, moment, pair, plain_table
from queues.admin.lists import happened
from queues.admin.steps import step_cells, steps_table, told
from queues.browser.signing import EnvelopeRefused

MOST_VERSIONS = 200  # to choose one from
SIGNS: Mapping[str, tuple[str, Any]] = {
    "=": ("off", _("same")),
    "~": ("warn", _("changed")),
    "+": ("ok", _("new")),
    "-": ("bad", _("gone")),
}


@admin.register(Flow)
class FlowAdmin(VerbAdmin, ModelAdmin):
    """A saved form is always a new version."""

    form = FlowForm
    verbs = FLOW_VERBS
    add_form_template = "admin/flows/editor.html"
    change_form_template = "admin/flows/version.html"
    warn_unsaved_form = True
    list_display = (
        "flow",
        "whose",
        "number",
        "state",
        "code",
        "by",
        "activated",
    )
    list_filter = ("active", "organisation", "provider", "name")
    list_select_related = ("organisation", "provider")
    search_fields = ("name", "title", "label", "notes", "=script_hash")
    autocomplete_fields = ("organisation", "provider")
    actions_detail = ("new_version",)
    readonly_fields = (
        *("version", "state", "readable", "needs", "places", "signed", "script_hash", "key_id"),
        *("created_by", "created_at", "approved_by", "approved_at", "activated_at", "events"),
    )

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return tenancy.visible(super().get_queryset(request), request.user)

    def get_fieldsets(self, request: HttpRequest, obj: Flow | None = None) -> Any:
        about = ("organisation", "provider", "name", "label", "title", "description")
        if obj is None:
            return (
                (None, {"fields": about}),
                (_("What a run is given"), {"fields": ("inputs", "hosts")}),
                (_("Steps"), {"fields": ("steps",)}),
                (None, {"fields": ("notes",)}),
            )
        people = ("created_by", "created_at", "approved_by", "approved_at", "activated_at")
        return (
            (None, {"fields": ("state", "version", *about, "notes")}),
            (_("Steps"), {"fields": ("readable",)}),
            (_("What a run is given"), {"fields": ("needs", "places")}),
            (_("Signature"), {"fields": ("signed", "script_hash", "key_id")}),
            (_("History"), {"fields": (*people, "events")}),
        )

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A version never changes: copy its steps into a new one."""
        return False

    # --- A new version ----------------------------------------------------------------------------

    def get_urls(self) -> list[URLPattern]:
        preview = self.admin_site.admin_view(require_POST(self.preview_view))
        return [path("preview/", preview, name="brain_flow_preview"), *super().get_urls()]

    @action(description=_("New version from this one"), permissions=["copy"], icon="content_copy")
    def new_version(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(f"{reverse('admin:brain_flow_add')}?from={object_id}")

    def has_copy_permission(self, request: HttpRequest, object_id: Any = None) -> bool:
        """For the button on a version's page, which is asked of with the version's id."""
        return self.has_add_permission(request)

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        copied = self._named(request, "from", self.get_queryset(request))
        return initial_of(copied) if copied else super().get_changeform_initial_data(request)

    def add_view(
        self, request: HttpRequest, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "vocabulary": vocabulary()}
        return super().add_view(request, form_url, context)

    def preview_view(self, request: HttpRequest) -> HttpResponse:
        """What the form's steps would be, and what is wrong with them; nothing is stored."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        return JsonResponse(previewed(self.get_form(request)(request.POST)))

    def save_model(self, request: HttpRequest, obj: Flow, form: Any, change: bool) -> None:
        about = {name: getattr(obj, name) for name in ABOUT}
        by = request.user.get_username()
        made = Flow.add_version(obj.name, obj.steps, by, obj.notes, **about)
        obj.__dict__.update(made.__dict__)

    # --- Compared ---------------------------------------------------------------------------------

    def change_view(
        self,
        request: HttpRequest,
        object_id: str,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        row = self.get_object(request, object_id)
        context = {**(extra_context or {}), **(self._compared(request, row) if row else {})}
        return super().change_view(request, object_id, form_url, context)

    def _compared(self, request: HttpRequest, row: Flow) -> dict[str, Any]:
        """With the version that is asked for; else the active one; of the active one, with the
        one before."""
        others = row.siblings().exclude(pk=row.pk)
        usual = flowing.previous(row) if row.active else others.filter(active=True).first()
        other = self._named(request, "with", others) or usual
        found = flow_differences(other.steps, row.steps) if other else []
        return {
            "other": other,
            "others": others.order_by("-pk")[:MOST_VERSIONS],
            "differences": [_difference(one) for one in found],
            "is_same": all(one.sign == "=" for one in found),
        }

    def _named(self, request: HttpRequest, key: str, rows: QuerySet[Any]) -> Flow | None:
        pk = request.GET.get(key, "")
        is_number = pk.isascii() and pk.isdecimal() and len(pk) < 19
        return rows.filter(pk=pk).first() if is_number else None

    # --- What is shown ----------------------------------------------------------------------------

    @display(description=_("flow"), ordering="name")
    def flow(self, row: Flow) -> SafeString:
        return pair(key(row.name), key(row.title) if row.title else "")

    @display(description=_("organisation"), ordering="organisation__name")
    def whose(self, row: Flow) -> SafeString:
        return (
            pair(brief(str(row.organisation)), key(row.provider)) if row.organisation else NOTHING
        )

    @display(description=_("version"), ordering="version")
    def number(self, row: Flow) -> SafeString:
        return pair(f"v{row.version}", key(row.label) if row.label else "")

    @display(description=_("state"))
    def state(self, row: Flow) -> SafeString:
        if row.active:
            return badge("active", _("Active"), "ok")
        if row.needs_approval:
            return badge("waits", _("Waits for approval"), "warn")
        if row.approved_at and not row.activated_at:
            return badge("approved", _("Approved"), "busy")
        return badge("old", _("Kept"), "off")

    @display(description=_("SHA-256, key"), ordering="script_hash")
    def code(self, row: Flow) -> SafeString:
        shown = format_html('<code title="{}">{}</code>', row.script_hash, row.script_hash[:12])
        return pair(shown, format_html("<code>{}</code>", row.key_id) if row.key_id else "")

    @display(description=_("created by"), ordering="created_by")
    def by(self, row: Flow) -> SafeString:
        return pair(
            format_html('<span class="key">{}</span>', row.created_by), moment(row.created_at)
        )

    @display(description=_("activated"), ordering="activated_at")
    def activated(self, row: Flow) -> SafeString:
        return moment(row.activated_at)

    @display(description=_("steps, to read"))
    def readable(self, row: Flow) -> SafeString:
        return steps_table(row.steps or [])

    @display(description=_("inputs"))
    def needs(self, row: Flow) -> SafeString:
        lines = (
            (format_html("<code>{}</code>", name), about.get("type", "string"), _besides(about))
            for name, about in row.inputs.items()
        )
        return plain_table((_("name"), _("type"), _("besides")), lines)

    @display(description=_("hosts"))
    def places(self, row: Flow) -> str:
        return ", ".join(row.all_hosts) or "-"

    @display(description=_("signature"))
    def signed(self, row: Flow) -> SafeString:
        if not row.signature:
            return badge("unsigned", _("Not signed"), "off")
        try:
            row.verify()
        except EnvelopeRefused as error:
            return badge("refused", str(error), "bad")
        return badge("verified", _("Valid"), "ok")

    @display(description=_("events"))
    def events(self, row: Flow) -> SafeString:
        return happened(row)


def _besides(about: Mapping[str, Any]) -> str:
    return " ".join(f"{key}={told(value)}" for key, value in about.items() if key != "type") or "-"


def _difference(one: Difference) -> dict[str, Any]:
    tone, word = SIGNS[one.sign]
    do, target, besides = step_cells(one.step)
    changed = [
        (key, "" if old is None else told(old), told(one.step[key]) if key in one.step else "")
        for key, old in one.changed.items()
    ]
    shown = {"tone": tone, "word": word, "do": do, "target": target, "besides": besides}
    return {**shown, "old": one.number_old, "new": one.number_new, "changed": changed}
