"""Evidence in the admin, and django-q2's own tables in its look."""

from __future__ import annotations

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from orchestrator_site.admin import ReadOnlyAdmin, SuperuserAdmin, moment
from orchestrator_site.cells import brief
from queues.doorbell import Q_MODELS
from queues.models import EvidenceFile


@admin.register(EvidenceFile)
class EvidenceFileAdmin(ReadOnlyAdmin):
    list_display = ("file", "kind", "size", "sum", "created", "opens")
    list_filter = ("kind", "object_type")
    search_fields = ("=case_id", "path", "=sha256")

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


for _model in Q_MODELS:
    if admin.site.is_registered(_model):
        admin.site.unregister(_model)
    admin.site.register(_model, SuperuserAdmin)
