"""Jobs beside the database: what their workers are told and lent, and the lines that they write."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import cache

from django.conf import settings
from django.core.cache import cache as django_cache

from queues.browser.reports import Report
from queues.browser.signing import Envelope
from queues.browser.transport import LONGEST_LINE, Transport
from queues.models import Job

logger = logging.getLogger(__name__)
KEPT = timedelta(days=1)
MOST_LINES = 2000


def transport() -> Transport | None:
    """The way to isolated workers; None where jobs run on this installation's cluster."""
    return _transport(settings.REDIS_URL) if settings.REDIS_URL else None


def lines(job: Job, after: int = 0) -> list[str]:
    """What the job has written: the lines behind the first `after`. Kept for a day."""
    if way := transport():
        return way.lines(str(job.case_id), after)
    written: list[str] = django_cache.get(_key(job), [])
    return written[after:]


class Lines:
    """The lines of a job that runs here, told now and then: a write each would cost more than the
    step that they tell of."""

    def __init__(self, job: Job) -> None:
        self._key = _key(job)
        self._written: list[str] = django_cache.get(self._key, [])  # of earlier attempts
        self._is_told = True

    def add(self, line: str) -> None:
        if len(self._written) < MOST_LINES:
            self._written.append(line[:LONGEST_LINE])
            self._is_told = False

    def tell(self) -> None:
        if not self._is_told:
            django_cache.set(self._key, self._written, KEPT.total_seconds())
            self._is_told = True


def tell_ended(reports: Sequence[Report]) -> None:
    """Say outside how jobs ended that did not end by their worker's word."""
    if reports and (way := transport()):
        way.ended(reports)


def ended(job: Job, lease: str) -> Report:
    """The end of a job that the control plane made; `lease`: that of the attempt before it."""
    return Report(
        kind="finished",
        job_id=str(job.case_id),
        org_id=str(job.organisation_id),
        attempt=job.attempts,
        lease=lease,
        status=str(job.status),
        error_class=job.error_class,
        message=job.error_log,
        results=list(job.result.get("results", [])),
    )


def push(envelopes: Iterable[Envelope], *, urgent: bool = False) -> None:
    if (listed := list(envelopes)) and (way := transport()):
        way.push(listed, urgent)


@cache
def _transport(url: str) -> Transport:
    return Transport(url)


def _key(job: Job) -> str:
    return f"job-lines:{job.case_id}"
