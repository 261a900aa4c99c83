"""Why a case waits, in one sentence: what its own rows say, and whether anybody works at all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from brain.assigning import DISTRIBUTION
from brain.cycles import BRAIN, SETTLE_AFTER
from brain.models import Claim
from devices.models import Worker
from devices.models.worker import ALIVE
from orchestrator_site.dashboard.case.facts import ago
from orchestrator_site.models import Pause
from orchestrator_site.sentences import told
from queues import blockers
from queues.models import Job, NbcRecord, QueueEntry, TramiteTask
from queues.models.base import LeasedTask

Task = TramiteTask.Status
Person = NbcRecord.Status
JobStatus = Job.Status
Outcome = Claim.Status


# --- Appeals --------------------------------------------------------------------------------------


def of_appeal(task: TramiteTask | None, claim: Claim | None, now: datetime) -> str:
    if task is None:
        return _of_claim(claim, now) if claim else ""
    if task.status == Task.PENDING:
        return _of_waiting(task, ("tramite",), now)
    if task.status == Task.PROCESSING:
        return _of_running(task, now)
    if task.status == Task.HELD:
        return _("A person has to authorise it: %(why)s") % {"why": told(task.hold_reason)}
    if task.status == Task.IN_DOUBT:
        return _("It may have been sent, or not: a person has to look at the site and decide.")
    return ""


def _of_claim(claim: Claim, now: datetime) -> str:
    if claim.status == Outcome.STARTED:
        if now - claim.started_at < 2 * SETTLE_AFTER:
            return _("It is being claimed.")
        return _("Its claim was never decided: the brain that began it died. A cycle settles it.")
    if claim.status == Outcome.UNPROVEN:
        return _("The origin never showed it as ours: a person has to look, or the next cycle.")
    if claim.status in Claim.OURS and claim.queued_at is None:
        return " ".join([_("It is ours and has no task in the queue."), *_paused(BRAIN, now)])
    return ""


# --- People ---------------------------------------------------------------------------------------


def of_person(person: NbcRecord, entry: QueueEntry | None, now: datetime) -> str:
    """`entry`: its live task, or None."""
    if person.status in (Person.PENDING, Person.AFTER_MIDNIGHT):
        return _of_unassigned(person, now)
    if person.status != Person.P1:
        return ""
    if entry is None:
        return _("It counts as assigned, and has no task that lives: a person has to look.")
    return _of_entry(entry, now)


def _of_unassigned(person: NbcRecord, now: datetime) -> str:
    if pause := _paused(DISTRIBUTION, now):
        return pause[0]
    return _sentence(blockers.of(person, now)) or _(
        "It waits to be assigned: the next round of the distribution looks at it."
    )


def _of_entry(entry: QueueEntry, now: datetime) -> str:
    if entry.status == QueueEntry.Status.ASSIGNED:
        if entry.generator.is_worked_from_mongo or entry.available_at > now:
            return _sentence(blockers.of_task(entry, now))
        return _of_waiting(entry, ("scrapers",), now)
    if entry.status == QueueEntry.Status.PROCESSING:
        return _of_running(entry, now)
    if entry.result_due_at is None:
        return _("The scraper has it: its result is waited for.")
    if entry.result_due_at <= now:
        text = _("The scraper has it: its result was due %(when)s, and the task is given back.")
    else:
        text = _("The scraper has it: its result is due %(when)s.")
    return text % {"when": ago(entry.result_due_at, now)}


# --- Jobs -----------------------------------------------------------------------------------------


def of_job(job: Job, now: datetime) -> str:
    if job.cancel_asked_at and job.status in Job.LIVE:
        when = ago(job.cancel_asked_at, now)
        return _("Its cancellation was asked for %(when)s.") % {"when": when}
    if job.status == JobStatus.QUEUED:
        return _of_queued(job, now)
    if job.status == JobStatus.HELD:
        names = {"user": job.user.get_username(), "provider": job.provider_name}
        return _("It waits for its session: %(user)s has to sign in at %(provider)s.") % names
    if job.status == JobStatus.RUNNING:
        return _of_running(job, now)
    if job.status == JobStatus.IN_DOUBT:
        return _("It may have had its effect, or not: a person has to look and decide.")
    return ""


def _of_queued(job: Job, now: datetime) -> str:
    if not job.organisation.active:
        return _("Its organisation is not active: none of its jobs run.")
    if job.published_at:
        when = ago(job.published_at, now)
        return _("It was given to the workers %(when)s, and none has begun it.") % {"when": when}
    return _of_waiting(job, ("jobs", "dispatcher"), now)


# --- What leased tasks have in common -------------------------------------------------------------


def _of_waiting(task: LeasedTask, kinds: Sequence[str], now: datetime) -> str:
    """A task that is due, or will be: is there anybody to take it?"""
    if task.available_at > now:
        text = _("Not before %(when)s: attempt %(number)d of %(most)d.")
        number = min(task.attempts + 1, task.max_attempts)
        return text % {
            "when": ago(task.available_at, now),
            "number": number,
            "most": task.max_attempts,
        }
    beats = Worker.objects.filter(kind__in=kinds).order_by("-heartbeat_at")
    heard = list(beats.values_list("heartbeat_at", flat=True)[:100])
    alive = sum(now - at < ALIVE for at in heard)
    if alive:
        text = ngettext(
            "It waits for its turn: %(n)d worker of its kind is alive.",
            "It waits for its turn: %(n)d workers of its kind are alive.",
            alive,
        )
        return text % {"n": alive}
    if heard:
        text = _("No worker of its kind is alive: the last was heard %(when)s.")
        return text % {"when": ago(heard[0], now)}
    return _("No worker of its kind is alive, and none was ever heard.")


def _of_running(task: LeasedTask, now: datetime) -> str:
    names = {"worker": task.worker or "?", "when": _when(task.started_at, now)}
    if task.lease_expires_at and task.lease_expires_at < now:
        text = _("Its worker %(worker)s is silent: it is taken back at the next sweep.")
        return text % names
    if task.intent_at:
        text = _("%(worker)s took it %(when)s; the irrevocable step has begun.")
        return text % names
    return _("%(worker)s took it %(when)s, and works on it.") % names


def _when(at: datetime | None, now: datetime) -> str:
    return ago(at, now) if at else "?"


def _paused(name: str, now: datetime) -> list[str]:
    """A sentence where the loop is paused."""
    pause = Pause.of(name)
    if pause is None:
        return []
    words = {"by": pause.by or "?", "when": ago(pause.since, now), "why": told(pause.reason)}
    if name == BRAIN:
        return [_("The brain was paused %(when)s by %(by)s: %(why)s") % words]
    return [_("The distribution was paused %(when)s by %(by)s: %(why)s") % words]


def _sentence(text: str) -> str:
    """What is told elsewhere in half a sentence."""
    return f"{text[:1].upper()}{text[1:]}." if text else ""
