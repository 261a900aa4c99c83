"""Workers in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _
from unfold.decorators import display

from devices.models import Worker
from orchestrator_site.admin import ReadOnlyAdmin, badge
from orchestrator_site.sentences import told


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "state", "kind", "host", "work", "started_at", "heartbeat_at")
    list_filter = ("kind", "host")

    @display(description=_("doing"), ordering="doing")
    def work(self, row: Worker) -> str:
        return told(row.doing) or "-"

    @display(description=_("state"))
    def state(self, row: Worker) -> SafeString:
        if row.is_alive:
            return badge("alive", _("Alive"), "ok")
        return badge("silent", _("Silent"), "bad")
