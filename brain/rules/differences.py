"""What is different between two versions of a flow, step by step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any, Literal

from queues.browser import scripts
from queues.browser.scripts import Step

Sign = Literal["=", "~", "+", "-"]


@dataclass(frozen=True)
class Difference:
    """A step of either version: the same (=), changed (~), new (+) or gone (-).

    The numbers count from 1; None where that version lacks it. `step` is the new one, and of a
    step that is gone the old one. `changed`: the keys that differ, of a changed step, with their
    old values; None for a key that the old one lacked.
    """

    sign: Sign
    number_old: int | None
    number_new: int | None
    step: Step
    changed: dict[str, Any]


def flow_differences(old_steps: Sequence[Step], new_steps: Sequence[Step]) -> list[Difference]:
    """In the order of the new version, what is gone where it stood."""
    old = [scripts.canonical([step]) for step in old_steps]
    new = [scripts.canonical([step]) for step in new_steps]
    found: list[Difference] = []
    for _tag, start, end, new_start, new_end in SequenceMatcher(
        None, old, new, autojunk=False
    ).get_opcodes():
        left = list(enumerate(old_steps[start:end], start + 1))
        right = list(enumerate(new_steps[new_start:new_end], new_start + 1))
        found += _between(left, right)
    return found


Numbered = list[tuple[int, Step]]


def _between(left: Numbered, right: Numbered) -> list[Difference]:
    """Steps that stand in one another's place. Those of the same verb are one step, changed."""
    pairs = SequenceMatcher(
        None, [step.get("do") for _n, step in left], [step.get("do") for _n, step in right], False
    )
    found: list[Difference] = []
    for tag, start, end, new_start, new_end in pairs.get_opcodes():
        if tag == "equal":
            matched = zip(left[start:end], right[new_start:new_end], strict=True)
            found += [_compared(*old, *new) for old, new in matched]
        else:
            found += [Difference("-", number, None, step, {}) for number, step in left[start:end]]
            found += [
                Difference("+", None, number, step, {}) for number, step in right[new_start:new_end]
            ]
    return found


def _compared(number_old: int, old: Step, number_new: int, new: Step) -> Difference:
    keys = [key for key in {**new, **old} if _value(old, key) != _value(new, key)]
    changed = {key: old.get(key) for key in keys}
    return Difference("~" if changed else "=", number_old, number_new, new, changed)


def _value(step: Step, key: str) -> tuple[type, Any]:
    """True is not 1 in a script."""
    return type(step.get(key)), step.get(key)
