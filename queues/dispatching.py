"""The dispatcher: gives due jobs to the isolated workers over Redis, and takes in what they report.

The database comes first: a job is written down as given, then given. What gets lost between, or
with Redis itself, is looked for and given again.
"""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Callable, Iterable
from datetime import timedelta
from uuid import UUID

from django.conf import settings
from django.db.models import Exists, Max, OuterRef, Q

from devices.models import Worker
from orchestrator_site.clock import db_now
from orchestrator_site.models import Organisation
from orchestrator_site.rhythm import Rhythm
from queues import intake, job_upkeep, jobs, sentences
from queues.browser.transport import UNREACHABLE, Transport
from queues.claims import NO_LEASE
from queues.job_endings import may_have_begun
from queues.models import Job
from queues.registered import registered

logger = logging.getLogger(__name__)
Status = Job.Status
AT_ONCE = 200  # jobs, or reports, in one statement
BLOCK_MS = 100  # how long it waits for a report where there was nothing to give
BEAT_EVERY = 10.0  # seconds
REAP_EVERY = 5.0
SWEEP_EVERY = 10.0
MISS_EVERY = 10.0
PATIENCE = timedelta(seconds=30)  # with what was given and is nowhere to be found


class Dispatcher:
    """One loop over `jobs`, held by a lease: it gives each organisation's jobs to Redis, a few
    ahead, and settles what comes back."""

    kind = "dispatcher"

    def __init__(self, name: str, way: Transport) -> None:
        self.name = name
        self.way = way
        self.row = Worker(name=name, kind=self.kind, host=socket.gethostname(), pid=os.getpid())
        self.is_away = False
        self._rhythm = Rhythm()
        self._highest: dict[UUID, int | None] = {}  # priority given, by organisation

    def step(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Give what is due and take in what is there; where nothing is, it waits a moment for a
        report. False: there was nothing, or Redis cannot be reached (`is_away`)."""
        try:
            self._now_and_then()
            given = 0 if stopped() else self.give()
            taken_in = self.take_in(0 if given else BLOCK_MS)
        except UNREACHABLE as error:
            logger.warning("Redis cannot be reached: %s", error)
            self.is_away = True
            return False
        self.is_away = False
        return bool(given or taken_in)

    def turn(self, stopped: Callable[[], bool]) -> bool:
        """A step of a loop that rests only while Redis is away: the step waits by itself."""
        return self.step(stopped) or not self.is_away

    def _now_and_then(self) -> None:
        self._rhythm.every(BEAT_EVERY, "beat", self.row.beat)
        self._rhythm.every(REAP_EVERY, "reap", self.way.reap)
        self._rhythm.every(SWEEP_EVERY, "sweep", job_upkeep.sweep)
        self._rhythm.every(MISS_EVERY, "miss", self.look_for_missing)

    def close(self) -> None:
        self.row.leave()

    def give(self) -> int:
        """Give each organisation's next jobs, as far as it has room; returns how many."""
        return sum(self._give_to(organisation) for organisation in _with_due_jobs())

    def take_in(self, block_ms: int = 0) -> int:
        """Settle what workers reported, then forget it there; returns how many reports."""
        entries = self.way.reports(self.name, AT_ONCE, block_ms)
        if entries:
            intake.take_in([report for _id, report in entries])
            self.way.acknowledge([entry for entry, _report in entries])
        return len(entries)

    def look_for_missing(self, patience: timedelta = PATIENCE) -> int:
        """Jobs that were given and that Redis knows nothing of: it was emptied, or we died
        between writing down and giving. Those that nobody began are given again, as they were."""
        before = db_now() - patience
        given = Job.objects.filter(published_at__lte=before)
        count = 0
        for status, mend in ((Status.QUEUED, self._give_again), (Status.RUNNING, _lose)):
            rows = given.filter(status=status).order_by("pk").values_list("pk", "case_id")
            cases = {str(case): pk for pk, case in rows}
            missing = set(cases) - self.way.knows(cases)
            if missing:
                logger.warning("%s jobs (%s) are unknown to Redis", len(missing), status)
                count += mend(sorted(cases[case] for case in missing))
        return count

    def _give_to(self, organisation: UUID) -> int:
        """Its most urgent jobs. One more urgent than all that wait there goes before them, and
        finds room however many these are."""
        waiting, ahead = self.way.waiting(str(organisation)), settings.JOBS_AHEAD
        if not waiting:
            self._highest[organisation] = None
        due = Job.objects.filter(organisation=organisation, published_at=None)
        room = ahead - waiting
        if room <= 0:
            due = due.filter(priority__gt=self._highest_given(organisation))
            room += ahead
        taken = due.hand_over(min(room, AT_ONCE)) if room > 0 else []
        self._push(organisation, taken, bool(waiting))
        return len(taken)

    def _push(self, organisation: UUID, taken: list[Job], is_behind: bool) -> None:
        if not taken:
            return
        highest = self._highest_given(organisation) if is_behind else taken[0].priority
        key = registered.keyring().current
        urgent = [job for job in taken if job.priority > highest]
        self.way.push(jobs.envelopes_of(urgent, key), urgent=True)
        self.way.push(jobs.envelopes_of(taken[len(urgent) :], key))
        self._highest[organisation] = max(highest, taken[0].priority)

    def _highest_given(self, organisation: UUID) -> int:
        """The highest priority of the organisation's jobs that wait with the workers."""
        known = self._highest.get(organisation)
        if known is None:
            given = Job.objects.waiting().filter(organisation=organisation)
            found = given.exclude(published_at=None).aggregate(highest=Max("priority"))
            known = self._highest[organisation] = found["highest"] or 0
        return known

    def _give_again(self, keys: Iterable[int]) -> int:
        found = Job.objects.filter(pk__in=list(keys)[:AT_ONCE], status=Status.QUEUED)
        again = [job for job in found if job.lease_token and not job.cancel_asked_at]
        for job in again:
            if job.needs_session:
                registered.lend_session(job)
        self.way.push(jobs.envelopes_of(again))
        for job in self._unknown(again):  # the attempt has ended, and its report was lost
            _end_unheard(job)
        return len(again) + sum(jobs.give_up(job) for job in found if job.cancel_asked_at)

    def _unknown(self, found: Iterable[Job]) -> list[Job]:
        cases = {str(job.case_id): job for job in found}
        return [cases[case] for case in set(cases) - self.way.knows(cases)]


def _with_due_jobs() -> list[UUID]:
    due = Job.objects.filter(organisation=OuterRef("pk"), published_at=None).due().order_by()
    return list(Organisation.objects.filter(Exists(due), active=True).values_list("pk", flat=True))


def _end_unheard(job: Job) -> None:
    """It goes on with another attempt, unless a person has to look."""
    if may_have_begun(job):
        intake.lose(job, sentences.WORKER_UNKNOWN, begun=True)
    else:
        where = Q(status=Status.QUEUED, lease_token=job.lease_token)
        Job.change_all([job], where, None, **NO_LEASE, published_at=None)


def _lose(keys: Iterable[int]) -> int:
    found = Job.objects.filter(pk__in=list(keys)[:AT_ONCE], status=Status.RUNNING)
    reason = sentences.WORKER_UNKNOWN
    return sum(intake.lose(job, reason, begun=may_have_begun(job)) for job in found)
