"""Devices that Mongo has: new ones, and the online flags of all."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.db import transaction

from devices.models import Device, Fleet
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import sentences
from queues.mirror.incoming.comparing import marked, write_differing
from queues.mirror.incoming.refusing import Refusals, Unreadable
from queues.mirror.incoming.values import flag, moment, text
from queues.mirror.kinds import MINI, device_document
from queues.models import DistributionConfig

FIELDS = {
    **dict.fromkeys(("device", "device_name", "process", "instance", "online"), 1),
    **dict.fromkeys(("available", "current_task", "task_id", "task_start_time"), 1),
}


def both_fleets() -> int:
    return sum(_Fleet(fleet).take_in() for fleet in Fleet.values)


class _Fleet:
    """The devices of one fleet on both sides."""

    def __init__(self, fleet: str) -> None:
        self.fleet = fleet
        self.refusals = Refusals((MINI, fleet))
        self.known = {row.device: row for row in Device.objects.filter(fleet=fleet)}
        self.seen: dict[str, Mapping[str, Any]] = {}
        self.stuck_since = db_now() - DistributionConfig.current().minutes("stuck")

    def take_in(self) -> int:
        taken = sum(
            self.refusals.judge(document, partial(self._take, document))
            for document in self.refusals.documents({}, FIELDS)
        )
        rows = {self._key(name): device_document(row) for name, row in self.known.items()}
        there = {self._key(name): document for name, document in self.seen.items()}
        write_differing("device", rows, there)
        return taken

    def _key(self, name: str) -> str:
        return f"{self.fleet}/{name}"

    def _take(self, document: Mapping[str, Any]) -> bool:
        name = text(document, "device", 100)
        if name in self.seen:
            raise Unreadable(sentences.DEVICE_TWICE % {"name": name})
        self.seen[name] = document
        online = flag(document, "online")
        if name in self.known:
            return online is not None and _switch(self.known[name], online)
        return self._is_new(name, document) and self._create(name, online, document)

    def _is_new(self, name: str, document: Mapping[str, Any]) -> bool:
        """Not one that was deleted here and is still to be there, nor one that has a task of
        somebody else's: that is taken in when the task has ended, or hangs."""
        since = moment(document.get("task_start_time"))
        is_fresh = since is not None and since > self.stuck_since
        is_at_work = is_fresh and not document.get("available")
        return not is_at_work and not marked("device", [self._key(name)])

    def _create(self, name: str, online: bool | None, document: Mapping[str, Any]) -> bool:
        row = Device(
            fleet=self.fleet,
            device=name,
            device_name=text(document, "device_name", 200, is_needed=False),
            process=text(document, "process", 32),
            instance=text(document, "instance", 64, is_needed=False),
            online=bool(online),
            mirror_online=online,
        )
        with transaction.atomic():
            row.save()
            Event.record([row], "", row.status, sentences.FOUND_IN_MONGO)
        self.known[name] = row
        return True


def _switch(row: Device, online: bool) -> bool:
    """The flag counts when it changes there: what the device itself says since is newer. At the
    first look nobody knows what changed: then a device that says nothing itself goes by it."""
    if online == row.mirror_online:
        return False
    with transaction.atomic():
        Device.objects.filter(pk=row.pk).update(mirror_online=online)
        if row.mirror_online is None and row.heartbeat_at:
            return False
        return row.switch(online, sentences.FLAG_IN_MONGO)
