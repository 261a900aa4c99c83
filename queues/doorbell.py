"""The doorbell: the only importer of django-q2, which wakes and is never the truth."""

from __future__ import annotations

import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.db import transaction
from django_q.models import Failure, OrmQ, Schedule, Success
from django_q.status import Stat
from django_q.tasks import async_task
from redis.exceptions import RedisError


@dataclass(frozen=True)
class Tick:
    """A function that a cluster is to call again and again."""

    name: str
    function: str
    cluster: str
    minutes: int = 1
    args: tuple[int | str, ...] = ()


@dataclass(frozen=True)
class Standing:
    """A cluster's own word: the process that takes in the results, and how many of its processes
    it has replaced."""

    monitor: int
    replaced: int


# A broker that is away for a moment; the database's errors are its own.
BROKER_AWAY = (RedisError,)
# For the admin, which shows them in its own look.
Q_MODELS = (Schedule, Success, Failure, OrmQ)
TICKS: list[Tick] = []


def register(*ticks: Tick) -> None:
    """An app says what its clusters are to call; done when the app is ready."""
    TICKS.extend(ticks)


def ring(cluster: str, function: str, *args: Any, is_hint: bool = False) -> None:
    """Call `function` (dotted) on a cluster once this transaction is committed. Args: ids only.

    `is_hint`: a tick would do without; that the broker is away is logged, and fails nothing.
    """
    transaction.on_commit(lambda: async_task(function, *args, cluster=cluster), robust=is_hint)


def schedule_ticks(clusters: Sequence[str] = ()) -> None:
    """Make the schedules be what the apps registered; staff's own are left alone."""
    for tick in TICKS:
        if clusters and tick.cluster not in clusters:
            continue
        Schedule.objects.update_or_create(
            name=tick.name,
            defaults={
                "func": tick.function,
                "args": repr(tick.args) if tick.args else None,
                "cluster": tick.cluster,
                "schedule_type": Schedule.MINUTES,
                "minutes": tick.minutes,
                "repeats": -1,
            },
        )


def ring_ticks(cluster: str) -> None:
    """Call at once what the cluster's schedules would call by and by."""
    for tick in TICKS:
        if tick.cluster == cluster:
            async_task(tick.function, *tick.args, cluster=cluster)


def overdue(now: datetime) -> Iterator[tuple[str, timedelta]]:
    """The schedules whose time is past, by name, and by how much. One that no cluster looks at
    stays so; one that is used up has no time."""
    late = Schedule.objects.exclude(repeats=0).filter(next_run__lt=now).order_by("id")
    for schedule in late:
        yield schedule.name or schedule.func, now - schedule.next_run


def known_clusters() -> list[str]:
    return sorted(settings.Q_CLUSTER["ALT_CLUSTERS"])


def standing_of(main: int) -> Standing | None:
    """What the cluster of this host with that main process says of itself; None: nothing yet."""
    host = socket.gethostname()
    said = (one for one in Stat.get_all() if (one.host, one.pid) == (host, main) and one.monitor)
    return next((Standing(one.monitor, one.reincarnations) for one in said), None)
