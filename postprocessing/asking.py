"""What people and scripts ask the cluster `postprocessing` for; it begins within seconds."""

from __future__ import annotations

import logging

from orchestrator_site.actors import current_actor
from postprocessing.models import PostProcessingRun
from queues import doorbell

logger = logging.getLogger(__name__)
QUEUED = PostProcessingRun.Status.QUEUED

CLUSTER = "postprocessing"
PROCESS, EXTRACT, VERIFY, UPLOAD, REPAIR = (
    f"postprocessing.tasks.{name}" for name in ("process", "extract", "verify", "upload", "repair")
)


def process(company: str, database_only: bool = False, full: bool = False) -> PostProcessingRun:
    """A run of one company; `full` looks at every file again. One that is under way is waited
    for. The row tells what becomes of it."""
    return _asked(company, extract=False, database_only=database_only, full=full)


def extract(company: str, database_only: bool = False) -> PostProcessingRun:
    """Its complaints from its site, then a run, which the row tells of, then a verification."""
    return _asked(company, extract=True, database_only=database_only, full=False)


def begin_next(company: str) -> None:
    """The run of the company that waits the longest, if one does."""
    row = PostProcessingRun.objects.filter(empresa=company, status=QUEUED).last()
    if row is None:
        return
    try:
        _ring(row)
    except doorbell.BROKER_AWAY as error:  # the end of the next run rings again
        logger.warning("run %s of %s could not be begun: %s", row.pk, company, error)


def verify(company: str) -> None:
    doorbell.ring(CLUSTER, VERIFY, company)


def upload(pk: int) -> None:
    """The file of a row of the registry."""
    doorbell.ring(CLUSTER, UPLOAD, pk)


def repair(pk: int, reason: str) -> None:
    """All that a verification found and a machine can mend."""
    doorbell.ring(CLUSTER, REPAIR, pk, reason)


def _asked(company: str, **how: bool) -> PostProcessingRun:
    """A run that waits for its begin, asked for in the same way, is enough."""
    waiting = PostProcessingRun.objects.filter(empresa=company, status=QUEUED, **how).first()
    row = waiting or PostProcessingRun.objects.create(
        empresa=company, status=QUEUED, runner=str(current_actor()), **how
    )
    _ring(row)
    return row


def _ring(row: PostProcessingRun) -> None:
    """Whoever is called for a run that was begun meanwhile, leaves it alone."""
    if row.extract:
        doorbell.ring(CLUSTER, EXTRACT, row.empresa, row.database_only, row.pk)
    else:
        doorbell.ring(CLUSTER, PROCESS, row.empresa, row.database_only, row.full, row.pk)
