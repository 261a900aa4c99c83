"""What the django-q2 cluster `postprocessing` calls. The schedules that do are staff's: made once,
by a migration, and edited in the admin."""

from __future__ import annotations

import logging
from dataclasses import asdict
from typing import Any

from django.conf import settings

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.models import Event
from orchestrator_site.sessions import me
from orchestrator_site.stopping import Stop, note_for
from orchestrator_site.verbs import Refused
from postprocessing import (
    asking,
    managers,
    pipeline,
    repairing,
    sentences,
    uploading,
    verification,
)
from postprocessing.asking import CLUSTER, PROCESS
from postprocessing.companies import Company
from postprocessing.models import (
    PostProcessingRun,
    S3File,
    Verification,
    companies,
    company_called,
)
from queues import doorbell

logger = logging.getLogger(__name__)
Status = PostProcessingRun.Status


def process(
    company: str = "", database_only: bool = False, full: bool = False, run: int | None = None
) -> dict[str, Any]:
    """Load and upload, of one company or all. What does not fit into a session goes on in one
    that is asked for at once. `run`: the row of whoever asked for it; one that does not wait any
    more is left alone, one whose company is busy is begun at the end of what is under way."""
    with acting_as(ActorKind.WORKER, me(CLUSTER)):
        if run is not None and _waiting(run) is None:
            return {}
        done = pipeline.run_complete_post_processing(
            [company] if company else [],
            database_only,
            full,
            stop=Stop(note_for(CLUSTER)),
            duration=settings.LOOP_SESSION,
            asked=run,
        )
        for one in done.companies:
            if one.is_unfinished:
                doorbell.ring(CLUSTER, PROCESS, one.company, database_only)
        return done.as_dict()


def extract(
    company: str = "", database_only: bool = False, run: int | None = None
) -> list[dict[str, Any]]:
    """Extract, load, upload and verify, of one company or all; a company without a site to extract
    from is processed all the same. `run` as of `process`."""
    with acting_as(ActorKind.WORKER, me(CLUSTER)):
        row = None if run is None else _waiting(run)
        if run is not None and not (row and row.move(Status.EXTRACTING)):
            return []
        return [_extracted(one, database_only, row) for one in _asked(company)]


def verify(company: str = "") -> list[dict[str, int]]:
    """Compare files, rows and objects, of one company or all; returns the differences by kind."""
    with acting_as(ActorKind.WORKER, me(CLUSTER)):
        return [verification.verify(one).found for one in _asked(company)]


def upload(pk: int) -> dict[str, Any]:
    """Send the file of a row of the registry, as somebody asked."""
    with acting_as(ActorKind.WORKER, me(CLUSTER)):
        row = S3File.objects.get(pk=pk)
        source = S3File.Source.MANUAL
        company = company_called(row.empresa)
        return asdict(uploading.upload_files(company, [row.filename], source=source))


def repair(pk: int, reason: str) -> None:
    """Mend what a verification found, as somebody asked, and look again."""
    with acting_as(ActorKind.WORKER, me(CLUSTER)):
        row = Verification.objects.get(pk=pk)
        try:
            repairing.repair(row.differences.filter(repaired_at=None), reason)
        except Refused as error:
            Event.record([row], "", "not all repaired", str(error))
        verification.verify(company_called(row.empresa))


def _waiting(run: int) -> PostProcessingRun | None:
    return PostProcessingRun.objects.filter(pk=run, status=Status.QUEUED).first()


def _extracted(
    company: Company, database_only: bool, row: PostProcessingRun | None
) -> dict[str, Any]:
    manager = managers.manager_called(company.name)
    answer = manager.run(database_only=database_only, asked=row.pk if row else None)
    if row and row.move(Status.QUEUED, sentences.COMPANY_BUSY, extract=False):
        asking.begin_next(company.name)
    return {**answer.as_dict(), "differences": verification.verify(company).found}


def _asked(company: str) -> list[Company]:
    return [company_called(company)] if company else companies()
