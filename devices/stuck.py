"""Devices that fell silent."""

from __future__ import annotations

from datetime import datetime, timedelta

from devices.models import Device
from orchestrator_site.models.event import Note


def mark_silent(now: datetime, after: timedelta) -> int:
    """Put devices offline whose heartbeat stopped; returns how many."""
    silent = Device.objects.silent(now - after)
    devices = list(silent)
    if not devices:
        return 0
    note = Note.of(Device, "online", "offline", "no heartbeat")
    return len(Device.change_all(devices, silent, note, online=False))
