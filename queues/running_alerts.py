"""What staff can be warned of in what works: workers and generators that fell silent, devices
that hang."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from django.db.models import Count, Max
from django.utils.translation import gettext_lazy

from devices.models import Device, Worker
from orchestrator_site.clock import db_now
from orchestrator_site.measures import Measure, Reading
from queues import sentences
from queues.models import DistributionConfig, Generator

MINUTE = timedelta(minutes=1)
GONE = timedelta(days=7)  # who is silent for longer was taken out of service


def silent_workers() -> Iterator[Reading]:
    """How many minutes no worker of a kind has been heard on a host. One that died does not count
    where another of its kind took its place; who leaves by itself signs off."""
    now = db_now()
    known = Worker.objects.filter(heartbeat_at__gte=now - GONE).order_by()
    heard = known.values_list("kind", "host").annotate(last=Max("heartbeat_at"))
    for kind, host, last in heard:
        minutes = max((now - last) / MINUTE, 0)
        said = sentences.WORKER_SILENT % {"kind": kind, "host": host, "minutes": minutes}
        yield Reading(f"{kind} {host}", round(minutes, 1), said)


def silent_generators() -> Iterator[Reading]:
    """How many minutes ago an enabled generator reported last. One that never did is new."""
    now = db_now()
    for row in Generator.objects.filter(enabled=True, last_update__isnull=False):
        minutes = max((now - (row.last_update or now)) / MINUTE, 0)
        said = sentences.GENERATOR_SILENT % {"name": row.name, "minutes": minutes}
        yield Reading(row.name, round(minutes, 1), said)


def stuck_devices() -> Iterator[Reading]:
    """How many devices of a pool are held for too long, though those are released each minute."""
    held = DistributionConfig.current().minutes("stuck")
    stuck = Device.objects.stuck(db_now() - held).order_by()
    for fleet, process, count in stuck.values_list("fleet", "process").annotate(Count("pk")):
        pool = f"{fleet} {process}"
        said = sentences.DEVICES_STUCK % {"count": count, "pool": pool, "minutes": held / MINUTE}
        yield Reading(pool, count, said)


MEASURES = (
    Measure(
        "worker_silent",
        gettext_lazy("Silent worker"),
        silent_workers,
        5,
        ">",
        gettext_lazy("min"),
        gettext_lazy("Since a worker of a kind was heard on a host where one was."),
        default_severity="critical",
    ),
    Measure(
        "imss_generator_silent",
        gettext_lazy("Silent generator"),
        silent_generators,
        10,
        ">",
        gettext_lazy("min"),
        gettext_lazy("Since the last capacity report of an enabled generator."),
    ),
    Measure(
        "imss_device_stuck",
        gettext_lazy("Devices stuck"),
        stuck_devices,
        0,
        ">",
        gettext_lazy("devices"),
        gettext_lazy("Held for longer than the configuration allows, by pool."),
        default_for_seconds=300,
    ),
)
