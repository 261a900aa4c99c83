"""The registry of objects, and the JSON files that were read."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from orchestrator_site import sentences
from orchestrator_site.admin import VerbAdmin
from orchestrator_site.cells import NOTHING, badge, brief, moment, pair, plain_table
from postprocessing import downloads, objects, reporting
from postprocessing.admin.filters import CompanyFilter
from postprocessing.admin.searching import IndexedSearchAdmin
from postprocessing.models import S3File, SourceFile
from postprocessing.verbs import S3_FILE_VERBS
from queues.admin.lists import thread


@admin.register(S3File)
class S3FileAdmin(VerbAdmin, IndexedSearchAdmin):
    verbs = S3_FILE_VERBS
    list_before_template = "admin/postprocessing/simulated.html"
    made_by = _("Nobody enters these by hand: each file of a company's folder has one.")
    list_display = ("file", "state", "sgc", "size", "tries", "problem", "sent", "opens")
    list_filter = ("status", CompanyFilter, "upload_source")
    search_fields = ("filename__startswith", "numero_reclamo_sgc__exact", "file_hash__exact")
    search_help_text = _(
        "How a file's name begins; the whole of a key, an sgc, a SHA-256 or a case."
    )
    fieldsets = (
        (
            None,
            {"fields": ("filename", "empresa", "state", "problem_told", "opens", "case_id")},
        ),
        (_("Object"), {"fields": ("where", "s3_key", "s3_url", "content_type", "metadata")}),
        (
            _("File"),
            {"fields": ("numero_reclamo_sgc", "file_size", "file_type", "file_hash", "changed")},
        ),
        (
            _("Upload"),
            {"fields": ("upload_source", "attempts", "created_at", "updated_at", "uploaded_at")},
        ),
        (_("What happened"), {"fields": ("events",)}),
    )
    readonly_fields = ("state", "problem_told", "opens", "where", "changed", "events")

    def changelist_view(
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        context = {**(extra_context or {}), "is_simulated": reporting.is_simulated()}
        return super().changelist_view(request, context)

    def meant_by(self, term: str) -> Q:
        """A key is known together with its bucket."""
        here = Q(s3_bucket__in=["", objects.store().bucket], s3_key=term)
        return super().meant_by(term) | here

    def get_urls(self) -> list[URLPattern]:
        one = path(
            "<int:pk>/download/",
            self.admin_site.admin_view(self.download),
            name="postprocessing_s3file_download",
        )
        return [one, *super().get_urls()]

    def download(self, request: HttpRequest, pk: int) -> HttpResponseBase:
        """The file itself."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = S3File.objects.filter(pk=pk).first()
        if row is None:
            raise Http404
        return downloads.handed_out(row)

    @display(description=_("file"), ordering="filename")
    def file(self, row: S3File) -> SafeString:
        return pair(format_html('<span class="key">{}</span>', row.filename), row.empresa)

    @display(description=_("upload status"), ordering="status")
    def state(self, row: S3File) -> SafeString:
        return badge(row.status, row.get_status_display(), row.tone)

    @display(description="sgc", ordering="numero_reclamo_sgc")
    def sgc(self, row: S3File) -> str | SafeString:
        return row.numero_reclamo_sgc or NOTHING

    @display(description=_("bytes"), ordering="file_size")
    def size(self, row: S3File) -> int:
        return row.file_size

    @display(description=_("attempts"), ordering="attempts")
    def tries(self, row: S3File) -> int:
        return row.attempts

    @display(description=_("last error"))
    def problem(self, row: S3File) -> SafeString:
        return brief(sentences.told(row.last_error))

    @display(description=_("last error"))
    def problem_told(self, row: S3File) -> str:
        return sentences.told(row.last_error) or "-"

    @display(description=_("uploaded"), ordering="uploaded_at")
    def sent(self, row: S3File) -> SafeString:
        return moment(row.uploaded_at)

    @display(description=_("open"))
    def opens(self, row: S3File) -> SafeString:
        if row.status not in (*S3File.THERE, S3File.Status.SIMULATED):
            return NOTHING
        url = reverse("admin:postprocessing_s3file_download", args=[row.pk])
        return format_html('<a href="{}">{}</a>', url, _("Open"))

    @display(description="s3_bucket")
    def where(self, row: S3File) -> str:
        return row.s3_bucket or str(_("none: simulated, kept on this machine"))

    @display(description=_("changed"))
    def changed(self, row: S3File) -> SafeString:
        return modified(row.mtime_ns)

    @display(description=_("thread"))
    def events(self, row: S3File) -> SafeString:
        return thread(row.case_id)


class FaultsFilter(admin.SimpleListFilter):
    title = _("faults")
    parameter_name = "faults"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, Any]]:
        return [("yes", _("With faults")), ("no", _("Without"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> QuerySet[Any]:
        if self.value() == "yes":
            return queryset.exclude(faults=[])
        return queryset.filter(faults=[]) if self.value() == "no" else queryset


@admin.register(SourceFile)
class SourceFileAdmin(IndexedSearchAdmin):
    made_by = _("Nobody enters these by hand: a file is known once it was read.")
    list_display = ("file", "state", "why", "records", "size", "changed", "loaded")
    list_filter = (FaultsFilter, CompanyFilter)
    search_fields = ("filename__startswith",)
    search_help_text = _("How a file's name begins.")
    fields = (
        "filename",
        "empresa",
        "size",
        "changed",
        "sha256",
        "records",
        "loaded_at",
        "refused",
    )
    readonly_fields = ("changed", "refused")

    @display(description=_("file"), ordering="filename")
    def file(self, row: SourceFile) -> SafeString:
        return pair(format_html('<span class="key">{}</span>', row.filename), row.empresa)

    @display(description=_("faults"))
    def state(self, row: SourceFile) -> SafeString:
        if not row.faults:
            return badge("ok", _("None"), "ok")
        return badge("faults", len(row.faults), "bad")

    @display(description=_("the first of them"))
    def why(self, row: SourceFile) -> SafeString:
        return brief(sentences.told(str(row.faults[0].get("reason", ""))) if row.faults else "")

    @display(description=_("changed"), ordering="mtime_ns")
    def changed(self, row: SourceFile) -> SafeString:
        return modified(row.mtime_ns)

    @display(description=_("loaded"), ordering="loaded_at")
    def loaded(self, row: SourceFile) -> SafeString:
        return moment(row.loaded_at)

    @display(description=_("faults"))
    def refused(self, row: SourceFile) -> SafeString:
        lines = [
            (one.get("record") or _("the file"), sentences.told(str(one.get("reason", ""))))
            for one in row.faults
        ]
        return plain_table((_("record"), _("why")), lines)


def modified(nanoseconds: int) -> SafeString:
    """When a file was changed; its system may say anything."""
    try:
        return moment(datetime.fromtimestamp(nanoseconds / 1e9, UTC))
    except (OverflowError, OSError, ValueError):
        return NOTHING
