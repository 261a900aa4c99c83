"""Who gets the next person: levels, slots, rotation. Pure: numbers in, a choice with its reasons
out, the same for the same numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    GOOD = "good"
    NORMAL = "normal"
    BAD = "bad"


class Why(StrEnum):
    """Why a generator was passed over."""

    DISABLED = "disabled"
    FAILING = "failing"
    UNREACHABLE = "unreachable"
    OFFLINE = "offline"
    NO_SHARE = "no_share"
    LIMIT = "limit"
    BUSY = "busy"


# What time alone does not mend within a batch: such a generator's slots pass on.
UNUSABLE = (Why.DISABLED, Why.FAILING, Why.UNREACHABLE, Why.OFFLINE)


@dataclass(frozen=True)
class Contender:
    """A generator as the choice sees it. `slots`: of the whole batch; `used`: of them so far.

    A small `share`, in per cent, may be no slot of a small batch: it inherits from others still.
    """

    name: str
    enabled: bool = True
    is_failing: bool = False
    is_reachable: bool = True
    online: int = 0
    free: int = 0
    share: int = 0
    slots: int = 0
    used: int = 0

    def unusable(self) -> Why | None:
        if not self.enabled:
            return Why.DISABLED
        if self.is_failing:
            return Why.FAILING
        if not self.is_reachable:
            return Why.UNREACHABLE
        return None if self.online else Why.OFFLINE

    @property
    def has_share(self) -> bool:
        return bool(self.share or self.slots)

    def why_not(self) -> Why | None:
        """Why it cannot take one more person now; None: it can."""
        if reason := self.unusable():
            return reason
        if not self.has_share:
            return Why.NO_SHARE
        if self.used >= self.slots:
            return Why.LIMIT
        return None if self.free else Why.BUSY


@dataclass(frozen=True)
class Choice:
    """The outcome for one person. `contenders` are in rotation order, as they stood before."""

    counter: int
    contenders: tuple[Contender, ...]
    chosen: str | None
    passed: tuple[tuple[str, Why], ...]

    def afterwards(self) -> tuple[Contender, ...]:
        """The contenders once this choice was carried out."""
        return tuple(_with_one_more(one, self.chosen) for one in self.contenders)

    def as_dict(self) -> dict[str, Any]:
        """What `replayed` needs, and what a person reads."""
        return {
            "counter": self.counter,
            "contenders": [dict(vars(one)) for one in self.contenders],
            "chosen": self.chosen,
            "passed": [[name, str(why)] for name, why in self.passed],
        }


def level(rate: float | None, high: float, low: float) -> Level:
    """The row of shares for a success rate in per cent; None: nothing has finished yet."""
    if rate is None:
        return Level.NORMAL
    if rate >= high:
        return Level.GOOD
    return Level.NORMAL if rate >= low else Level.BAD


def slots(size: int, shares: Mapping[str, int], remainder: str | None) -> dict[str, int]:
    """How many of a batch of `size` each generator takes; always `size` in all.

    `shares` are per cent by name, in rotation order, each of the row that its generator's level
    picked. `remainder` takes what the others leave; together above 100 they are scaled down.
    Where nobody takes the remainder, the first in rotation with a share does.
    """
    if not shares:
        return {}
    others = {name: share for name, share in shares.items() if name != remainder}
    whole = max(sum(others.values()), 100)
    found = {name: size * share // whole for name, share in others.items()}
    rest = remainder if remainder and remainder in shares else _first_with_a_share(shares)
    found[rest] = found.get(rest, 0) + size - sum(found.values())
    return {name: found[name] for name in shares}


def passed_on(contenders: Sequence[Contender]) -> tuple[Contender, ...]:
    """The contenders with the unused slots of those that cannot be used given to the next in
    rotation that can and has a share. Where there is none they stay."""
    result = {one.name: one for one in contenders}
    for place, one in enumerate(contenders):
        spare = one.slots - one.used
        heir = _next_usable(contenders, place) if one.unusable() and spare > 0 else None
        if heir:
            result[heir] = replace(result[heir], slots=result[heir].slots + spare)
            result[one.name] = replace(one, slots=one.used)
    return tuple(result.values())


def choose(counter: int, contenders: Sequence[Contender]) -> Choice:
    """The preferred generator by the counter, or the next in rotation that can take a person."""
    passed: list[tuple[str, Why]] = []
    for step in range(len(contenders)):
        one = contenders[(counter + step) % len(contenders)]
        why = one.why_not()
        if why is None:
            return Choice(counter, tuple(contenders), one.name, tuple(passed))
        passed.append((one.name, why))
    return Choice(counter, tuple(contenders), None, tuple(passed))


def distribute(people: int, counter: int, contenders: Sequence[Contender]) -> Iterator[Choice]:
    """A choice for each of `people`, one after the other; ends with the first that finds nobody.

    The counter moves with each person who is assigned.
    """
    standing = tuple(contenders)
    for _ in range(people):
        choice = choose(counter, standing)
        yield choice
        if choice.chosen is None:
            return
        counter += 1
        standing = choice.afterwards()


def replayed(stored: Mapping[str, Any]) -> Choice:
    """The choice made anew from what `Choice.as_dict` stored."""
    contenders = [Contender(**one) for one in stored["contenders"]]
    return choose(stored["counter"], contenders)


def is_the_same_anew(stored: Mapping[str, Any], answer: str) -> bool:
    """Whether the stored choice, made anew, comes to `answer` for the same reasons."""
    try:
        again = replayed(stored)
    except (KeyError, TypeError, ValueError):  # it was not written by `Choice.as_dict`
        return False
    # Before shares were kept a contender had none; the choice came to the same.
    same = again.as_dict()["passed"] == stored.get("passed")
    return same and again.chosen == answer == stored.get("chosen")


def _with_one_more(one: Contender, chosen: str | None) -> Contender:
    return replace(one, used=one.used + 1, free=one.free - 1) if one.name == chosen else one


def _next_usable(contenders: Sequence[Contender], place: int) -> str | None:
    for step in range(1, len(contenders)):
        one = contenders[(place + step) % len(contenders)]
        if one.unusable() is None and one.has_share:
            return one.name
    return None


def _first_with_a_share(shares: Mapping[str, int]) -> str:
    return next((name for name, share in shares.items() if share), next(iter(shares)))
