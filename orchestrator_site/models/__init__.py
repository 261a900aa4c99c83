"""Rows that every app needs: events, leases, pauses, keys, alerts, bulk actions, the audit."""

from orchestrator_site.models.alert import Alert, AlertRule
from orchestrator_site.models.api_key import ApiKey
from orchestrator_site.models.audit import AuditEntry
from orchestrator_site.models.bulk import BulkAction, BulkPart
from orchestrator_site.models.event import Event
from orchestrator_site.models.lease import Lease
from orchestrator_site.models.maintenance import MaintenanceWindow
from orchestrator_site.models.organisation import Member, Organisation
from orchestrator_site.models.pause import Pause
from orchestrator_site.models.saved_filter import SavedFilter

__all__ = [
    "Alert",
    "AlertRule",
    "ApiKey",
    "AuditEntry",
    "BulkAction",
    "BulkPart",
    "Event",
    "Lease",
    "MaintenanceWindow",
    "Member",
    "Organisation",
    "Pause",
    "SavedFilter",
]
