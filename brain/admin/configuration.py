"""What staff write: texts, authorisations, flows."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from brain.models import ClientAuthorisation, Flow, Motivo
from brain.verbs import FLOW_VERBS
from orchestrator_site.admin import VerbAdmin, badge


@admin.register(Motivo)
class MotivoAdmin(SimpleHistoryAdmin, ModelAdmin):
    list_display = ("key", "organismo", "position", "asunto")
    list_filter = ("organismo",)
    search_fields = ("key", "asunto")
    list_select_related = ("organismo",)


@admin.register(ClientAuthorisation)
class ClientAuthorisationAdmin(ModelAdmin):
    list_display = ("numclient", "file", "valid_from", "valid_until", "created_at")
    search_fields = ("=numclient", "notes")


@admin.register(Flow)
class FlowAdmin(VerbAdmin):
    """A saved form is always a new version."""

    verbs = FLOW_VERBS
    list_display = ("name", "version", "state", "script_hash", "created_by", "activated_at")
    list_filter = ("active", "name")
    search_fields = ("name", "notes")
    readonly_fields = ("readable", "script_hash", "created_by", "created_at", "activated_at")
    fields = ("name", "steps", "notes", *readonly_fields)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """A version never changes: copy its steps into a new one."""
        return False

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        source = request.GET.get("from", "")
        copied = Flow.objects.filter(pk=source).first() if source.isdecimal() else None
        return {"name": copied.name, "steps": copied.steps} if copied else {}

    def save_model(self, request: HttpRequest, obj: Flow, form: Any, change: bool) -> None:
        made = Flow.add_version(obj.name, obj.steps, request.user.get_username(), obj.notes)
        obj.__dict__.update(made.__dict__)

    @display(description=_("state"))
    def state(self, row: Flow) -> SafeString:
        return badge("active", _("Active"), "ok") if row.active else badge("old", _("Kept"), "off")

    @display(description=_("steps, to read"))
    def readable(self, row: Flow) -> SafeString:
        lines = format_html_join(
            "",
            "<tr><td>{}</td><th>{}</th><td><code>{}</code></td><td>{}</td></tr>",
            (
                (
                    number,
                    step.get("do"),
                    step.get("selector") or step.get("url") or step.get("text") or "",
                    " ".join(
                        f"{name}={value}"
                        for name, value in step.items()
                        if name not in ("do", "selector", "url", "text")
                    ),
                )
                for number, step in enumerate(row.steps or [], start=1)
            ),
        )
        return format_html('<table class="plain">{}</table>', lines)
