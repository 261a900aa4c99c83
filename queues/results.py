"""What scrapers report: once it counts, again it is harmless, too late it is refused."""

from __future__ import annotations

import json
import logging
from dataclasses import asdict, dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from django.conf import settings
from django.utils.translation import gettext as _

from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from orchestrator_site.sentences import told
from queues import endings, sentences, settling
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
            raise InvalidReport(_("unknown condition: %(given)s") % {"given": self.condition})
        if self.error_class and self.error_class not in ErrorClass.values:
            raise InvalidReport(_("unknown error class: %(given)s") % {"given": self.error_class})
        if not _is_storable(asdict(self)):
            raise InvalidReport(_("It holds a character or a number that cannot be stored."))


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
    late = sentences.LATE_RESULT
    Event.record([entry], entry.status, entry.status, late, asdict(report))
    logger.warning("task %s of case %s: %s", entry.pk, entry.case_id, late)
    text = _("The task has moved on: %(status)s. %(message)s")
    values = {"status": entry.get_status_display(), "message": told(entry.message)}
    raise MovedOn((text % values).strip())


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
