"""Generators and pools of devices as the overview shows them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import reverse
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from brain.distribution import Level
from brain.shares import LEVEL_NAMES, LEVEL_TONES
from orchestrator_site.dashboard.numbers import Number, listed, moment
from queues.models import Generator, QueueEntry

DEVICES, TASKS = "devices_device", "queues_queueentry"
# What devices are, and how the list of devices is asked for them.
KINDS: tuple[tuple[str, Any, str, dict[str, str]], ...] = (
    ("stuck", _("stuck"), "bad", {"held": "stuck"}),
    ("held", pgettext_lazy("devices", "held"), "busy", {"held": "held"}),
    (
        "free",
        pgettext_lazy("devices", "free"),
        "ok",
        {"held": "free", "online__exact": "1", "status__exact": "in_service"},
    ),
    (
        "quarantined",
        pgettext_lazy("devices", "quarantined"),
        "warn",
        {"status__exact": "quarantined"},
    ),
    ("draining", pgettext_lazy("devices", "draining"), "warn", {"status__exact": "draining"}),
    ("offline", pgettext_lazy("devices", "offline"), "off", {"online__exact": "0"}),
)


@dataclass(frozen=True)
class Pool:
    """`strip`: tones with the number of devices, each device in one of them. `numbers`: those
    that there are, of which a device may be in two (held, and stuck)."""

    name: str
    total: Number
    strip: list[tuple[str, int]]
    numbers: list[Number]


@dataclass(frozen=True)
class Line:
    """A generator with its pool; a pool without a generator has no name of one."""

    name: str
    url: str
    state: Any
    tone: str
    trouble: str
    left_alone: list[dict[str, Any]]
    level: Any
    level_tone: str
    share: int
    takes_remainder: bool
    rate: float | None
    tasks: list[Number]
    pool: Pool | None


def lines(data: Mapping[str, Any]) -> list[Line]:
    """Every generator in rotation order, then the pools that none works."""
    pools = {(row["fleet"], row["process"]): row for row in data["pools"]}
    known = [
        _generator(row, pools.get((row["fleet"], row["process"]))) for row in data["generators"]
    ]
    return [*known, *(_alone(row) for row in data["pools"] if row["generator"] is None)]


def _generator(row: Mapping[str, Any], pool: Mapping[str, Any] | None) -> Line:
    state, tone = _state(row)
    level = Level(row["level"])
    return Line(
        name=row["name"],
        url=reverse("admin:queues_generator_change", args=[row["id"]]),
        state=state,
        tone=tone,
        trouble=row["last_failure"],
        left_alone=[{**one, "until_at": moment(one["until_at"])} for one in row["left_alone"]],
        level=LEVEL_NAMES[level],
        level_tone=LEVEL_TONES[level],
        share=row["share"],
        takes_remainder=row["takes_remainder"],
        rate=row["rate"],
        tasks=[
            Number(
                status.label,
                "wait" if status == QueueEntry.WAITING else "busy",
                row["tasks"][status.value],
                listed(TASKS, generator__name__exact=row["name"], status__exact=status.value),
            )
            for status in QueueEntry.LIVE
        ],
        pool=_pool(pool) if pool else None,
    )


def _state(row: Mapping[str, Any]) -> tuple[Any, str]:
    if not row["enabled"]:
        return _("Disabled"), "off"
    if row["status"] == Generator.Status.FAILING:
        return Generator.Status.FAILING.label, "bad"
    if not row["is_reachable"]:
        return _("No endpoint"), "bad"
    return Generator.Status.RUNNING.label, "ok"


def _alone(row: Mapping[str, Any]) -> Line:
    return Line(
        *("", "", _("No generator"), "off", "", [], "", "off", 0, False, None, []), pool=_pool(row)
    )


def _pool(row: Mapping[str, Any]) -> Pool:
    own = {"fleet__exact": row["fleet"], "process": row["process"]}
    numbers = [
        Number(label, tone, row[kind], listed(DEVICES, **own, **query))
        for kind, label, tone, query in KINDS
        if row[kind]
    ]
    strip = [
        ("bad", row["stuck"]),
        ("busy", row["held"] - row["stuck"]),
        ("ok", row["free"]),
        ("off", row["idle"]),
    ]
    return Pool(
        name=row["process"],
        total=Number("", "off", row["total"], listed(DEVICES, **own)),
        strip=[(tone, n) for tone, n in strip if n > 0],
        numbers=numbers,
    )
