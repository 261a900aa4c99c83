"""Workers in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from devices.models import Worker
from orchestrator_site.admin import ReadOnlyAdmin, badge


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "kind", "host", "doing", "started_at", "heartbeat_at")
    list_filter = ("kind", "host")

    @display(description=_("state"))
    def state(self, row: Worker) -> SafeString:
        if row.is_alive:
            return badge("alive", _("Alive"), "ok")
        return badge("silent", _("Silent"), "bad")
