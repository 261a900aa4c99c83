"""Devices that hang: taken back from their tasks, all at once."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from devices.models import Device
from orchestrator_site.clock import db_now
from queues import sentences, settling
from queues.models import DistributionConfig


@dataclass(frozen=True)
class Stuck:
    """A device that hung. `since`: when its task began, None where nobody knows; `is_released`:
    by this call, and not by somebody else meanwhile."""

    device: str
    fleet: str
    task_id: int | None
    curp: str
    since: datetime | None
    is_released: bool


def release_all_stuck(
    older_than: timedelta | None = None, reason: str = "", *, dry_run: bool = False
) -> list[Stuck]:
    """Take back the devices that are held for longer, each on its own; without `older_than` the
    configuration says how long that is. A dry run releases none."""
    held = DistributionConfig.current().minutes("stuck") if older_than is None else older_than
    told = reason or sentences.STUCK % {"minutes": round(held.total_seconds() / 60)}
    found = Device.objects.stuck(db_now() - held)
    return [_told(device, not dry_run and settling.release_stuck(device, told)) for device in found]


def _told(device: Device, is_released: bool) -> Stuck:
    return Stuck(
        device=device.device,
        fleet=device.fleet,
        task_id=device.task_id,
        curp=device.current_task,
        since=device.task_start_time,
        is_released=is_released,
    )
