"""What staff write: texts, authorisations."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from brain.models import ClientAuthorisation, Motivo
from orchestrator_site.cells import moment
from orchestrator_site.inputs import OneLineTexts


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
