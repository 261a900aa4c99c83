"""The audit: who did and changed what, when, and why."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.contrib import admin, messages
from django.core.exceptions import FieldDoesNotExist, PermissionDenied
from django.db import Error
from django.http import FileResponse, Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import NoReverseMatch, URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from orchestrator_site import auditing, exporting, sentences, telling
from orchestrator_site.admin.bases import sentence
from orchestrator_site.admin.lists import LongListAdmin, PeriodFilter, indexed_values
from orchestrator_site.audit_exporting import lines
from orchestrator_site.cells import NOTHING, brief, key, moment, pair, plain_table
from orchestrator_site.models import AuditEntry

logger = logging.getLogger(__name__)
SEALED_NOW = 2000  # entries that opening the list makes
SHOWN = 4  # changes in the list
LONGEST = 60  # letters of a value in the list
NO_VALUE = "-"


def _told_action(action: str) -> str:
    return str(telling.HAPPENED.get(action, action))


@admin.register(AuditEntry)
class AuditEntryAdmin(LongListAdmin):
    made_by = _("Nobody enters these: they are sealed from what people do and change.")
    list_display = ("when", "who", "what", "changes", "why")
    list_filter = (
        ("at", PeriodFilter),
        ("actor_kind", admin.ChoicesFieldListFilter),
        indexed_values("action", _("action"), _told_action),
        indexed_values("object_type", _("object type"), telling.kind),
    )
    list_filter_submit = True
    list_before_template = "admin/audit/sealed.html"
    search_fields = (
        "actor__exact",
        "actor__startswith",
        "object_name__startswith",
        "object_id__exact",
        "number__exact",
    )
    search_help_text = _("A person, a name's beginning, an object's id, a number, a case.")
    reason_told = sentence("reason", _("reason"))
    readonly_fields = ("who", "what", "table", "reason_told", "made_of")
    fieldsets = (
        (None, {"fields": ("number", "at", "who", "what", "table", "reason_told", "case_id")}),
        (_("Seal"), {"fields": ("made_of", "previous", "hash")}),
    )

    def get_sortable_by(self, request: HttpRequest) -> Any:
        """What an index has in order, however long the list is."""
        return ("when", "who")

    def get_urls(self) -> list[URLPattern]:
        export = self.admin_site.admin_view(self.export_view)
        name = "orchestrator_site_auditentry_export"
        return [path("export/<slug:kind>/", export, name=name), *super().get_urls()]

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """Where no cluster works, what was done is sealed now."""
        try:
            auditing.collect_if_late(most=SEALED_NOW)
        except Error:
            logger.exception("what happened since cannot be sealed now")
        context = {
            **(extra_context or {}),
            "head": AuditEntry.objects.first(),
            "verified": auditing.last_verified(),
            "kinds": exporting.FORMATS,
        }
        return super().changelist_view(request, context)

    def export_view(self, request: HttpRequest, kind: str) -> HttpResponse | FileResponse:
        """All that the list's filter lets through, as a file."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        if kind not in exporting.FORMATS:
            raise Http404
        entries = self.get_changelist_instance(request).get_queryset(request)
        try:
            return exporting.download(lines(entries, kind), "audit", kind)
        except ValueError as error:
            messages.error(request, str(error))
            back = reverse("admin:orchestrator_site_auditentry_changelist")
            return HttpResponseRedirect(f"{back}?{request.GET.urlencode()}")

    @display(description=_("at"), ordering="at")
    def when(self, row: AuditEntry) -> SafeString:
        return moment(row.at)

    @display(description=_("who"), ordering="actor")
    def who(self, row: AuditEntry) -> SafeString:
        kind = row.get_actor_kind_display()
        return pair(key(row.actor), kind) if row.actor else format_html("{}", kind)

    @display(description=_("what"))
    def what(self, row: AuditEntry) -> SafeString:
        done = telling.state(row.object_type, row.action) or NO_VALUE
        about = f"{telling.kind(row.object_type)}: {row.object_name or row.object_id}"
        return pair(done, _linked(row, about))

    @display(description=_("before → after"))
    def changes(self, row: AuditEntry) -> SafeString:
        found = list(_changes(row))
        if not found:
            return NOTHING
        told = [_line(row, *one) for one in _short(found[:SHOWN])]
        if len(found) > SHOWN:
            told.append(f"+{len(found) - SHOWN}")
        return brief("; ".join(told))

    @display(description=_("reason"))
    def why(self, row: AuditEntry) -> SafeString:
        return brief(sentences.told(row.reason))

    @display(description=_("before → after"))
    def table(self, row: AuditEntry) -> SafeString:
        return plain_table((_("field"), _("before"), _("after")), _changes(row))

    @display(description=_("made of"))
    def made_of(self, row: AuditEntry) -> str:
        return f"{row.source} {row.source_id}"


def _linked(row: AuditEntry, text: str) -> str | SafeString:
    """With the way to its page, where it has one."""
    label = row.object_type.replace(".", "_")
    try:
        url = reverse(f"admin:{label}_change", args=[row.object_id])
    except NoReverseMatch:
        return text
    return format_html('<a class="key" href="{}">{}</a>', url, text)


def _changes(row: AuditEntry) -> Iterator[tuple[str, str, str]]:
    """Each value that was changed: its field, before, after; in the reader's words."""
    for name in {**row.before, **row.after}:
        before, after = (_told(row, name, side.get(name)) for side in (row.before, row.after))
        yield _field(row.object_type, name), before, after


def _field(object_type: str, name: str) -> str:
    try:
        field = apps.get_model(object_type)._meta.get_field(name.removesuffix("_id"))
    except (LookupError, ValueError, FieldDoesNotExist):
        return capfirst(name.replace("_", " "))
    return capfirst(str(getattr(field, "verbose_name", name)))


def _told(row: AuditEntry, name: str, value: Any) -> str:
    if value is None or value == "":
        return NO_VALUE
    if isinstance(value, bool):
        return str(_("Yes") if value else _("No"))
    if isinstance(value, list):
        return ", ".join(_told(row, name, one) for one in value) or NO_VALUE
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_told(row, '', one)}" for key, one in value.items()) or NO_VALUE
    if name == "status":
        return telling.state(row.object_type, str(value))
    return sentences.told(str(value))


def _line(row: AuditEntry, name: str, before: str, after: str) -> str:
    """Of what is new or gone, there is one side."""
    if row.before and row.after:
        return f"{name}: {before} → {after}"
    return f"{name}: {before if row.before else after}"


def _short(found: list[tuple[str, str, str]]) -> Iterator[tuple[str, str, str]]:
    for name, before, after in found:
        yield name, _cut(before), _cut(after)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
