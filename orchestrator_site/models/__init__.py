"""Rows that every app needs: events, leases, pauses, keys, alerts."""

from orchestrator_site.models.alert import Alert, AlertRule
from orchestrator_site.models.api_key import ApiKey
from orchestrator_site.models.event import Event
from orchestrator_site.models.lease import Lease
from orchestrator_site.models.organisation import Member, Organisation
from orchestrator_site.models.pause import Pause

__all__ = ["Alert", "AlertRule", "ApiKey", "Event", "Lease", "Member", "Organisation", "Pause"]
