"""Taking devices: many at once, each for one task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.db import connections

from devices.models import Device


@dataclass(frozen=True)
class Hold:
    """A device for a task; `device_id` is its row's key."""

    device_id: int
    task_id: int
    curp: str


class DeviceTaken(Exception):
    """A device that was locked as free is not: the caller's transaction must be given up."""


def hold(holds: Sequence[Hold], now: datetime, until: datetime) -> None:
    """Give each device to its task, in one statement; all of them or DeviceTaken.

    To be called in the transaction that locked the devices as free.
    """
    if not holds:
        return
    connection = connections[Device.objects.db]
    table = connection.ops.quote_name(Device._meta.db_table)
    marks = ", ".join(["(%s, %s, %s)"] * len(holds))
    moment = Device._meta.get_field("updated_at")
    started: Any = moment.get_db_prep_save(now, connection)
    ends: Any = moment.get_db_prep_save(until, connection)
    values = [value for one in holds for value in (one.device_id, one.task_id, one.curp)]
    with connection.cursor() as cursor:
        cursor.execute(
            f"WITH held (device_id, taskid, curp) AS (VALUES {marks}) "
            f"UPDATE {table} SET available = %s, current_task = held.curp, "
            "task_id = held.taskid, task_start_time = %s, lease_expires_at = %s, updated_at = %s "
            f"FROM held WHERE {table}.id = held.device_id AND {table}.available "
            f"AND {table}.task_id IS NULL RETURNING {table}.id",
            [*values, False, started, ends, started],
        )
        taken = len(cursor.fetchall())
    if taken != len(holds):
        raise DeviceTaken(f"{taken} of {len(holds)} devices could be taken")
