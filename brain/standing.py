"""How each generator stands at a moment: its rate, its level, its pool."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Q

from brain import performance
from brain.distribution import Contender, Level, level
from devices.models import Device
from queues.models import DistributionConfig, Generator


@dataclass(frozen=True)
class Pool:
    """A generator's devices by number. `usable`: online and not out of service."""

    total: int = 0
    online: int = 0
    usable: int = 0
    free: int = 0
    quarantined: int = 0

    @property
    def offline(self) -> int:
        return self.total - self.online


@dataclass(frozen=True)
class Standing:
    """`rate` is None where nothing has finished in the window."""

    generator: Generator
    rate: float | None
    level: Level
    pool: Pool
    is_reachable: bool

    @property
    def contender(self) -> Contender:
        """As a distributor would see it at the start of a batch, its slots not reckoned yet."""
        return Contender(
            name=self.generator.name,
            enabled=self.generator.enabled,
            is_failing=self.generator.status == Generator.Status.FAILING,
            is_reachable=self.is_reachable,
            online=self.pool.usable,
            free=self.pool.free,
        )


def of_all(config: DistributionConfig, now: datetime) -> list[Standing]:
    """Every generator's, in rotation order."""
    generators = Generator.objects.prefetch_related("endpoints").order_by("rotation_order")
    since = now - timedelta(hours=config.window_hours)
    rates = performance.success_rates(generators, since)
    pools = _pools(now)
    return [
        Standing(
            generator=row,
            rate=rates.get(row.name),
            level=level(rates.get(row.name), config.high_threshold, config.low_threshold),
            pool=pools.get((row.fleet, row.process), Pool()),
            is_reachable=row.served_instances(now) != set(),
        )
        for row in generators
    ]


def _pools(now: datetime) -> dict[tuple[str, str], Pool]:
    usable = Q(pk__in=Device.objects.usable(now).filter(online=True).order_by().values("pk"))
    counted = Device.objects.order_by().values("fleet", "process")
    rows = counted.annotate(
        total=Count("pk"),
        on=Count("pk", filter=Q(online=True)),
        usable=Count("pk", filter=usable),
        free=Count("pk", filter=usable & Q(available=True)),
        quarantined=Count("pk", filter=Q(status=Device.Status.QUARANTINED)),
    )
    return {
        (row["fleet"], row["process"]): Pool(
            row["total"], row["on"], row["usable"], row["free"], row["quarantined"]
        )
        for row in rows
    }
