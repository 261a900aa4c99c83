"""Why a person or a task waits, in words. Pure, but for the reader's language and time zone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from queues.models import NbcRecord, QueueEntry

# Why a generator was passed over, by the distributor's word for it.
PASSED = {
    "disabled": gettext_lazy("%(name)s is disabled"),
    "failing": gettext_lazy("%(name)s is failing"),
    "unreachable": gettext_lazy("no endpoint of %(name)s can be asked"),
    "offline": gettext_lazy("no device of %(name)s is online and in service"),
    "no_share": gettext_lazy("%(name)s has no share"),
    "limit": gettext_lazy("%(name)s: limit of %(limit)d reached"),
    "busy": gettext_lazy("all devices of %(name)s are busy"),
}


def of(person: NbcRecord, now: datetime) -> str:
    """What the person waits for; "" where there is nothing to wait for, or nobody has looked."""
    waits = (NbcRecord.Status.PENDING, NbcRecord.Status.AFTER_MIDNIGHT)
    if person.status not in waits:
        return ""
    if person.available_at > now:
        return not_before(person.available_at, now)
    return describe(person.blocker, now)


def of_task(entry: QueueEntry, now: datetime) -> str:
    """What an assigned task waits for; "" where somebody has it. Its generator is read."""
    if entry.status != QueueEntry.WAITING:
        return ""
    if entry.generator.is_worked_from_mongo:
        return _("waits for a worker in Mongo")
    if entry.available_at > now:
        return not_before(entry.available_at, now)
    return _("waits for a worker")


def not_before(at: datetime, now: datetime) -> str:
    return _("not before %(time)s") % {"time": _clock(at, now)}


def describe(blocker: Mapping[str, Any], now: datetime | None = None) -> str:
    """What the distributor wrote down, in words; "" for nothing."""
    kind = blocker.get("kind")
    if kind == "window":
        until = datetime.fromisoformat(blocker["until"])
        text = _("this person was worked on a short while ago: not before %(time)s")
        return text % {"time": _clock(until, now or timezone.now())}
    if kind == "twin":
        text = _("the same CURP is being assigned as record %(nbc_id)s")
        return text % {"nbc_id": blocker["nbc_id"]}
    if kind == "nobody":
        return "; ".join(_passed(one) for one in blocker["passed"])
    return str(kind or "")


def _passed(one: Sequence[Any]) -> str:
    name, why, limit = one
    return str(PASSED.get(why, f"%(name)s: {why}")) % {"name": name, "limit": limit}


def _clock(at: datetime, now: datetime) -> str:
    """In the reader's zone; with the day where it is not today."""
    local = timezone.localtime(at)
    if local.date() == timezone.localtime(now).date():
        return local.strftime("%H:%M")
    return date_format(local, "j M H:i")
