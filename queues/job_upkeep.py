"""What time alone does to jobs: looked after by their loops, and each minute by a tick."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import Q

from orchestrator_site.clock import db_now
from queues import intake, jobs, live, sentences
from queues.claims import NO_LEASE
from queues.job_endings import may_have_begun
from queues.models import Job
from queues.registered import registered
from queues.upkeep import done

logger = logging.getLogger(__name__)
Status = Job.Status
CANCEL_PATIENCE = timedelta(seconds=90)
# Beyond the longest run: for its beginning, and for what it has to store at its end.
MARGIN = timedelta(minutes=5)
AT_ONCE = 500  # jobs of one look


def sweep() -> int:
    """Do it all; returns how many jobs moved. What breaks one thing breaks no other."""
    return sum(done(name, duty) for name, duty in DUTIES.items())


def expire_late() -> int:
    late = Job.objects.filter(status__in=(Status.QUEUED, Status.HELD), deadline_at__lte=db_now())
    return sum(jobs.expire(job) for job in late[:AT_ONCE])


def end_unanswered() -> int:
    """Those whose end was asked for, and whose worker does not confirm it."""
    asked = Job.objects.filter(cancel_asked_at__lte=db_now() - CANCEL_PATIENCE)
    with_a_worker = Q(status=Status.QUEUED, published_at__isnull=False) | Q(status=Status.RUNNING)
    return sum(jobs.give_up(job) for job in asked.filter(with_a_worker)[:AT_ONCE])


def lose_orphans() -> int:
    """Those of a worker of the cluster whose lease ran out. The expiry is in the guard: a worker
    that renewed after we looked keeps its job."""
    return sum(
        intake.lose(
            job,
            sentences.LEASE_LOST % {"worker": job.worker},
            begun=job.intent_at is not None,
            guard={"lease_expires_at": job.lease_expires_at},
        )
        for job in Job.objects.orphaned()[:AT_ONCE]
    )


def revive() -> int:
    """Those that wait for a session which lives: it was renewed while they were being held."""
    whose = ("organisation_id", "user_id", "provider_id")
    held = Job.objects.filter(status=Status.HELD).order_by(*whose)
    places = list(held.values_list(*whose).distinct()[:AT_ONCE])
    return sum(jobs.resume(*place) for place in places if _has_session(place))


def recall_old() -> int:
    """Those that waited long with the workers are signed anew, before they are too old."""
    before = db_now() - settings.JOB_MOST_AGE / 2
    old = Job.objects.filter(status=Status.QUEUED, published_at__lte=before)
    return sum(jobs.recall(job) for job in old[:AT_ONCE])


def recall_resting() -> int:
    """Those of organisations that are switched off: they wait here, and no worker takes them."""
    given = Job.objects.filter(status=Status.QUEUED, published_at__isnull=False)
    return sum(jobs.recall(job) for job in given.filter(organisation__active=False)[:AT_ONCE])


def forget_transport() -> int:
    """Without Redis: what was given to workers over it will not be heard of."""
    before = db_now() - settings.JOB_DEADLINE - MARGIN
    given = Job.objects.filter(published_at__lte=before)
    count = 0
    for job in given.filter(status__in=(Status.QUEUED, Status.RUNNING))[:AT_ONCE]:
        if job.status == Status.RUNNING:
            count += intake.lose(job, sentences.WORKER_UNKNOWN, begun=may_have_begun(job))
        else:
            where = Q(status=Status.QUEUED, lease_token=job.lease_token)
            count += len(Job.change_all([job], where, None, **NO_LEASE, published_at=None))
    return count


def _has_session(place: tuple[Any, ...]) -> bool:
    organisation, user, provider = place
    rows = Job.objects.filter(organisation=organisation, user=user, provider_id=provider)
    job = rows.filter(status=Status.HELD).first()
    return job is not None and bool(registered.session(job))


def _by_transport() -> int:
    return recall_old() + recall_resting() if live.transport() else forget_transport()


DUTIES: Mapping[str, Callable[[], int]] = {
    "deadlines": expire_late,
    "cancellations": end_unanswered,
    "leases lost": lose_orphans,
    "sessions": revive,
    "transport": _by_transport,
}
