"""What follows from a failure: a pure decision by the error's class."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import Enum

from queues.errors import ErrorClass

FINAL = frozenset({ErrorClass.BUSINESS, ErrorClass.PAYLOAD})
FIRST_DELAY = {
    ErrorClass.SITE: timedelta(seconds=60),
    ErrorClass.SESSION: timedelta(seconds=30),
    ErrorClass.DEVICE: timedelta(seconds=30),
    ErrorClass.BUSY: timedelta(seconds=60),
    ErrorClass.TIMEOUT: timedelta(seconds=60),
    ErrorClass.INFRASTRUCTURE: timedelta(seconds=5),
}
LONGEST_DELAY = timedelta(hours=1)


class Next(Enum):
    RETRY = "retry"
    FAILED = "failed"
    IN_DOUBT = "in_doubt"
    SENT = "sent"


@dataclass(frozen=True)
class Verdict:
    next: Next
    delay: timedelta = timedelta(0)


def after_failure(
    error_class: str, *, attempts: int, max_attempts: int, begun: bool, confirmed: bool
) -> Verdict:
    """`attempts` counts the one that failed; `begun`: the irrevocable step's intent is stored.

    What was begun is never repeated: confirmed by the site it is sent, else a person decides.
    """
    if begun:
        return Verdict(Next.SENT if confirmed else Next.IN_DOUBT)
    if error_class in FINAL or attempts >= max_attempts:
        return Verdict(Next.FAILED)
    return Verdict(Next.RETRY, delay(error_class, attempts))


def delay(error_class: str, attempts: int) -> timedelta:
    """The wait before the next attempt: doubled each time."""
    first = FIRST_DELAY.get(ErrorClass(error_class), timedelta(seconds=60))
    return min(first * 2 ** max(attempts - 1, 0), LONGEST_DELAY)
