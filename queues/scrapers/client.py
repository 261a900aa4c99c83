"""One call to one scraper: the only file that knows its HTTP.

A caller must know exactly what happened: connecting and sending are two steps, of which only a
failed first one may be repeated. A connection is never kept: where a scraper closes an idle one
under our request, nobody could tell whether it was read.
"""

from __future__ import annotations

import json
import socket
import time
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum
from http.client import HTTPException, HTTPResponse, IncompleteRead
from typing import Any

from django.conf import settings

from orchestrator_site import addresses
from orchestrator_site.logs import redact
from queues import connecting

MAX_BODY = 64 * 1024
MAX_MESSAGE = 500
MAX_RETRY_AFTER = 3600.0
# Nobody has begun anything there: the address, or what it wants of us, is wrong.
WRONG_ADDRESS = (401, 403, 404, 405, 410)
FAILED = ("error", "failed")


class AnswerKind(StrEnum):
    """What a call came to."""

    ACCEPTED = "accepted"
    BUSY = "busy"
    BAD_REQUEST = "bad_request"
    UNKNOWN = "unknown"  # an answer that is none of the above
    UNANSWERED = "unanswered"  # it was sent; whether the scraper works on it nobody knows
    UNREACHABLE = "unreachable"  # no connection was made, nothing was sent
    REFUSED = "refused"  # not an address that may be called
    NOT_THERE = "not_there"  # it answers, but has nothing there for us to call: a wrong address


@dataclass(frozen=True)
class Call:
    """What a scraper is told, under the names that it knows."""

    curp: str = field(repr=False)
    nbc_id: str
    device_id: str
    taskid: int
    queue_document_id: str


@dataclass(frozen=True)
class Answer:
    """`retry_after` is in seconds, None where the scraper names no time; `http_status` is None
    where no answer was read."""

    kind: AnswerKind
    http_status: int | None = None
    message: str = ""
    retry_after: float | None = None
    seconds: float = 0.0


def post(url: str, call: Call, timeout: float | None = None) -> Answer:
    """Hand a task to a scraper, once; safe in any number of threads.

    `timeout` is in seconds and holds for all but the look-up of the name; None is the setting's.
    Whatever network and scraper do is an answer, never an exception.
    """
    started = time.monotonic()
    seconds = settings.SCRAPER_TIMEOUT.total_seconds() if timeout is None else timeout
    answer = _posted(url, call, started + seconds)
    return replace(answer, seconds=time.monotonic() - started)


def _posted(url: str, call: Call, until: float) -> Answer:
    try:
        connection = connecting.connected(url, addresses.resolve(url), until)
    except addresses.NameUnknown as error:
        return _failed(AnswerKind.UNREACHABLE, error)
    except addresses.AddressRefused as error:
        return _failed(AnswerKind.REFUSED, error)
    except OSError as error:
        return _failed(AnswerKind.UNREACHABLE, error)
    try:
        return _asked(connection, url, call, until)
    except (OSError, IncompleteRead) as error:
        return _failed(AnswerKind.UNANSWERED, error)
    except (HTTPException, ValueError) as error:  # not what HTTP looks like
        return _failed(AnswerKind.UNKNOWN, error)
    finally:
        connection.close()


def _asked(connection: socket.socket, url: str, call: Call, until: float) -> Answer:
    headers = {"Content-Type": "application/json", "Accept": "application/json"}
    body = json.dumps(asdict(call)).encode()
    response = connecting.posted(connection, url, body, headers, until)
    return _judged(response.status, response.reason, response.headers, _body(response))


def _body(response: HTTPResponse) -> bytes:
    """The beginning of it. Raises IncompleteRead where the connection broke off before."""
    body = response.read(MAX_BODY)
    if len(body) < MAX_BODY and response.length:
        raise IncompleteRead(body, response.length)
    return body


def _judged(status: int, reason: str, headers: Any, body: bytes) -> Answer:
    said = _parsed(body)
    message = _clean(_words(said, body)) or f"HTTP {status} {_clean(reason)}".strip()
    if status == 429:
        wait = _retry_after(headers.get("Retry-After", ""), datetime.now(UTC))
        return Answer(AnswerKind.BUSY, status, message, wait)
    if status == 400:
        return Answer(AnswerKind.BAD_REQUEST, status, message)
    if status in WRONG_ADDRESS:
        return Answer(AnswerKind.NOT_THERE, status, message)
    is_accepted = status == 200 and _is_accepting(said)
    return Answer(AnswerKind.ACCEPTED if is_accepted else AnswerKind.UNKNOWN, status, message)


def _words(said: Any, body: bytes) -> str:
    """What it says to people: its message, or its plain text; a page says nothing."""
    if isinstance(said, dict) and isinstance(said.get("message"), str):
        return str(said["message"])
    return "" if body.lstrip()[:1] == b"<" else body.decode(errors="replace")


def _parsed(body: bytes) -> Any:
    """What it says in JSON; None, which accepts nothing, for anything else."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None


def _is_accepting(said: Any) -> bool:
    """Any JSON, but for one that says that it failed."""
    failed = isinstance(said, dict) and str(said.get("status", "")).lower() in FAILED
    return said is not None and not failed


def _retry_after(header: str, now: datetime) -> float | None:
    """Seconds from a number of them or from a date."""
    try:
        seconds = float(int(header)) if header.strip().isdecimal() else _until_date(header, now)
    except (ValueError, OverflowError):
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER)


def _until_date(header: str, now: datetime) -> float:
    date = parsedate_to_datetime(header)
    return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp() - now.timestamp()


def _failed(kind: AnswerKind, error: Exception) -> Answer:
    return Answer(kind, message=_clean(str(error)) or type(error).__name__)


def _clean(text: str) -> str:
    """One line for people to read, without secrets and without what a database cannot keep."""
    printable = "".join(char if char.isprintable() else " " for char in text)
    return redact(" ".join(printable.split()))[:MAX_MESSAGE]
