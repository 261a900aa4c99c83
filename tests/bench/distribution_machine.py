"""The stateful property test of distribution, at length, on both databases."""

from __future__ import annotations

import logging
from typing import Any

from tests.bench.support import inside
from tests.bench.support.figure import Figure, Target, plain
from tests.brain.test_distribution_machine import DistributionMachine, check

EXAMPLES, QUICK_EXAMPLES, STEPS = 500, 25, 50


class Counted(DistributionMachine):
    begun = 0

    def __init__(self) -> None:
        super().__init__()
        Counted.begun += 1


def run(quick: bool) -> list[Figure]:
    examples = QUICK_EXAMPLES if quick else EXAMPLES
    with inside.on_postgresql() as environment:
        told = inside.call(__name__, "tried", examples, environment=environment)
    return [*_figures("postgresql", told, examples), *_figures("sqlite", tried(examples), examples)]


def tried(examples: int) -> dict[str, Any]:
    """How many examples were begun, and what the one that failed says."""
    logging.disable(logging.WARNING)  # late results by the hundred
    failure = ""
    try:
        check(examples, STEPS, Counted, print_blob=True)
    except Exception as error:  # the rim: a failure is the figure
        failure = "\n".join([f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])])
    return {"examples": Counted.begun, "failure": failure}


def _figures(database: str, told: dict[str, Any], examples: int) -> list[Figure]:
    name = f"distribution_machine.{database}"
    return [
        plain(
            f"{name}.examples",
            [told["examples"]],
            f"of {STEPS} steps",
            Target("value", ">=", examples),
        ),
        plain(
            f"{name}.failures",
            [int(bool(told["failure"]))],
            "examples",
            Target("value", "<=", 0),
            told["failure"],
        ),
    ]
