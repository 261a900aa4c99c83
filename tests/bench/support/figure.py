"""What a benchmark measured, and whether that is good enough."""

from __future__ import annotations

import operator
import statistics
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

HOLDS = {"<=": operator.le, ">=": operator.ge, "<": operator.lt}


@dataclass(frozen=True)
class Target:
    """`of` is the figure's own field that is judged: value or ratio."""

    of: str
    sign: str
    bound: float

    def __str__(self) -> str:
        return f"{self.of} {self.sign} {self.bound:g}"


@dataclass(frozen=True)
class Figure:
    """The median of `runs`. Without a target it is there to be read."""

    name: str
    value: float
    unit: str
    runs: Sequence[float]
    baseline: float | None = None
    ratio: float | None = None
    target: Target | None = None
    note: str = ""

    @property
    def ok(self) -> bool | None:
        if self.target is None:
            return None
        judged = self.value if self.target.of == "value" else self.ratio
        return judged is not None and HOLDS[self.target.sign](judged, self.target.bound)

    def as_dict(self) -> dict[str, Any]:
        target = str(self.target) if self.target else None
        return {**asdict(self), "target": target, "ok": self.ok}


def plain(
    name: str, runs: Sequence[float], unit: str, target: Target | None = None, note: str = ""
) -> Figure:
    return Figure(name, statistics.median(runs), unit, tuple(runs), target=target, note=note)


def compared(
    name: str,
    runs: Sequence[float],
    baselines: Sequence[float],
    unit: str,
    target: Target | None = None,
    note: str = "",
) -> Figure:
    """Both sides of each run. The ratio is the median of the runs' own ratios: what disturbs the
    machine for a while disturbs both sides of a run."""
    ratios = [ours / bare for ours, bare in zip(runs, baselines, strict=True)]
    return Figure(
        name=name,
        value=statistics.median(runs),
        unit=unit,
        runs=tuple(runs),
        baseline=statistics.median(baselines),
        ratio=statistics.median(ratios),
        target=target,
        note=" ".join(filter(None, [note, f"ratios {told(ratios)}"])),
    )


def told(numbers: Sequence[float]) -> str:
    return " ".join(f"{number:.4g}" for number in numbers)
