"""How the scrapers tell the application their results: later, signed, again if need be."""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import threading
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import requests
from django.conf import settings

from orchestrator_site.demo.world import scraper_books
from orchestrator_site.demo.world.scraper_books import ScraperCall

logger = logging.getLogger(__name__)

PATH = "/api/v1/queue-entries/{id}/result"
PAUSES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0)  # before the first try, and before five more
TIMEOUT = 10.0
WORTH_ANOTHER_TRY = (0, 429)


@dataclass(frozen=True)
class Recipient:
    """Where results go, http://host:port without a path, and the API key that they go with."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Report:
    """A result; a forged one has a signature that is wrong, and is sent once."""

    condition: int
    message: str
    data: dict[str, Any] = field(default_factory=dict)
    is_forged: bool = False


def report_to(recipient: Recipient) -> None:
    """Tell the scrapers whom to report to, from now on."""
    file = _file()
    file.parent.mkdir(parents=True, exist_ok=True)
    staged = file.with_suffix(".new")
    staged.touch(mode=0o600)
    staged.write_text(json.dumps(asdict(recipient)))
    staged.replace(file)


def recipient() -> Recipient | None:
    """None until somebody said whom to report to."""
    try:
        return Recipient(**json.loads(_file().read_text()))
    except FileNotFoundError:
        return None


def report_later(call: ScraperCall, reports: tuple[Report, ...], delay: float) -> None:
    """Send these one after the other, each `delay` seconds after the one before."""
    timer = threading.Timer(delay, _report_next, (call, reports, delay))
    timer.daemon = True
    timer.start()


def signature(key: str, body: bytes) -> str:
    return "sha256=" + hmac.new(key.encode(), body, hashlib.sha256).hexdigest()


def _report_next(call: ScraperCall, reports: tuple[Report, ...], delay: float) -> None:
    first, *others = reports
    try:
        _deliver(call, first)
    except Exception:  # a thread's end, where nobody else would notice
        logger.exception("the report on task %s failed", call.taskid)
    if others:
        report_later(call, tuple(others), delay)


def _deliver(call: ScraperCall, report: Report) -> None:
    """Until the application answers for good."""
    for pause in PAUSES:
        time.sleep(pause)
        at = time.time()
        status = _send(call, report)
        scraper_books.note_report(call, report.condition, at, status)
        logger.info("task %s: reported condition %s: %s", call.taskid, report.condition, status)
        if status < 500 and status not in WORTH_ANOTHER_TRY:
            return


def _send(call: ScraperCall, report: Report) -> int:
    """The application's status, 0 where it did not answer."""
    to = recipient()
    if to is None:
        return 0
    said = {"condition": report.condition, "message": report.message, "data": report.data}
    body = json.dumps(said).encode()
    headers = {
        "Authorization": f"Api-Key {to.key}",
        "Content-Type": "application/json",
        "X-Signature": signature(f"not {to.key}" if report.is_forged else to.key, body),
    }
    return _post(to.url.rstrip("/") + PATH.format(id=call.queue_document_id), body, headers)


def _post(url: str, body: bytes, headers: dict[str, str]) -> int:
    with requests.Session() as session:
        session.trust_env = False  # a .netrc would put its own credentials in place of the key
        try:
            answer = session.post(
                url, data=body, headers=headers, timeout=TIMEOUT, allow_redirects=False
            )
        except requests.RequestException:
            return 0
        return answer.status_code


def _file() -> Path:
    return Path(settings.DATA_DIR) / "demo" / "scrapers.json"
