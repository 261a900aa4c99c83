"""How a person's task ends and what comes of the person: pure decisions, rules of the documents.

Anything but an accepted call, and a result with condition 4, is "condition 4": the work record is
complete with 4, the device free, the person back for another try.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta
from zoneinfo import ZoneInfo

from queues import sentences
from queues.errors import ErrorClass
from queues.models.imss import NbcRecord, QueueEntry

Condition = QueueEntry.Condition
Person = NbcRecord.Status
AFTER_MIDNIGHT = "el correo ya fue modificado durante el dia"
BUSY_FOR = timedelta(seconds=60)
SOON = timedelta(seconds=60)
BAD_REQUESTS = 2  # the second one is final: asking again will not make it better
OUTCOMES = {
    Condition.FOUND: Person.FOUND,
    Condition.REFER: Person.SUBDELEGACION,
    Condition.OTHER: Person.NOT_FOUND,
}


@dataclass(frozen=True)
class Ending:
    """`person`: where the person goes. `counts`: whether this was one of the person's attempts.
    `blames_device`: it counts towards the device's quarantine."""

    condition: int
    message: str
    person: str
    error_class: str = ""
    available_at: datetime | None = None
    counts: bool = True
    blames_device: bool = False
    bad_request: bool = False

    @property
    def success(self) -> bool:
        return self.condition in QueueEntry.SUCCESSFUL


@dataclass(frozen=True)
class Tries:
    """A person's attempts so far, the one that ends counted, and how many there may be."""

    attempts: int
    most: int
    bad_requests: int = 0


def of_result(
    condition: int, message: str, error_class: str, tries: Tries, now: datetime, zone: ZoneInfo
) -> Ending:
    """What a scraper reported."""
    if condition in OUTCOMES:
        return Ending(condition, message, OUTCOMES[Condition(condition)])
    error_class = error_class or ErrorClass.SITE
    blames_device = error_class == ErrorClass.DEVICE
    if AFTER_MIDNIGHT in _plain(message):
        midnight = datetime.combine(now.astimezone(zone).date() + timedelta(days=1), time(), zone)
        return Ending(
            condition, message, Person.AFTER_MIDNIGHT, error_class, midnight, counts=False
        )
    return _again(message, error_class, tries, now + SOON, blames_device=blames_device)


def busy(message: str, retry_after: float | None, now: datetime) -> Ending:
    """429: nobody's fault, and no attempt of the person's."""
    delay = BUSY_FOR if retry_after is None else timedelta(seconds=retry_after)
    return _back(message or sentences.BUSY, ErrorClass.BUSY, now + delay, counts=False)


def bad_request(message: str, tries: Tries, now: datetime) -> Ending:
    """400: once may be a passing fault, twice is the person's data."""
    if tries.bad_requests + 1 >= BAD_REQUESTS:
        return Ending(Condition.ERROR, message, Person.FAILED, ErrorClass.PAYLOAD, bad_request=True)
    return _back(message, ErrorClass.PAYLOAD, now + SOON, bad_request=True)


def unknown(message: str, tries: Tries, now: datetime) -> Ending:
    """An answer that is none of the agreed ones."""
    return _again(message, ErrorClass.SITE, tries, now + SOON)


def unreachable(message: str, now: datetime) -> Ending:
    """No endpoint took the connection: nothing was begun."""
    return _back(message, ErrorClass.INFRASTRUCTURE, now + SOON, counts=False)


def silent(tries: Tries, now: datetime) -> Ending:
    """No result by its deadline."""
    return _again(sentences.NO_RESULT, ErrorClass.TIMEOUT, tries, now, blames_device=True)


def stuck(reason: str, tries: Tries, now: datetime) -> Ending:
    """The device was taken back because it hung."""
    return _again(reason, ErrorClass.DEVICE, tries, now, blames_device=True)


def released(reason: str, now: datetime) -> Ending:
    """A person took the device back."""
    return _back(reason, ErrorClass.DEVICE, now, counts=False)


def stale(tries: Tries, now: datetime) -> Ending:
    """An older task of a person whose window is over, in the way of a new one."""
    return _again(sentences.STALE, ErrorClass.TIMEOUT, tries, now, blames_device=True)


def uncalled(message: str, now: datetime) -> Ending:
    """Its scraper was never called: neither the person nor the device had their chance."""
    return _back(message, ErrorClass.INFRASTRUCTURE, now, counts=False)


def given_up(message: str, tries: Tries, now: datetime) -> Ending:
    """Workers die of it, time and again, before they get as far as the call."""
    return _again(message, ErrorClass.INFRASTRUCTURE, tries, now + SOON)


def _again(
    message: str, error_class: str, tries: Tries, at: datetime, *, blames_device: bool = False
) -> Ending:
    """Another try, while the person has one left."""
    if tries.attempts >= tries.most:
        return Ending(
            Condition.ERROR, message, Person.FAILED, error_class, blames_device=blames_device
        )
    return _back(message, error_class, at, blames_device=blames_device)


def _back(
    message: str,
    error_class: str,
    at: datetime,
    *,
    counts: bool = True,
    blames_device: bool = False,
    bad_request: bool = False,
) -> Ending:
    return Ending(
        Condition.ERROR,
        message,
        Person.PENDING,
        error_class,
        at,
        counts,
        blames_device,
        bad_request,
    )


def _plain(message: str) -> str:
    """Without accents and case, as scrapers spell it now so, now so."""
    accents = str.maketrans("áéíóúü", "aeiouu")
    return " ".join(message.lower().translate(accents).split())
