"""The device board: each pool, who holds which device since when, and the stuck ones on top."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.http import urlencode
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, pgettext_lazy

from devices.models import Device
from orchestrator_site import sentences
from orchestrator_site.clock import db_now
from queues.admin.lists import page_of
from queues.models import DistributionConfig, QueueEntry

SHOWN = 3000  # devices of one look
LONGEST = 100  # characters of a text
STUCK, HELD, FREE = "stuck", "held", "free"
QUARANTINED, DRAINING, OFFLINE = "quarantined", "draining", "offline"
# In the order in which a pool shows them: the word, and its tone.
STATES: Mapping[str, tuple[Any, str]] = {
    STUCK: (gettext_lazy("Stuck"), "bad"),
    HELD: (pgettext_lazy("device", "Held"), "busy"),
    QUARANTINED: (gettext_lazy("Quarantined"), "warn"),
    DRAINING: (gettext_lazy("Draining"), "warn"),
    FREE: (gettext_lazy("Free"), "ok"),
    OFFLINE: (gettext_lazy("Offline"), "off"),
}
ORDER = list(STATES)


@dataclass(frozen=True)
class Cell:
    """A device. `also`: what is true of it besides; `curp`: "" for who may not know the person."""

    device: Device
    url: str
    state: str
    also: list[Any]
    why: str
    curp: str
    task_url: str
    generator: str

    @property
    def label(self) -> Any:
        return STATES[self.state][0]

    @property
    def tone(self) -> str:
        return STATES[self.state][1]


@dataclass(frozen=True)
class Number:
    """How many of a pool are in a state, and the board with them alone."""

    label: Any
    tone: str
    count: int
    url: str


@dataclass(frozen=True)
class Pool:
    name: str
    total: int
    numbers: list[Number]
    cells: list[Cell]


@dataclass(frozen=True)
class Asked:
    """The filters, "" for none; a pool is `fleet/process`."""

    pool: str
    state: str
    text: str

    @property
    def is_filtered(self) -> bool:
        return bool(self.pool or self.state or self.text)

    def takes(self, cell: Cell) -> bool:
        known_as = (cell.device.device, cell.device.device_name, cell.device.instance, cell.curp)
        is_meant = any(self.text.lower() in one.lower() for one in (*known_as, cell.generator))
        return self.state in ("", cell.state) and is_meant


def page(request: HttpRequest) -> HttpResponse:
    if not request.user.has_perm("devices.view_device"):
        raise PermissionDenied
    context = {**admin.site.each_context(request), **_context(request, db_now())}
    return TemplateResponse(request, "admin/devices/board.html", context)


def _context(request: HttpRequest, now: datetime) -> dict[str, Any]:
    asked = Asked(
        pool=request.GET.get("pool", ""),
        state=state if (state := request.GET.get("state", "")) in STATES else "",
        text=request.GET.get("q", "").strip()[:LONGEST],
    )
    devices = list(Device.objects.order_by("fleet", "process", "device", "pk")[: SHOWN + 1])
    found = _pools(cells(devices[:SHOWN], now, _sees_people(request)), asked)
    return {
        "title": _("Device board"),
        "now": now,
        "is_part": "HX-Request" in request.headers,
        "asked": asked,
        "address": reverse("device-board"),
        "pools": [one for one in found if one.cells],
        "pool_names": sorted({_pool(one) for one in devices}),
        "states": [(name, label) for name, (label, _tone) in STATES.items()],
        "stuck": [cell for one in found for cell in one.cells if cell.state == STUCK],
        "stuck_minutes": DistributionConfig.current().stuck_minutes,
        "is_any": bool(devices),
        "shown": SHOWN if len(devices) > SHOWN else None,
        "may_operate": request.user.has_perm("devices.operate_device"),
    }


def cells(devices: Sequence[Device], now: datetime, sees_people: bool) -> list[Cell]:
    """In the order of their states, the longest held first."""
    before = now - DistributionConfig.current().minutes("stuck")
    stuck = set(Device.objects.stuck(before).order_by().values_list("pk", flat=True))
    task_ids = [one.task_id for one in devices if one.task_id is not None]
    tasks = QueueEntry.objects.filter(pk__in=task_ids).order_by()
    generators: dict[int, Any] = dict(tasks.values_list("pk", "generator_id"))
    found = [_cell(one, one.pk in stuck, generators, sees_people) for one in devices]
    return sorted(found, key=lambda one: (ORDER.index(one.state), _held_since(one, now)))


def _cell(device: Device, is_stuck: bool, generators: Mapping[int, Any], sees_people: bool) -> Cell:
    state = _state(device, is_stuck)
    task_url = ""
    if device.task_id is not None and device.task_id in generators:
        task_url = reverse("admin:queues_queueentry_change", args=[device.task_id])
    return Cell(
        device=device,
        url=page_of(device),
        state=state,
        also=_besides(device, state),
        why=sentences.told(device.status_reason),
        curp=device.current_task if sees_people else "",
        task_url=task_url,
        generator=generators.get(device.task_id or 0, ""),
    )


def _state(device: Device, is_stuck: bool) -> str:
    """The one word: who is held is at work, whatever its service; else what keeps it from work."""
    if not device.available:
        return STUCK if is_stuck else HELD
    if device.status == Device.Status.QUARANTINED:
        return QUARANTINED
    if not device.online:
        return OFFLINE
    return DRAINING if device.status == Device.Status.DRAINING else FREE


def _besides(device: Device, state: str) -> list[Any]:
    """What its one word leaves out."""
    known = {
        QUARANTINED: device.status == Device.Status.QUARANTINED,
        DRAINING: device.status == Device.Status.DRAINING,
        OFFLINE: not device.online,
    }
    return [STATES[name][0] for name, is_so in known.items() if is_so and name != state]


def _held_since(cell: Cell, now: datetime) -> datetime:
    """Nobody knows since when: longer than any."""
    device = cell.device
    return (device.task_start_time or device.updated_at) if not device.available else now


def _pools(found: Sequence[Cell], asked: Asked) -> list[Pool]:
    """Those asked for, with the counts of all of their devices."""
    by_pool: dict[str, list[Cell]] = {}
    for cell in found:
        by_pool.setdefault(_pool(cell.device), []).append(cell)
    return [
        Pool(name, len(of), _numbers(name, of), [cell for cell in of if asked.takes(cell)])
        for name, of in sorted(by_pool.items())
        if asked.pool in ("", name)
    ]


def _numbers(pool: str, of: Sequence[Cell]) -> list[Number]:
    counted = Counter(cell.state for cell in of)
    address = reverse("device-board")
    return [
        Number(label, tone, counted[name], f"{address}?{urlencode({'pool': pool, 'state': name})}")
        for name, (label, tone) in STATES.items()
        if counted[name]
    ]


def _pool(device: Device) -> str:
    return f"{device.fleet}/{device.process}"


def _sees_people(request: HttpRequest) -> bool:
    return request.user.has_perm("queues.view_nbcrecord")
