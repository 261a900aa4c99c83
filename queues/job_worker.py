"""Jobs without Redis: the cluster takes them fairly, and runs them as an isolated worker would."""

from __future__ import annotations

import logging
import os
import socket
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.files import File
from django.core.files.storage import default_storage
from django.db import IntegrityError, transaction
from django.db.models import Exists, F, OuterRef

from devices.models import Worker
from orchestrator_site.models import Organisation
from orchestrator_site.rhythm import Rhythm
from queues import claims, intake, job_upkeep, jobs, live
from queues.browser import execution, signing
from queues.browser.execution import Execution, Limits, Session
from queues.browser.reports import Report
from queues.browser.signing import Envelope, EnvelopeRefused
from queues.browser.thread import BrowserThread
from queues.claims import DatabaseNow
from queues.errors import ErrorClass
from queues.models import Job, OrganisationTurn
from queues.registered import registered
from queues.workers import BEAT_EVERY, RENEWALS, SETTLING

logger = logging.getLogger(__name__)
SWEEP_EVERY = 10.0  # seconds
LOOK_AT = 16  # organisations, of those that waited longest: others may be faster


class JobWorker:
    """One loop over `jobs`; several at once, on any hosts, take different jobs."""

    kind = "jobs"

    def __init__(self, name: str, browser: BrowserThread | None = None) -> None:
        self.name = name
        self.row = Worker(name=name, kind=self.kind, host=socket.gethostname(), pid=os.getpid())
        self.browser = browser or execution.new_browser(
            settings.BROWSER_EXECUTABLE, settings.BROWSER_HEADLESS
        )
        self._rhythm = Rhythm()
        self._stopped: Callable[[], bool] = lambda: False

    def step(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Take the next organisation's job and carry it out; False: nothing was due."""
        self._rhythm.every(SWEEP_EVERY, "sweep", job_upkeep.sweep)
        self._rhythm.every(BEAT_EVERY, "beat", lambda: self.row.beat())
        self._stopped = stopped
        if stopped():
            return False
        job = take_next(self.name)
        if job is not None:
            self.carry_out(job)
        return job is not None

    def close(self) -> None:
        self.browser.close()
        self.row.leave()

    def carry_out(self, job: Job) -> None:
        """Run one leased job to an end. Whatever goes wrong, it is settled or its lease runs
        out."""
        self.row.beat(str(job))
        intake.settle(job, self._report(job))
        self.row.beat()

    def _report(self, job: Job) -> Report:
        try:
            envelope, session = _opened(job)
            return _finished(job, self.name, self._execute(job, envelope, session))
        except EnvelopeRefused as error:
            return _report(job, self.name, "refused", message=str(error))
        except Exception as error:  # the rim: a storage that is down must not end the worker
            logger.exception("job %s could not be carried out", job.case_id)
            failed = Execution("error", ErrorClass.INFRASTRUCTURE, f"{type(error).__name__}")
            return _finished(job, self.name, failed)

    def _execute(self, job: Job, envelope: Envelope, session: Session | None) -> Execution:
        lines = live.Lines(job)
        held = _Held(job, lines, self._tick)
        with tempfile.TemporaryDirectory(prefix="job-") as folder:
            try:
                return execution.run_envelope(
                    envelope,
                    session=session,
                    browser=self.browser,
                    store=DefaultStore(job),
                    folder=Path(folder),
                    permit=held.permit,
                    tick=held.tick,
                    on_line=lines.add,
                    limits=Limits(
                        settings.JOB_DEADLINE.total_seconds(),
                        settings.PAGE_TIMEOUT.total_seconds(),
                        settings.EGRESS_ALLOWED_NETWORKS,
                        settings.MOST_DOWNLOAD,
                    ),
                )
            finally:
                lines.tell()

    def _tick(self, job: Job) -> None:
        """Between two looks of a run: it is ended all the same where the session ends."""
        self._rhythm.every(SWEEP_EVERY, "sweep", job_upkeep.sweep)
        self._rhythm.every(BEAT_EVERY, "beat", lambda: self.row.beat(str(job)))
        self._stopped()


class _Held:
    """The worker's hold on a job while it runs: kept by renewals, ended by a cancellation."""

    def __init__(self, job: Job, lines: live.Lines, tick: Callable[[Job], None]) -> None:
        self.job = job
        self.lines = lines
        self._tick = tick
        self._renew_every = settings.TASK_LEASE.total_seconds() / RENEWALS
        self._renewed = time.monotonic()
        self._is_begun = False

    def permit(self) -> bool:
        self._is_begun = not self._is_cancelled() and claims.begin_irrevocable(self.job)
        return self._is_begun

    def tick(self) -> bool:
        self.lines.tell()
        self._tick(self.job)
        # What was begun is not cancelled any more: its confirmation is worth more.
        if not self._is_begun and self._is_cancelled():
            return False
        if time.monotonic() - self._renewed < self._renew_every:
            return True
        self._renewed = time.monotonic()
        return claims.renew(self.job, settings.TASK_LEASE)

    def _is_cancelled(self) -> bool:
        found = Job.objects.filter(pk=self.job.pk).values_list("cancel_asked_at", flat=True)
        self.job.cancel_asked_at = found.first()
        return self.job.cancel_asked_at is not None


class DefaultStore:
    """Results in the default storage; a slow one must not cost the job its lease."""

    def __init__(self, job: Job) -> None:
        self.job = job

    def put(self, name: str, path: Path, content_type: str) -> None:
        claims.renew(self.job, SETTLING)
        with path.open("rb") as file:
            default_storage.delete(name)
            if default_storage.save(name, File(file)) != name:
                raise FileExistsError(name)


def take_next(worker: str) -> Job | None:
    """Lease the best job of the organisation that waited longest since its last one was taken."""
    for organisation, taken_at in _in_turn():
        if _has_turn(organisation, taken_at):
            due = Job.objects.filter(organisation=organisation, published_at=None)
            if taken := due.take(worker, settings.TASK_LEASE):
                job: Job = taken[0]
                return job
    return None


def _in_turn() -> list[tuple[Any, Any]]:
    due = Job.objects.filter(organisation=OuterRef("pk"), published_at=None).due().order_by()
    rows = Organisation.objects.filter(Exists(due), active=True)
    ordered = rows.order_by(F("organisationturn__taken_at").asc(nulls_first=True), "pk")
    return list(ordered.values_list("pk", "organisationturn__taken_at")[:LOOK_AT])


def _has_turn(organisation: Any, seen: Any) -> bool:
    """Whether the turn is this caller's: who was slower looks at the next organisation."""
    if seen is not None:
        turn = OrganisationTurn.objects.filter(organisation=organisation, taken_at=seen)
        return bool(turn.update(taken_at=DatabaseNow()))
    try:
        with transaction.atomic():
            OrganisationTurn.objects.create(organisation_id=organisation, taken_at=DatabaseNow())
    except IntegrityError:
        return False
    return True


def _opened(job: Job) -> tuple[Envelope, Session | None]:
    """Verified as an isolated worker does. Raises EnvelopeRefused."""
    keys = registered.keyring()
    (envelope,) = jobs.envelopes_of([job], keys.current)
    most_age = settings.JOB_MOST_AGE.total_seconds()
    envelope = signing.opened(envelope.to_json(), keys, most_age)
    if not envelope.needs_session:
        return envelope, None
    return envelope, Session.opened(registered.session(job), settings.SESSION_KEYS)


def _finished(job: Job, worker: str, found: Execution) -> Report:
    return _report(
        job,
        worker,
        "finished",
        status=found.status,
        error_class=found.error_class,
        message=found.message,
        begun=found.begun,
        confirmed=found.confirmed,
        results=[asdict(one) for one in found.results],
        values=dict(found.values),
        seconds=found.seconds,
    )


def _report(job: Job, worker: str, kind: str, **more: Any) -> Report:
    return Report(
        kind=kind,
        job_id=str(job.case_id),
        org_id=str(job.organisation_id),
        attempt=job.attempts,
        lease=str(job.lease_token),
        worker=worker,
        **more,
    )
