"""Complaints: a list a company, to be looked at and exported."""

from __future__ import annotations

import tempfile
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.db.models import Q, QuerySet
from django.http import FileResponse, HttpRequest
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import Truncator
from django.utils.translation import gettext_lazy as _
from import_export.admin import ExportMixin
from import_export.resources import ModelResource, modelresource_factory
from unfold.contrib.import_export.forms import ExportForm
from unfold.decorators import display

from orchestrator_site.cells import NOTHING, badge, brief, moment, pair, plain_table
from postprocessing.admin.exporting import ComplaintResource, PlainCSV, PlainXLSX
from postprocessing.admin.filters import DayRangeFilter, recent_values
from postprocessing.admin.searching import IndexedSearchAdmin
from postprocessing.models import Complaint, OvAfinia, OvAire, S3File, SourceFile
from postprocessing.models.complaint import begins_with, is_one_of
from queues.admin.lists import link, thread

OBJECTS = 100  # of one complaint on its page
STATE = 32  # letters of a state in the list


@admin.register(OvAfinia, OvAire)
class ComplaintAdmin(ExportMixin, IndexedSearchAdmin):
    made_by = _("Nobody enters these by hand: they are loaded from the company's files.")
    list_display = ("number", "when", "what", "state", "who", "loaded")
    list_filter = (
        recent_values("estado_solicitud"),
        recent_values("tipo_pqr"),
        ("fecha", DayRangeFilter),
    )
    list_filter_submit = True
    search_fields = (
        "numero_radicado__exact",
        "numero_reclamo_sgc__exact",
    )
    search_help_text = _(
        "The whole of a radicado, an sgc, a NIC, a document of identity or a case; how a name"
        " begins."
    )
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "numero_radicado",
                    "numero_reclamo_sgc",
                    "when",
                    "tipo_pqr",
                    "estado_solicitud",
                    "canal_respuesta",
                    "finalizar",
                    "case_id",
                )
            },
        ),
        (
            _("Who complains"),
            {
                "fields": (
                    "nombres_apellidos",
                    "documento_identidad",
                    "nic",
                    "correo_electronico",
                    "telefono",
                    "celular",
                )
            },
        ),
        (
            _("What it says"),
            {
                "fields": (
                    "cuerpo_reclamacion",
                    "comentarios",
                    "lectura",
                    "documento_prueba",
                    "adjuntar_archivo",
                    "extra",
                )
            },
        ),
        (_("Files"), {"fields": ("source", "kept")}),
        (_("What happened"), {"fields": ("events",)}),
        (
            _("How it was extracted"),
            {
                "fields": (
                    "sgc_number",
                    "record_number",
                    "extracted",
                    "page_url",
                    "page_title",
                )
            },
        ),
        (
            _("In the table"),
            {"fields": ("hash_registro", "content_hash", "created_at", "updated_at")},
        ),
    )
    readonly_fields = ("when", "extracted", "source", "kept", "events")
    export_form_class = ExportForm
    export_formats = (PlainCSV, PlainXLSX)

    def has_export_permission(self, request: HttpRequest) -> bool:
        """For whoever may see the list: import-export asks nothing by itself."""
        return self.has_view_permission(request)

    def _do_file_export(
        self,
        file_format: PlainCSV | PlainXLSX,
        request: HttpRequest,
        queryset: QuerySet[Any],
        export_form: Any = None,
    ) -> FileResponse:
        """Import-export's own would hold all rows, twice. Raises ValueError."""
        lines = self.get_data_for_export(request, queryset, export_form=export_form)
        file = tempfile.TemporaryFile()  # noqa: SIM115 (closed with the answer)
        file_format.write(lines, file)
        file.seek(0)
        name = self.get_export_filename(request, queryset, file_format)
        kind = file_format.get_content_type()
        return FileResponse(file, as_attachment=True, filename=name, content_type=kind)

    def get_export_resource_classes(self, request: HttpRequest) -> list[type[ModelResource]]:
        return [modelresource_factory(self.model, resource_class=ComplaintResource)]

    def meant_by(self, term: str) -> Q:
        spellings = {term, term.upper()}
        return (
            super().meant_by(term)
            | is_one_of("nic", spellings)
            | is_one_of("documento_identidad", spellings)
            | begins_with("nombres_apellidos", term)
        )

    @display(description="número de radicado", ordering="numero_radicado")
    def number(self, row: Complaint) -> SafeString:
        """With the sgc, by which its files are called."""
        sgc = row.numero_reclamo_sgc
        key = format_html('<span class="key">{}</span>', row)
        return pair(key, brief(sgc) if sgc else "")

    @display(description="fecha", ordering="fecha")
    def when(self, row: Complaint) -> SafeString:
        return _there(row, row.fecha)

    @display(description=_("extracted"))
    def extracted(self, row: Complaint) -> SafeString:
        return _there(row, row.extraction_timestamp)

    @display(description="tipo de PQR", ordering="tipo_pqr")
    def what(self, row: Complaint) -> SafeString:
        return brief(row.tipo_pqr)

    @display(description="estado", ordering="estado_solicitud")
    def state(self, row: Complaint) -> SafeString:
        text = row.estado_solicitud
        return badge(text, Truncator(text).chars(STATE), "off") if text else NOTHING

    @display(description="nombres y apellidos", ordering="nombres_apellidos")
    def who(self, row: Complaint) -> SafeString:
        """With the contract and the document."""
        known = " · ".join(one for one in (row.nic, row.documento_identidad) if one)
        return pair(brief(row.nombres_apellidos), brief(known) if known else "")

    @display(description=_("updated"), ordering="updated_at")
    def loaded(self, row: Complaint) -> SafeString:
        return moment(row.updated_at)

    @display(description=_("file"))
    def source(self, row: Complaint) -> str | SafeString:
        known = SourceFile.objects.filter(empresa=row.company.name, filename=row.file_name).first()
        return link(known, row.file_name) if known else row.file_name or "-"

    @display(description=_("objects"))
    def kept(self, row: Complaint) -> SafeString:
        return plain_table(
            (_("file"), _("upload status"), _("bytes"), _("uploaded"), _("last error")),
            [
                (
                    link(one, one.filename),
                    badge(one.status, one.get_status_display(), one.tone),
                    one.file_size,
                    moment(one.uploaded_at),
                    one.last_error or "-",
                )
                for one in _objects_of(row)[:OBJECTS]
            ],
        )

    @display(description=_("thread"))
    def events(self, row: Complaint) -> SafeString:
        return thread(row.case_id)


def _objects_of(row: Complaint) -> Any:
    """Those of its file and, where it has an sgc, of that."""
    wanted = Q(filename=row.file_name)
    if row.numero_reclamo_sgc:
        wanted |= Q(numero_reclamo_sgc=row.numero_reclamo_sgc)
    return S3File.objects.filter(wanted, empresa=row.company.name).order_by("filename")


def _there(row: Complaint, at: datetime | None) -> SafeString:
    """A time where the company is."""
    if at is None:
        return NOTHING
    local = timezone.localtime(at, row.company.zone)
    return format_html(
        '<time class="nowrap" datetime="{}" title="{}">{}</time>',
        at.isoformat(),
        local.strftime("%Y-%m-%d %H:%M:%S %Z"),
        local.strftime("%Y-%m-%d %H:%M"),
    )
