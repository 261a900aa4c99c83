"""How an attempt at a job ends that did not go well: what its worker's word leads to."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from django.conf import settings
from django.db.models import F

from orchestrator_site.models import Event
from queues import claims, live, policy, sentences
from queues.browser.reports import Report
from queues.browser.signing import NO_SESSION
from queues.claims import NO_LEASE, DatabaseNow
from queues.errors import ErrorClass
from queues.models import Job
from queues.policy import Next
from queues.registered import registered

logger = logging.getLogger(__name__)
Status = Job.Status
OVER = "The job's deadline is over"
REFUSED = "refused"  # what events of refusals have instead of a status
AT_ONCE = timedelta(0)


class After:
    """What is done once the end is committed: it asks other systems, and may fail."""

    def __init__(self) -> None:
        self._todo: list[Callable[[], object]] = []

    def add(self, action: Callable[[], object]) -> None:
        self._todo.append(action)

    def do(self) -> None:
        for action in self._todo:
            try:
                action()
            except Exception:  # the rim: the end stands, and the sweep looks once more
                logger.exception("after the end of a job")


def end(job: Job, report: Report, after: After) -> bool:
    """Move a job as a report says that is neither of its beginning nor of its success; False where
    it leaves the job as it is. Within a transaction."""
    return ENDS[report.kind](job, report, after)


def fail(job: Job, error_class: str, message: str, after: After, **told: Any) -> bool:
    """End an attempt that went wrong by the error's class. A job whose session is over waits for
    the next one. `told`: `begun`, `confirmed` and `result` of a report that says so; `guard`: what
    else has to hold."""
    begun = told.get("begun", False) or job.intent_at is not None
    verdict = policy.after_failure(
        error_class,
        attempts=job.attempts,
        max_attempts=job.max_attempts,
        begun=begun,
        confirmed=told.get("confirmed", False),
    )
    changes: dict[str, Any] = {"error_class": error_class, "error_log": message}
    changes |= {name: told[name] for name in ("result", "guard") if name in told}
    if begun and job.intent_at is None:
        changes["intent_at"] = DatabaseNow()
    lost_session = error_class == ErrorClass.SESSION and job.needs_session
    if lost_session:
        after.add(lambda: registered.session_lost(job))
    if verdict.next is not Next.RETRY:
        return _finish(job, Job.ENDINGS[verdict.next], message, **changes)
    if job.cancel_asked_at:
        return _finish(job, Status.CANCELLED, message, **changes)
    if lost_session:
        return hold(job, message, **changes)
    return again(job, message, verdict.delay * settings.TASK_RETRY_FACTOR, **changes)


def again(job: Job, reason: str, delay: timedelta = AT_ONCE, **changes: Any) -> bool:
    """Back to the queue, from which it is given anew."""
    return claims.give_back(job, reason, delay, published_at=None, **changes)


def hold(job: Job, reason: str, *, guard: Mapping[str, Any] | None = None, **changes: Any) -> bool:
    """Have it wait until its session is renewed."""
    return job.move(
        Status.HELD,
        reason,
        guard={"lease_token": job.lease_token, **(guard or {})},
        **NO_LEASE,
        worker="",
        published_at=None,
        **changes,
    )


def lose(job: Job, reason: str, after: After, **told: Any) -> bool:
    """End an attempt whose worker will say nothing more."""
    return fail(job, ErrorClass.INFRASTRUCTURE, reason, after, **told)


def may_have_begun(job: Job) -> bool:
    """Whether an attempt of which nothing is known can have taken an irrevocable step."""
    return job.intent_at is not None or any(
        step.get("irrevocable") for step in json.loads(job.script)
    )


def note_refusal(job: Job, report: Report) -> None:
    data = {"worker": report.worker, "attempt": report.attempt}
    Event.record([job], job.status, REFUSED, report.message, data)
    logger.warning("job %s: refused by %s: %s", job.case_id, report.worker, report.message)


def _failed(job: Job, report: Report, after: After) -> bool:
    told = {"begun": report.begun, "confirmed": report.confirmed, "result": result_of(report)}
    if report.status == "cancelled" and not report.begun:
        message = sentences.CANCEL_CONFIRMED % {"worker": report.worker}
        if job.cancel_asked_at:
            return _finish(job, Status.CANCELLED, message, result=told["result"])
        return fail(job, ErrorClass.INFRASTRUCTURE, message, after, **told)
    known = report.error_class in ErrorClass.values
    error_class = report.error_class if known else ErrorClass.INFRASTRUCTURE
    return fail(job, error_class, report.message, after, **told)


def _refused(job: Job, report: Report, after: After) -> bool:
    note_refusal(job, report)
    if report.message == NO_SESSION:
        return _without_session(job, after)
    error_class = ErrorClass.TIMEOUT if report.message == OVER else ErrorClass.PAYLOAD
    changes = {"error_class": error_class, "error_log": report.message}
    return _finish(job, Status.ERROR, report.message, **changes)


def _without_session(job: Job, after: After) -> bool:
    """Nothing was executed. Redis may have lost a session that lives: that it is lent again uses an
    attempt up, since its worker may be one that cannot read it."""
    if job.cancel_asked_at:
        return _finish(job, Status.CANCELLED, NO_SESSION)
    if registered.session(job) and live.transport():
        after.add(lambda: registered.lend_session(job))
        if job.attempts < job.max_attempts:
            return again(job, sentences.SESSION_LENT_AGAIN)
        return fail(job, ErrorClass.INFRASTRUCTURE, NO_SESSION, after)
    after.add(lambda: registered.session_lost(job))
    one_more: dict[str, Any] = {"max_attempts": F("max_attempts") + 1}
    changes = {**one_more, "error_class": ErrorClass.SESSION, "error_log": NO_SESSION}
    return hold(job, NO_SESSION, **changes)


def _returned(job: Job, report: Report, after: After) -> bool:
    """Its worker stops: the attempt was not the job's fault. Its number is not used again, or the
    next one would look like a replay."""
    reason = sentences.RETURNED % {"worker": report.worker}
    if report.begun:
        return lose(job, reason, after, begun=True)
    if job.cancel_asked_at:
        return _finish(job, Status.CANCELLED, reason)
    return again(job, reason, max_attempts=F("max_attempts") + 1)


def _lost(job: Job, report: Report, after: After) -> bool:
    return lose(job, sentences.WORKER_DIED % {"worker": report.worker}, after, begun=report.begun)


def _finish(job: Job, to: str, reason: str, **changes: Any) -> bool:
    return claims.finish(job, to, reason, published_at=None, **changes)


def result_of(report: Report) -> dict[str, Any]:
    """What a job keeps of a report: the files by name, what was read, and how long it took."""
    return {
        "results": [dict(one) for one in report.results],
        "values": dict(report.values),
        "confirmed": report.confirmed,
        "seconds": round(report.seconds, 2),
    }


ENDS: Mapping[str, Callable[[Job, Report, After], bool]] = {
    "finished": _failed,
    "refused": _refused,
    "returned": _returned,
    "lost": _lost,
}
