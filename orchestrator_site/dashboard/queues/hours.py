"""What ended in each of the last hours, and how long it had waited.

The figures of an hour that is over never change, so they are kept. A look counts about ENOUGH rows
besides those of the hour under way.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from django.core.cache import cache
from django.db.models import Aggregate, Count, DurationField, ExpressionWrapper, FloatField
from django.db.models.functions import TruncHour
from django.utils import timezone

from orchestrator_site.dashboard.queues.kinds import Kind

HOURS = 24
ENOUGH = 100_000  # rows that one look counts
HOUR = timedelta(hours=1)
SETTLED = timedelta(minutes=2)  # after its end nothing is written into an hour any more
KEPT = HOURS * 3600 + 3600  # seconds


@dataclass(frozen=True)
class Hour:
    """`at`: when it began. `median` and `p95`: seconds of waiting, None where nothing ended that
    had waited. `is_counted`: False where a look had no room for it yet."""

    at: datetime
    good: int = 0
    bad: int = 0
    median: float | None = None
    p95: float | None = None
    is_counted: bool = True


class Waits(Aggregate):
    """Median and 95th percentile of intervals, in seconds: a pair, None where there is none."""

    function = "PERCENTILE_CONT"
    output_field = FloatField()

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = (
            "PERCENTILE_CONT(ARRAY[0.5, 0.95]) WITHIN GROUP"
            " (ORDER BY EXTRACT(EPOCH FROM %(expressions)s))"
        )
        return self.as_sql(compiler, connection, template=template, **context)

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        """All of them, in microseconds: the percentiles are taken of the text."""
        return self.as_sql(
            compiler, connection, template="GROUP_CONCAT(%(expressions)s)", **context
        )

    def convert_value(self, value: Any, expression: Any, connection: Any) -> Any:
        if isinstance(value, str):
            seconds = sorted(float(one) / 1e6 for one in value.split(","))
            return (percentile(seconds, 0.5), percentile(seconds, 0.95))
        return tuple(value) if value else None


def percentile(ordered: list[float], part: float) -> float:
    """Between the two values next to the place, as PostgreSQL has it."""
    place = part * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def last_day(kind: Kind, now: datetime) -> list[Hour]:
    """The last 24 hours, the one under way included, the oldest first."""
    current = now.astimezone(UTC).replace(minute=0, second=0, microsecond=0)
    hours = [current - HOUR * back for back in reversed(range(HOURS))]
    key = f"queue-hours:{kind.name}"
    kept: dict[str, Any] = cache.get(key) or {}
    missing = [at for at in hours[:-1] if at.isoformat() not in kept]
    whole = _room(kind, missing)
    if whole and whole[-1] + HOUR == current:
        found = _of(kind, [*whole, current])
    else:
        found = {**_of(kind, whole), **_of(kind, [current])}
    over = [at for at in missing if at in found and at + HOUR + SETTLED <= now]
    if over:
        wanted = {at.isoformat() for at in hours}
        old = {at: figures for at, figures in kept.items() if at in wanted}
        cache.set(key, old | {at.isoformat(): found[at] for at in over}, KEPT)
    known = {at: kept.get(at.isoformat()) or found.get(at) for at in hours}
    return [_hour(at, figures) for at, figures in known.items()]


def _hour(at: datetime, figures: Any) -> Hour:
    return Hour(at, is_counted=False) if figures is None else Hour(at, *figures)


def _room(kind: Kind, missing: list[datetime]) -> list[datetime]:
    """Of these hours the latest ones, as many as one look may count."""
    if len(missing) < 2:
        return missing
    rows, _is_good, _wait = kind.ended()
    times = rows.filter(processed_at__gte=missing[0], processed_at__lt=missing[-1] + HOUR)
    latest = times.order_by("-processed_at").values_list("processed_at", flat=True)
    since = next(iter(latest[ENOUGH : ENOUGH + 1]), missing[0])
    return [at for at in missing if at >= since] or missing[-1:]


def _of(kind: Kind, hours: list[datetime]) -> dict[datetime, list[Any]]:
    """Good, bad, median and 95th percentile of each of hours that follow one another."""
    if not hours:
        return {}
    rows, is_good, wait = kind.ended()
    since, until = hours[0], hours[-1] + HOUR
    timed = rows.filter(processed_at__gte=since, processed_at__lt=until).annotate(
        hour=TruncHour("processed_at", tzinfo=UTC),
        waited=ExpressionWrapper(wait, DurationField()),
    )
    figures = timed.values("hour").annotate(
        good=Count("pk", filter=is_good), bad=Count("pk", filter=~is_good), waits=Waits("waited")
    )
    by_hour: Mapping[datetime, Any] = {one["hour"]: one for one in figures}
    return {at: _figures(by_hour.get(at)) for at in hours}


def _figures(one: Any) -> list[Any]:
    return [one["good"], one["bad"], *(one["waits"] or (None, None))] if one else [0, 0, None, None]


def local(at: datetime) -> str:
    return timezone.localtime(at).strftime("%H:%M")
