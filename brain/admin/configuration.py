"""What staff write: texts, authorisations, flows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.contrib import admin
from django.http import HttpRequest
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from brain.models import ClientAuthorisation, Flow, Motivo
from brain.verbs import FLOW_VERBS
from orchestrator_site.admin import VerbAdmin
from orchestrator_site.cells import badge, moment, plain_table
from orchestrator_site.inputs import OneLineTexts

TARGETS = ("selector", "url", "text")  # what a step is done on


@admin.register(Motivo)
class MotivoAdmin(OneLineTexts, SimpleHistoryAdmin):
    one_line = ("asunto",)
    list_display = ("key", "organismo", "position", "asunto")
    list_filter = ("organismo",)
    search_fields = ("key", "asunto")
    list_select_related = ("organismo",)


@admin.register(ClientAuthorisation)
class ClientAuthorisationAdmin(ModelAdmin):
    list_display = ("numclient", "file", "valid_from", "valid_until", "created")
    search_fields = ("=numclient", "notes")

    @display(description=_("created"), ordering="created_at")
    def created(self, row: ClientAuthorisation) -> SafeString:
        return moment(row.created_at)


@admin.register(Flow)
class FlowAdmin(VerbAdmin):
    """A saved form is always a new version."""

    verbs = FLOW_VERBS
    list_display = ("name", "version", "state", "short_hash", "created_by", "activated")
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

    @display(description="SHA-256", ordering="script_hash")
    def short_hash(self, row: Flow) -> SafeString:
        return format_html('<code title="{}">{}</code>', row.script_hash, row.script_hash[:12])

    @display(description=_("activated"), ordering="activated_at")
    def activated(self, row: Flow) -> SafeString:
        return moment(row.activated_at)

    @display(description=_("steps, to read"))
    def readable(self, row: Flow) -> SafeString:
        lines = [(n, *_step(step)) for n, step in enumerate(row.steps or [], start=1)]
        return plain_table(("#", _("step"), _("on what"), _("besides")), lines)


def _step(step: Mapping[str, Any]) -> tuple[Any, Any, str]:
    """What the step does, on what, and all else that it says."""
    named = ("do", *TARGETS)
    target = next((step[name] for name in TARGETS if step.get(name)), "-")
    besides = (f"{name}={value}" for name, value in step.items() if name not in named)
    return step.get("do"), format_html("<code>{}</code>", target), " ".join(besides) or "-"
