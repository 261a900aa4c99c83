"""Devices that fell silent."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from devices import sentences
from devices.models import Device
from orchestrator_site.models.event import Note


def mark_silent(now: datetime, after: timedelta) -> int:
    """Put devices offline whose heartbeat stopped; returns how many."""
    devices = Device.objects.silent(now - after)
    still = Q(online=True, heartbeat_at__lt=now - after)
    note = Note.of(Device, "online", "offline", sentences.SILENT)
    return len(Device.change_all(devices, still, note, online=False))
