"""Which endpoint is asked, in what order, and when one is left alone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from queues import sentences
from queues.scrapers import client
from queues.scrapers.client import Answer, AnswerKind, Call

logger = logging.getLogger(__name__)

ASSIGNED = "assigned"
# Nothing was sent: another endpoint may be asked.
NOT_SENT = (AnswerKind.UNREACHABLE, AnswerKind.REFUSED, AnswerKind.NOT_THERE)
OPENS_AT = 5
OPEN_FOR = timedelta(seconds=30)
OPEN_AT_MOST = timedelta(minutes=10)


@dataclass(frozen=True)
class Endpoint:
    """Where a scraper listens; an empty instance serves every device.

    `failures` is how often in a row it was not reached; `open_until` is set while its breaker is
    open, and stays set when it is half open, until an answer comes.
    """

    id: int
    url: str
    instance: str = ""
    is_enabled: bool = True
    failures: int = 0
    open_until: datetime | None = None


@dataclass(frozen=True)
class Routed:
    """What came of a task; `endpoint` is the one that got it, None where nothing was sent."""

    answer: Answer
    endpoint: Endpoint | None = None
    tried: tuple[tuple[int, Answer], ...] = ()

    @property
    def outcome(self) -> str:
        is_accepted = self.answer.kind is AnswerKind.ACCEPTED
        return ASSIGNED if is_accepted else self.answer.kind.value


def choose(endpoints: Iterable[Endpoint], instance: str, now: datetime) -> list[Endpoint]:
    """The endpoints to ask, in this order: those of the instance before those that serve any,
    closed breakers before half-open ones, equals as they came. Open ones are left out."""
    serving = [e for e in endpoints if e.is_enabled and e.instance in (instance, "")]
    able = [e for e in serving if e.open_until is None or e.open_until <= now]
    return sorted(able, key=lambda e: (e.instance != instance, e.open_until is not None))


def route(
    endpoints: Iterable[Endpoint],
    instance: str,
    call: Call,
    *,
    post: Callable[[str, Call], Answer] = client.post,
    now: datetime,
) -> Routed:
    """Ask one endpoint after the other until one was reached: that one may have the task, and no
    other is asked, whatever it answers."""
    answer = Answer(AnswerKind.UNREACHABLE, message=sentences.NO_ENDPOINT)
    tried: list[tuple[int, Answer]] = []
    for endpoint in choose(endpoints, instance, now):
        answer = post(endpoint.url, call)
        _log(endpoint, call, answer)
        tried.append((endpoint.id, answer))
        if answer.kind not in NOT_SENT:
            return Routed(answer, endpoint, tuple(tried))
    return Routed(answer, None, tuple(tried))


def after_failure(failures: int, now: datetime) -> tuple[int, datetime | None]:
    """Failures and `open_until` of an endpoint that was not reached once more.

    From the fifth on it is left alone, twice as long each time. Half open it has one trial: a
    failed one opens it again at once.
    """
    failures += 1
    if failures < OPENS_AT:
        return failures, None
    doublings = min(failures - OPENS_AT, 10)  # the limit is reached long before
    return failures, now + min(OPEN_FOR * 2**doublings, OPEN_AT_MOST)


def after_success() -> tuple[int, datetime | None]:
    """Failures and `open_until` of an endpoint that was reached, whatever it answered."""
    return 0, None


def masked(curp: str) -> str:
    """A CURP for the logs."""
    return curp[:4] + "*" * len(curp[4:])


def _log(endpoint: Endpoint, call: Call, answer: Answer) -> None:
    level = logging.INFO if answer.kind is AnswerKind.ACCEPTED else logging.WARNING
    text = "scraper endpoint %s %s: task %s, device %s, %s: %s (%s), %.2f s"
    place, person = _without_query(endpoint.url), masked(call.curp)
    told = (answer.kind.value, answer.http_status or "-", answer.seconds)
    logger.log(level, text, endpoint.id, place, call.taskid, call.device_id, person, *told)


def _without_query(url: str) -> str:
    """Nor with a user and a password, which a refused address may hold."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "?"
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
