"""Measures: what the apps let staff be warned of. Registered at start, read by `alerting`."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from django.utils.functional import Promise

Text = str | Promise
BEYOND = {">": operator.gt, "<": operator.lt}


@dataclass(frozen=True)
class Reading:
    """What a measure says of one subject: a generator, a pool; "" where there is only one."""

    subject: str
    value: float | None  # None, which no measure says: it could not be read
    message: str


@dataclass(frozen=True)
class Measure:
    """`function` reads it, for every subject, each time that the rules are evaluated."""

    name: str
    title: Text
    function: Callable[[], Iterable[Reading]]
    default_threshold: Decimal | int
    comparison: Literal[">", "<"]
    unit: Text = ""
    help: Text = ""
    default_for_seconds: int = 0
    default_severity: Literal["warning", "critical"] = "warning"

    def is_beyond(self, value: float, threshold: Decimal) -> bool:
        return BEYOND[self.comparison](value, float(threshold))


MEASURES: dict[str, Measure] = {}


def register(*measures: Measure) -> None:
    """An app says what can be measured; done when the app is ready."""
    MEASURES.update({measure.name: measure for measure in measures})


def choices() -> list[tuple[str, Text]]:
    return [(name, MEASURES[name].title) for name in sorted(MEASURES)]
