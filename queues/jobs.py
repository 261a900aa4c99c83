"""Jobs: how they enter the queue, how people step in, and what time alone does to them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.core.serializers.json import DjangoJSONEncoder
from django.db import IntegrityError, transaction
from django.db.models import F, Max, Q
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator_site import waking
from orchestrator_site.models import Event
from orchestrator_site.models.event import Note
from queues import intake, live, sentences, webhooks
from queues.browser.signing import Envelope, Key
from queues.claims import NO_LEASE, DatabaseNow
from queues.job_endings import may_have_begun
from queues.models import Job
from queues.registered import registered

Status = Job.Status
LARGEST = 256 * 1024  # bytes of inputs and metadata together, as JSON
ATTEMPTS = 3
FIRST = 32_000  # the highest priority that `prioritise` gives
AT_ONCE = 500  # rows in one statement
settle = intake.settle


class JobRefused(Exception):
    """The order cannot become a job: its payload is too large, or cannot be stored."""


@dataclass(frozen=True)
class JobOrder:
    """All that a job is made of. `is_held`: the session that it needs has ended; it waits."""

    organisation_id: UUID
    user_id: int
    provider_id: str
    provider_name: str
    flow_id: str
    flow_name: str
    flow_version: str
    script: str = field(repr=False)
    script_hash: str
    signature: str
    key_id: str
    hosts: Sequence[str]
    needs_session: bool = True
    is_held: bool = False
    inputs: Mapping[str, Any] = field(default_factory=dict, repr=False)
    metadata: Mapping[str, Any] = field(default_factory=dict, repr=False)
    idempotency_key: str = ""
    priority: int = 0
    deadline_at: datetime | None = None
    max_attempts: int = ATTEMPTS


def enqueue(order: JobOrder) -> tuple[Job, bool]:
    """The job, and whether it is new: with the idempotency key of an earlier order of the
    organisation it is that one's. Raises JobRefused."""
    _check_payload(order)
    if earlier := _earlier(order):
        return earlier, False
    values = {**vars(order), "hosts": list(order.hosts)}
    status = Status.HELD if values.pop("is_held") else Status.QUEUED
    try:
        with transaction.atomic():
            job = Job.objects.create(status=status, **values)
            Event.record([job], "", status)
            waking.notify(Job._meta.db_table)
    except IntegrityError:
        if earlier := _earlier(order):  # its twin was faster
            return earlier, False
        raise
    return job, True


def _earlier(order: JobOrder) -> Job | None:
    same = Job.objects.filter(
        organisation=order.organisation_id, idempotency_key=order.idempotency_key
    )
    return same.first() if order.idempotency_key else None


def _check_payload(order: JobOrder) -> None:
    try:
        payload = json.dumps(
            [dict(order.inputs), dict(order.metadata)],
            cls=DjangoJSONEncoder,
            ensure_ascii=False,
            allow_nan=False,
        ).encode()
    except (ValueError, TypeError, RecursionError) as error:
        raise JobRefused(
            _("The inputs hold something that is neither text, number, list nor object.")
        ) from error
    if len(payload) > LARGEST:
        sizes = {"size": len(payload), "most": LARGEST}
        text = _("Inputs and metadata have %(size)d bytes, and may have %(most)d.")
        raise JobRefused(text % sizes)
    if b"\\u0000" in payload.replace(b"\\\\", b""):
        raise JobRefused(_("The inputs hold a character that cannot be stored."))


# --- What people do. Each is False where the job had moved on. ----------------------------------


def cancel(job: Job, reason: str) -> bool:
    """End a waiting job at once; have the worker of a running one end it (`cancel_asked_at`)."""
    while job.status in Job.LIVE:
        if _waits_here(job):
            if _end(job, Status.CANCELLED, reason):
                return True
        elif _ask_cancel(job, reason):
            if _withdrawn(job):
                _end(job, Status.CANCELLED, reason)
            return True
        job.refresh_from_db()  # it moved between: what counts is that it lives
    return False


def retry(job: Job, reason: str) -> bool:
    """Run a job once more that ended with an error, with attempts of its own."""
    return job.status == Status.ERROR and _afresh(job, reason)


def confirm_done(job: Job, reason: str) -> bool:
    """Decide a doubt: its irrevocable step had its effect."""
    if job.status != Status.IN_DOUBT:
        return False
    return _end(job, Status.DONE, reason)


def confirm_not_done(job: Job, reason: str) -> bool:
    """Decide a doubt: it had none, so the job runs again."""
    return job.status == Status.IN_DOUBT and _afresh(job, reason)


def prioritise(job: Job, reason: str) -> bool:
    """Have a waiting job go before the organisation's others."""
    others = Job.objects.waiting().filter(organisation=job.organisation_id).exclude(pk=job.pk)
    highest = others.aggregate(highest=Max("priority"))["highest"] or 0
    return _put(job, reason, min(max(highest, 0) + 1, FIRST), is_urgent=True)


def put(job: Job, reason: str, priority: int) -> bool:
    """Give a waiting job another priority; False where it has it already."""
    is_urgent = priority > job.priority
    return job.priority != priority and _put(job, reason, priority, is_urgent=is_urgent)


def _put(job: Job, reason: str, priority: int, *, is_urgent: bool) -> bool:
    if job.status not in (Status.QUEUED, Status.HELD):
        return False
    is_given = job.lease_token is not None
    if is_given and not _withdrawn(job):
        return False
    data = {"priority": priority, "before": job.priority}
    note = Note.of(Job, job.status, job.status, reason, data)
    where = Q(status=job.status, lease_token=job.lease_token)
    moved = Job.change_all([job], where, note, priority=priority)
    if moved and is_given:
        live.push(envelopes_of([job]), urgent=is_urgent)
    return bool(moved)


def _waits_here(job: Job) -> bool:
    return job.status == Status.HELD or job.lease_token is None


def _ask_cancel(job: Job, reason: str) -> bool:
    note = Note.of(Job, job.status, job.status, reason or sentences.JOB_CANCEL_ASKED)
    where = Q(status=job.status, lease_token=job.lease_token)
    asked = Job.change_all([job], where, note, cancel_asked_at=DatabaseNow())
    if asked and (way := live.transport()):
        way.ask_cancel(str(job.case_id))
    return bool(asked)


def _withdrawn(job: Job) -> bool:
    """Whether it was taken back from the queue of the workers before one of them had it."""
    way = live.transport()
    is_there = way and job.status == Status.QUEUED
    return bool(is_there and way and way.withdraw(str(job.case_id), str(job.organisation_id)))


def _end(job: Job, to: str, reason: str, **changes: Any) -> bool:
    """End a job that no worker has, or of which none is heard any more."""
    lease = str(job.lease_token or "")
    with transaction.atomic():
        ended = job.move(
            to,
            reason,
            guard={"lease_token": job.lease_token},
            **NO_LEASE,
            published_at=None,
            processed_at=DatabaseNow(),
            **changes,
        )
        if ended:
            webhooks.announce(job)
    if ended and to in Job.FINAL:
        live.tell_ended([live.ended(job, lease)])
    return ended


def _afresh(job: Job, reason: str) -> bool:
    """Its attempts go on counting: their numbers are in the names of their files."""
    over = job.deadline_at is not None and job.deadline_at <= timezone.now()
    moved = job.move(
        Status.QUEUED,
        reason,
        **NO_LEASE,
        max_attempts=F("attempts") + ATTEMPTS,
        available_at=DatabaseNow(),
        deadline_at=None if over else job.deadline_at,
        published_at=None,
        processed_at=None,
        cancel_asked_at=None,
        intent_at=None,
        error_class="",
        error_log="",
        worker="",
    )
    if moved:
        waking.notify(Job._meta.db_table)
    return moved


# --- What becomes of them -----------------------------------------------------------------------


def resume(organisation_id: UUID, user_id: int, provider_id: str) -> int:
    """Let the jobs go on that waited for this session; returns how many."""
    whose = {"organisation": organisation_id, "user": user_id, "provider_id": provider_id}
    held = Job.objects.filter(status=Status.HELD, **whose).defer("script", "inputs", "metadata")
    count = 0
    while jobs := list(held.order_by("pk")[:AT_ONCE]):
        count += len(
            Job.move_all(
                jobs,
                Status.QUEUED,
                sentences.SESSION_RENEWED,
                available_at=DatabaseNow(),
                error_class="",
                error_log="",
            )
        )
    if count:
        waking.notify(Job._meta.db_table)
    return count


def recall(job: Job) -> bool:
    """Take back what was given to the workers and none of them has: it is given anew, signed
    anew, its attempt not counted. False: a worker has it."""
    if not (job.published_at and _withdrawn(job)):
        return False
    where = Q(status=Status.QUEUED, lease_token=job.lease_token)
    changes = {**NO_LEASE, "published_at": None, "attempts": F("attempts") - 1}
    return bool(Job.change_all([job], where, None, **changes))


def give_up(job: Job) -> bool:
    """End a job whose worker was asked to end it and says nothing. One that is queued still may
    have been begun: its worker's word is not taken in yet, or was lost."""
    reason = sentences.CANCEL_UNANSWERED
    if may_have_begun(job) and not _withdrawn(job):
        return _end(job, Status.IN_DOUBT, reason)
    return _end(job, Status.CANCELLED, reason)


def expire(job: Job) -> bool:
    """End a waiting job whose deadline is over; one that a worker has is that one's matter."""
    if job.lease_token is not None and not _withdrawn(job):
        return False
    over = sentences.DEADLINE_OVER
    return _end(job, Status.ERROR, over, error_class="timeout", error_log=over)


# --- What workers are given ---------------------------------------------------------------------


def envelopes_of(jobs: Iterable[Job], key: Key | None = None) -> list[Envelope]:
    """The attempts that the jobs are leased for, signed with `key`, else by the one of now."""
    key = key or registered.keyring().current
    return [_envelope(job).signed(key) for job in jobs]


def _envelope(job: Job) -> Envelope:
    return Envelope(
        job_id=str(job.case_id),
        org_id=str(job.organisation_id),
        user_id=str(job.user_id),
        provider_id=job.provider_id,
        provider_name=job.provider_name,
        flow_id=job.flow_id,
        flow_version=job.flow_version,
        script_content=job.script,
        script_hash=job.script_hash,
        signature=job.signature,
        key_id=job.key_id,
        created_at=_milliseconds(timezone.now()),
        attempt=job.attempts,
        lease=str(job.lease_token),
        deadline=_milliseconds(job.deadline_at) if job.deadline_at else 0,
        needs_session=job.needs_session,
        hosts=list(job.hosts),
        inputs=dict(job.inputs),
        metadata=dict(job.metadata),
    )


def _milliseconds(at: datetime) -> int:
    return int(at.timestamp() * 1000)
