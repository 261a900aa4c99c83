"""Organismos: the form, the preview beside it, import and export."""

from __future__ import annotations

import json
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.core.serializers.json import DjangoJSONEncoder
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.decorators import action, display
from unfold.widgets import UnfoldAdminFileFieldWidget

from brain import importing, previewing
from brain.models import Flow, Organismo
from brain.verbs import ORGANISMO_VERBS
from orchestrator_site.admin import VerbAdmin
from orchestrator_site.cells import badge, moment
from orchestrator_site.inputs import OneLineTexts


class OrganismoForm(forms.ModelForm):
    """Flows are named by a choice of those that exist."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        names = Flow.objects.values_list("name", flat=True).order_by("name").distinct()
        for name in ("flow_name", "claim_flow", "login_flow"):
            if name in self.fields:
                widget = self.fields[name].widget
                # A flow that is named already may be still to come: it stays as it is.
                listed = dict.fromkeys([*names, getattr(self.instance, name)])
                self.fields[name] = forms.ChoiceField(
                    choices=[("", "-"), *((one, one) for one in listed if one)],
                    required=False,
                    label=self.fields[name].label,
                    help_text=self.fields[name].help_text,
                )
                self.fields[name].widget.attrs = widget.attrs


class ImportForm(forms.Form):
    file = forms.FileField(label=_("File"), widget=UnfoldAdminFileFieldWidget)


@admin.register(Organismo)
class OrganismoAdmin(VerbAdmin, OneLineTexts, SimpleHistoryAdmin):
    form = OrganismoForm
    one_line = ("url_template", "login_url", "recursos_url")
    verbs = ORGANISMO_VERBS
    list_display = (
        "site_id",
        "state",
        "query_organisme",
        "filtro_texp",
        "claim_method",
        "priority",
        "synced",
        "trouble",
    )
    list_filter = ("active", "paused", "claim_method")
    search_fields = ("site_id", "query_organisme", "notes")
    readonly_fields = ("paused", "last_sync_at", "last_error", "created_at", "updated_at")
    actions_list = ("import_json", "export_json")
    actions_detail = ("preview",)
    warn_unsaved_form = True
    fieldsets = (
        (None, {"fields": ("site_id", "active", "priority", "notes")}),
        (
            _("Which cases"),
            {"fields": ("query_organisme", "filtro_texp", "regex_expediente", "repair")},
        ),
        (
            _("Claiming"),
            {
                "fields": (
                    "claim_method",
                    "claimed_when",
                    "bot_username",
                    "login_url",
                    "recursos_url",
                    "login_flow",
                    "claim_flow",
                )
            },
        ),
        (
            _("Filing"),
            {"fields": ("flow_name", "url_template", "attachments", "demands_authorisation")},
        ),
        (_("Limits"), {"fields": ("target_queue_depth", "claims_per_cycle", "time_zone")}),
        (
            _("State"),
            {"fields": ("paused", "last_sync_at", "last_error", "created_at", "updated_at")},
        ),
    )

    @display(description=_("state"))
    def state(self, row: Organismo) -> SafeString:
        if row.paused:
            return badge("paused", _("Paused"), "warn")
        if row.active:
            return badge("active", _("Active"), "ok")
        return badge("inactive", _("Inactive"), "off")

    @display(description=_("last sync"), ordering="last_sync_at")
    def synced(self, row: Organismo) -> SafeString:
        return moment(row.last_sync_at)

    @display(description=_("last error"))
    def trouble(self, row: Organismo) -> str | SafeString:
        return badge(row.last_error, row.last_error[:80], "bad") if row.last_error else "-"

    def get_urls(self) -> list[URLPattern]:
        wrap = self.admin_site.admin_view
        return [
            path("import/", wrap(self.import_view), name="brain_organismo_import"),
            path("export/", wrap(self.export_view), name="brain_organismo_export"),
            path("<path:object_id>/preview/", wrap(self.preview_view), name="organismo_preview"),
            *super().get_urls(),
        ]

    @action(description=_("Import JSON"), permissions=["add"], icon="upload")
    def import_json(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:brain_organismo_import"))

    @action(description=_("Export JSON"), permissions=["view"], icon="download")
    def export_json(self, request: HttpRequest) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:brain_organismo_export"))

    @action(description=_("Preview"), permissions=["view"], icon="visibility")
    def preview(self, request: HttpRequest, object_id: str) -> HttpResponse:
        return HttpResponseRedirect(reverse("admin:organismo_preview", args=[object_id]))

    def preview_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Which cases the row as it is saved would take of the origin as it is now."""
        row = self.get_object(request, object_id)
        if row is None:
            raise Http404
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        context = {
            **self.admin_site.each_context(request),
            "title": _("Preview of %(site)s") % {"site": row.site_id},
            "opts": self.opts,
            "original": row,
            "preview": previewing.preview(row),
        }
        return TemplateResponse(request, "brain/organismo_preview.html", context)

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Upload a file; what it would change is shown before it is written."""
        if not (self.has_add_permission(request) and self.has_change_permission(request)):
            raise PermissionDenied
        posted = request.method == "POST"
        form = ImportForm(request.POST, request.FILES) if posted else ImportForm()
        text = request.POST.get("text") or _uploaded(form)
        report, problem = None, ""
        if text:
            try:
                report = importing.import_text(text, dry_run="confirmed" not in request.POST)
            except importing.Malformed as error:
                problem = str(error)
        if report and report.written:
            changed = len(report.created) + len(report.updated)
            messages.success(request, _("%(n)s organismos written.") % {"n": changed})
            return HttpResponseRedirect(reverse("admin:brain_organismo_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": _("Import organismos"),
            "opts": self.opts,
            "form": form,
            "report": report,
            "text": text,
            "problem": problem,
        }
        return TemplateResponse(request, "brain/organismo_import.html", context)

    def export_view(self, request: HttpRequest) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        data = importing.export(Organismo.objects.order_by("site_id"))
        text = json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False, indent=2)
        return HttpResponse(
            text,
            content_type="application/json",
            headers={"Content-Disposition": 'attachment; filename="organismo_config.json"'},
        )


def _uploaded(form: ImportForm) -> str:
    if not form.is_bound or not form.is_valid():
        return ""
    return form.cleaned_data["file"].read().decode("utf-8-sig", errors="replace")
