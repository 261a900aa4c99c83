"""What workers report of jobs: each report counts once, by its lease; a late one changes nothing.

Reports of a batch are settled together, and a job that began and ended in one batch moves once.
"""

from __future__ import annotations

import json
import logging
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.db import InterfaceError, OperationalError, transaction
from django.db.models import Q

from orchestrator_site.models import Event
from orchestrator_site.models.event import Note
from queues import job_endings, live, sentences, webhooks
from queues.browser.reports import Report
from queues.browser.signing import NO_SESSION
from queues.claims import NO_LEASE, DatabaseNow
from queues.job_endings import After
from queues.models import EvidenceFile, Job

logger = logging.getLogger(__name__)
Status = Job.Status
Pair = tuple[Job, Report]
WITH_A_WORKER = (Status.QUEUED, Status.RUNNING)
MOST_FILES = 1000  # of one attempt


def take_in(reports: Sequence[Report]) -> int:
    """Settle what was reported, in one transaction; returns how many jobs moved.

    A report that cannot be taken in is told in the log and left: its job will be missed, and looked
    for. Raises OperationalError where the database cannot be asked: then nothing was taken in.
    """
    try:
        return _settle_all(_with_jobs(reports))
    except (OperationalError, InterfaceError):
        raise
    except Exception:  # the rim: whatever a worker writes, the others' reports are taken in
        if len(reports) > 1:
            return sum(take_in([one]) for one in reports)
        logger.exception("a report of job %s cannot be taken in", reports[0].job_id)
        return 0


def settle(job: Job, report: Report) -> bool:
    """The same for a job at hand, whose attributes are those of its row afterwards; False where
    the lease had passed on."""
    return bool(_settle_all([(job, report)]))


def lose(job: Job, reason: str, **told: Any) -> bool:
    """End an attempt whose worker will say nothing more; `told`: whether its irrevocable step was
    `begun`, and what else has to hold (`guard`)."""
    after, lease = After(), str(job.lease_token or "")
    with transaction.atomic():
        is_lost = job_endings.lose(job, reason, after, **told)
        if is_lost:
            webhooks.announce(job)
    if is_lost and job.status in Job.FINAL:
        after.add(lambda: live.tell_ended([live.ended(job, lease)]))
    after.do()
    return is_lost


def _with_jobs(reports: Iterable[Report]) -> list[Pair]:
    """Each report with its job, of which there is one object however many reports it has."""
    known = [(_uuid(report.job_id), report) for report in reports]
    rows = Job.objects.filter(case_id__in={key for key, _report in known if key})
    jobs = {row.case_id: row for row in rows.defer("script", "inputs", "metadata")}
    for key, report in known:
        if key not in jobs:
            _note_stranger(report)
    return [(jobs[key], report) for key, report in known if key in jobs]


def _settle_all(pairs: Sequence[Pair]) -> int:
    after = After()
    with transaction.atomic():
        begun, well, badly, late = _sorted_out(pairs)
        moved = _start([*begun, *(pair for pair in badly if _was_taken(pair[1]))])
        _store_intents(begun)
        ended = _end_well(well)
        ended += [(job, report) for job, report in badly if job_endings.end(job, report, after)]
        _keep_files(ended)
        webhooks.announce_all([job for job, _report in ended])
        _note_late(late)
    after.add(lambda: live.tell_ended(_told_here(ended)))
    after.do()
    for job, report in ended:
        logger.info("job %s: %s by %s: %s", job.case_id, report.kind, report.worker, job.status)
    return len({job.pk for job in moved} | {job.pk for job, _report in ended})


def _told_here(ended: Iterable[Pair]) -> list[Report]:
    """The ends that no worker tells of by itself: what an error leads to is decided here."""
    return [
        live.ended(job, report.lease)
        for job, report in ended
        if job.status in Job.FINAL and not _is_told(job, report)
    ]


def _is_told(job: Job, report: Report) -> bool:
    return report.kind == "finished" and report.status == job.status != Status.ERROR


def _sorted_out(
    pairs: Iterable[Pair],
) -> tuple[list[Pair], list[Pair], list[Pair], list[Pair]]:
    """Those that only began; those that ended well; those whose attempt ended otherwise; what
    comes too late. Of each job the first word that ends it counts."""
    begun: dict[int, Pair] = {}
    ends: dict[int, Pair] = {}
    late = []
    for job, report in pairs:
        if not _is_current(job, report) or (job.pk in ends and report.kind != "started"):
            late.append((job, report))
        elif report.kind == "started":
            begun[job.pk] = (job, report)  # the second one tells of the irrevocable step
        else:
            ends[job.pk] = (job, report)
    well = [pair for pair in ends.values() if _is_well(pair[1])]
    badly = [pair for pair in ends.values() if not _is_well(pair[1])]
    return [pair for pk, pair in begun.items() if pk not in ends], well, badly, late


def _is_current(job: Job, report: Report) -> bool:
    is_leased = job.lease_token is not None and str(job.lease_token) == report.lease
    return is_leased and job.status in WITH_A_WORKER


def _is_well(report: Report) -> bool:
    return report.kind == "finished" and report.status == "done"


def _was_taken(report: Report) -> bool:
    """Whether it is of a job that a worker had: its way back is one from there."""
    return report.kind != "refused" or report.message == NO_SESSION


def _start(pairs: Iterable[Pair]) -> list[Job]:
    groups = defaultdict(list)
    for job, report in pairs:
        if job.status == Status.QUEUED:
            groups[report.worker].append(job)
    moved: list[Job] = []
    for worker, jobs in groups.items():
        told = sentences.TAKEN % {"worker": worker}
        moved += Job.move_all(
            jobs,
            Status.RUNNING,
            told,
            guard=_leased(jobs),
            worker=worker,
            started_at=DatabaseNow(),
        )
    return moved


def _store_intents(pairs: Iterable[Pair]) -> None:
    jobs = [job for job, report in pairs if report.begun and job.intent_at is None]
    if jobs:
        note = Note.of(Job, Status.RUNNING, Status.RUNNING, sentences.IRREVOCABLE_BEGUN)
        where = Q(status=Status.RUNNING, **_leased(jobs))
        Job.change_all(jobs, where, note, intent_at=DatabaseNow())


def _end_well(pairs: Iterable[Pair]) -> list[Pair]:
    """Each group is one statement: those of a status, a worker and a result."""
    groups = defaultdict(list)
    for job, report in pairs:
        result = job_endings.result_of(report)
        key = (job.status, report.worker, report.begun, json.dumps(result, sort_keys=True))
        groups[key].append((job, report, result))
    ended: list[Pair] = []
    for group in groups.values():
        jobs = [job for job, _report, _result in group]
        _job, report, result = group[0]
        done = set(_done(jobs, report, result))
        ended += [(job, report) for job, report, _result in group if job in done]
    return ended


def _done(jobs: list[Job], report: Report, result: dict[str, Any]) -> list[Job]:
    changes: dict[str, Any] = {"result": result, "error_class": "", "error_log": ""}
    if jobs[0].status == Status.QUEUED:
        began = DatabaseNow(-timedelta(seconds=round(report.seconds)))
        changes |= {"worker": report.worker, "started_at": began}
    if report.begun and jobs[0].intent_at is None:
        changes["intent_at"] = DatabaseNow()
    return Job.move_all(
        jobs,
        Status.DONE,
        sentences.JOB_DONE % {"worker": report.worker},
        guard=_leased(jobs),
        **NO_LEASE,
        published_at=None,
        processed_at=DatabaseNow(),
        **changes,
    )


def _leased(jobs: Iterable[Job]) -> dict[str, Any]:
    """That the rows are under the leases that the reports were compared with: no token is ever
    another row's next one."""
    return {"lease_token__in": {job.lease_token for job in jobs}}


def _keep_files(pairs: Iterable[Pair]) -> None:
    rows = [_row(job, report, one) for job, report in pairs for one in _own_files(job, report)]
    EvidenceFile.objects.bulk_create(rows, ignore_conflicts=True)


def _own_files(job: Job, report: Report) -> list[dict[str, Any]]:
    """Those in the attempt's own folder: a worker's word opens no other's files to anybody."""
    folder = f"{job.folder}/"
    own = [
        one
        for one in report.results[:MOST_FILES]
        if one["path"].startswith(folder) and "/" not in one["path"][len(folder) :]
    ]
    if len(own) < len(report.results):
        logger.warning("job %s: results outside of %s are left out", job.case_id, folder)
    return own


def _row(job: Job, report: Report, one: dict[str, Any]) -> EvidenceFile:
    return EvidenceFile(
        case_id=job.case_id,
        object_type=job._meta.label_lower,
        object_id=str(job.pk),
        attempt=job.attempts,
        kind=one["kind"],
        path=one["path"],
        size=one["size"],
        sha256=one["sha256"],
    )


def _note_late(pairs: Iterable[Pair]) -> None:
    """A second envelope or a late outcome is told; a repeated report says nothing new."""
    for job, report in pairs:
        if report.kind == "refused":
            job_endings.note_refusal(job, report)
        elif report.kind == "finished" and report.begun:
            result = job_endings.result_of(report)
            Event.record([job], job.status, job.status, sentences.LATE_OUTCOME, result)


def _note_stranger(report: Report) -> None:
    """Of a job that there is not: somebody else wrote it into the queue."""
    logger.warning("a report of an unknown job %s: %s", report.job_id, report.message)
    if report.kind == "refused":
        data = {"worker": report.worker}
        note = Note.of(Job, "", job_endings.REFUSED, report.message, data)
        note.write([(None, report.job_id[:64])])


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
