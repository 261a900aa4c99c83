"""The database's clock, which leases are measured by since hosts' clocks differ; and the day."""

from __future__ import annotations

from datetime import datetime

from django.db import connections
from django.utils import timezone


def db_now(using: str = "default") -> datetime:
    """Now, by the database; SQLite lives on this host, so the host's clock is its clock."""
    connection = connections[using]
    if connection.vendor != "postgresql":
        return timezone.now()
    with connection.cursor() as cursor:
        cursor.execute("SELECT clock_timestamp()")
        return cursor.fetchone()[0]


def midnight(now: datetime) -> datetime:
    """When today began, in the zone in which times are shown."""
    return timezone.localtime(now).replace(hour=0, minute=0, second=0, microsecond=0)
