"""Evidence in the admin, and django-q2's own tables in its look."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from orchestrator_site import telling
from orchestrator_site.admin import SuperuserAdmin, moment
from orchestrator_site.admin.lists import LongListAdmin, indexed_values
from orchestrator_site.cells import NOTHING, brief
from queues.doorbell import Q_MODELS
from queues.models import EvidenceFile


@admin.register(EvidenceFile)
class EvidenceFileAdmin(LongListAdmin):
    list_display = ("file", "kind", "size", "sum", "created", "opens")
    list_filter = ("kind", indexed_values("object_type", _("object type"), telling.kind))
    search_fields = ("path__startswith", "sha256__exact")
    search_help_text = _("A case, a path or its beginning, a SHA-256.")
    readonly_fields = ("whole_case",)

    @display(description=_("case"))
    def whole_case(self, row: EvidenceFile) -> SafeString:
        url = reverse("case", args=[row.case_id])
        return format_html('<a href="{}">{}</a>', url, row.case_id)

    @display(description=_("path"), ordering="path")
    def file(self, row: EvidenceFile) -> SafeString:
        return brief(row.path)

    @display(description="SHA-256", ordering="sha256")
    def sum(self, row: EvidenceFile) -> SafeString:
        return format_html('<span title="{}">{}…</span>', row.sha256, row.sha256[:12])

    @display(description=_("created"), ordering="created_at")
    def created(self, row: EvidenceFile) -> SafeString:
        return moment(row.created_at)

    @display(description=_("open"))
    def opens(self, row: EvidenceFile) -> SafeString:
        return format_html('<a href="{}">{}</a>', reverse("evidence", args=[row.pk]), _("Open"))


def evidence_of(row: Any) -> SafeString:
    """The files of a row: pictures small, the others by name."""
    files = EvidenceFile.objects.filter(object_type=row._meta.label_lower, object_id=str(row.pk))
    shots = [file for file in files if file.kind == EvidenceFile.Kind.SCREENSHOT]
    others = [file for file in files if file.kind != EvidenceFile.Kind.SCREENSHOT]
    if not (shots or others):
        return NOTHING
    thumbs = format_html_join(
        "",
        '<a href="{0}"><img class="thumb" loading="lazy" src="{0}" alt="{1}" title="{1}"></a>',
        ((_url(file), _name(file)) for file in shots),
    )
    lines = format_html_join(
        "",
        '<li><a href="{}">{}</a> {} B <code title="SHA-256">{}</code></li>',
        ((_url(file), _name(file), file.size, file.sha256[:16]) for file in others),
    )
    return format_html('<div class="thumbs">{}</div><ul>{}</ul>', thumbs, lines)


def _url(file: EvidenceFile) -> str:
    return reverse("evidence", args=[file.pk])


def _name(file: EvidenceFile) -> str:
    """Of a repeated attempt's file with the attempt."""
    name = file.path.rpartition("/")[2]
    return name if file.attempt <= 1 else f"{name} ({file.attempt})"


for _model in Q_MODELS:
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
    admin.site.register(_model, SuperuserAdmin)
