"""What scrapers report: once it counts, again it is harmless, too late it is refused."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings

from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import endings, settling
from queues.errors import ErrorClass
from queues.models import QueueEntry

logger = logging.getLogger(__name__)


class InvalidReport(Exception):
    """A report that cannot be: a condition nobody knows, or text that no database keeps."""


class MovedOn(Exception):
    """The task has ended otherwise: this result changes nothing, and is kept as an event."""


@dataclass(frozen=True)
class Report:
    """A scraper's result. `error_class`: with condition 4, what kind of failure it was.

    Raises InvalidReport.
    """

    condition: int
    message: str = ""
    data: dict[str, Any] = field(default_factory=dict)
    error_class: str = ""

    def __post_init__(self) -> None:
        if self.condition not in QueueEntry.Condition.values:
            raise InvalidReport(f"unknown condition: {self.condition}")
        if self.error_class and self.error_class not in ErrorClass.values:
            raise InvalidReport(f"unknown error class: {self.error_class}")
        if not _is_storable(asdict(self)):
            raise InvalidReport("NaN, infinity, NUL or broken text in the report")


def take_in(document_id: str, report: Report) -> bool:
    """End the task by its scraper's word; False: this very report was taken in before.

    Raises QueueEntry.DoesNotExist, MovedOn. A scraper may be faster than its own answer to the
    call, so a task that is still being posted takes its result too.
    """
    entry = QueueEntry.objects.select_related("nbc").get(document_id=document_id)
    # Its worker moves it too, when the call is answered: then look again.
    while entry.status in QueueEntry.LIVE and entry.called_at:
        if _settled(entry, report):
            return True
        entry.refresh_from_db()
    if entry.result == asdict(report):
        return False
    told = "late result refused"
    Event.record([entry], entry.status, entry.status, told, asdict(report))
    logger.warning("task %s of case %s: %s", entry.pk, entry.case_id, told)
    raise MovedOn(f"the task is {entry.status}: {entry.message}".rstrip(": "))


def _settled(entry: QueueEntry, report: Report) -> bool:
    ending = endings.of_result(
        report.condition,
        report.message,
        report.error_class,
        settling.tries(entry),
        db_now(),
        ZoneInfo(settings.IMSS_TIME_ZONE),
    )
    return settling.settle(entry, ending, result=asdict(report))


def _is_storable(values: dict[str, Any]) -> bool:
    """PostgreSQL takes JSON only where every number is finite and every text is Unicode."""
    try:
        text = json.dumps(values, allow_nan=False, ensure_ascii=False).encode()
    except ValueError:
        return False
    return b"\\u0000" not in text.replace(b"\\\\", b"")
