"""When alerts stay silent."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.contrib import admin
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy
from simple_history.admin import SimpleHistoryAdmin
from unfold.admin import ModelAdmin
from unfold.decorators import display

from orchestrator_site.cells import badge, brief, moment, pair
from orchestrator_site.models import MaintenanceWindow

USUAL = timedelta(hours=1)


@admin.register(MaintenanceWindow)
class MaintenanceWindowAdmin(SimpleHistoryAdmin, ModelAdmin):
    list_display = ("title", "state", "begins", "ends", "silenced")
    list_filter = ("rules",)
    search_fields = ("name", "reason")
    autocomplete_fields = ("rules",)
    fields = ("name", "starts_at", "ends_at", "rules", "reason")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).prefetch_related("rules")

    def get_changeform_initial_data(self, request: HttpRequest) -> dict[str, Any]:
        now = timezone.now().replace(second=0, microsecond=0)
        asked = super().get_changeform_initial_data(request)
        return {"starts_at": now, "ends_at": now + USUAL, **asked}

    @display(description=_("name"), ordering="name")
    def title(self, row: MaintenanceWindow) -> SafeString:
        return pair(row.name, brief(row.reason) if row.reason else "")

    @display(description=_("state"))
    def state(self, row: MaintenanceWindow) -> SafeString:
        now = timezone.now()
        if row.is_open(now):
            return badge("open", pgettext_lazy("window", "Open"), "warn")
        if row.starts_at > now:
            return badge("planned", _("Planned"), "wait")
        return badge("over", _("Over"), "off")

    @display(description=_("from"), ordering="starts_at")
    def begins(self, row: MaintenanceWindow) -> SafeString:
        return moment(row.starts_at)

    @display(description=_("until"), ordering="ends_at")
    def ends(self, row: MaintenanceWindow) -> SafeString:
        return moment(row.ends_at)

    @display(description=_("rules"))
    def silenced(self, row: MaintenanceWindow) -> Any:
        rules = ", ".join(rule.title for rule in row.rules.all())
        return brief(rules) if rules else _("All")
