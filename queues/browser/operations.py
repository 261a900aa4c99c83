"""The operations of `operations.lua`: several of them are carried out by Redis as one step."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import redis
from redis.exceptions import NoScriptError

from queues.browser.reports import Report
from queues.browser.signing import Envelope

SCRIPT = Path(__file__).with_suffix(".lua").read_text(encoding="utf-8")
SHA = hashlib.sha1(SCRIPT.encode(), usedforsecurity=False).hexdigest()
Operation = tuple[str, Sequence[str | int]]


def call(client: redis.Redis, wanted: Sequence[Operation]) -> list[Any]:
    """Each operation's answer. The script is sent where Redis does not know it (any more)."""
    words: list[str | int] = []
    for name, arguments in wanted:
        words += [name, len(arguments), *arguments]
    try:
        answers: Any = client.evalsha(SHA, 0, *words)
    except NoScriptError:
        answers = client.eval(SCRIPT, 0, *words)
    return list(answers)


def giving(end: str, envelope: Envelope) -> Operation:
    about = (envelope.job_id, envelope.org_id, envelope.lease, envelope.attempt)
    return "give", (end, envelope.to_json(), *about)


def starting(worker: str, envelope: Envelope) -> Operation:
    report = Report.of("started", envelope, worker)
    mark = secrets.token_hex(6)  # of this call: to be known when it is repeated
    words = (report.job_id, report.org_id, report.lease, mark, report.to_json())
    return "started", (worker, *words)


def finishing(worker: str, raw: str, report: Report) -> Operation:
    """An error is the job's end only when the control plane says so."""
    is_end = report.status in ("done", "cancelled")
    told = (report.to_json(), report.status, report.message, report.announcement if is_end else "")
    return "finish", (worker, raw, report.job_id, report.lease, *told)


def ending(report: Report) -> Operation:
    told = (report.status, report.message, report.announcement)
    return "ended", (report.job_id, report.org_id, report.lease, *told)
