"""One pass of the brain over its organismos."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.conf import settings
from django.utils import timezone
from django.utils.translation import gettext as _

from brain import rules
from brain.attachments import Gatherer
from brain.claimers import claimer_for
from brain.claiming import FAULTS, ClaimRound
from brain.enqueuing import check_flow
from brain.ledger import SiteReport
from brain.models import Claim, Cycle, Organismo
from brain.origin import Row
from brain.recovering import SETTLE_AFTER, unqueued
from brain.surveying import Found, site_rules, survey
from orchestrator_site.models import Pause
from orchestrator_site.sessions import me
from queues.models import TramiteTask

logger = logging.getLogger(__name__)
BRAIN = "brain"
# A cycle still "running" after this has lost its process.
ABANDONED_AFTER = timedelta(hours=1)
Progress = Callable[[Organismo, SiteReport], None]


def is_due(sites: Sequence[str] = ()) -> bool:
    """Whether the interval since the last such cycle's start has passed and nobody paused us."""
    if Pause.of(BRAIN):
        return False
    now = timezone.now()
    return _next_at(now, sites) <= now


def _next_at(now: datetime, sites: Sequence[str] = ()) -> datetime:
    """When a cycle of all (or just `sites`) is due: one of other sites does not put it off."""
    last = Cycle.objects.filter(only=",".join(sites)).order_by("-id").first()
    return last.started_at + settings.BRAIN_SYNC_INTERVAL if last else now


def step(stopped: Callable[[], bool]) -> bool:
    """Run a cycle when its time has come."""
    if not is_due():
        return False
    run_cycle(stopped=stopped)
    return True


def run_cycle(
    sites: Sequence[str] = (),
    *,
    stopped: Callable[[], bool] = lambda: False,
    progress: Progress = lambda organismo, report: None,
) -> Cycle:
    """Visit the organismos in force (or just `sites`), claiming up to the cycle's maximum.

    `progress` is told after each batch, and at each organismo's end. A pause ends the cycle as a
    stop does: after the case or batch at hand.

    An error of one organismo is recorded on it and ends its part alone.
    """
    _close_abandoned()
    cycle = Cycle.objects.create(runner=me(BRAIN), only=",".join(sites))

    def halted() -> bool:
        return stopped() or Pause.of(BRAIN) is not None

    left = settings.BRAIN_MAX_CLAIMS
    outcome = Cycle.Outcome.STOPPED
    try:
        for organismo in _chosen(sites):
            if halted():
                return cycle
            report = _visit(organismo, cycle, left, halted, progress)
            left -= report.claimed
            cycle.sites[organismo.site_id] = report.as_dict()
            cycle.save(update_fields=["sites"])
        failed = any(report["error"] for report in cycle.sites.values())
        if not halted():
            outcome = Cycle.Outcome.WITH_ERRORS if failed else Cycle.Outcome.DONE
    finally:
        cycle.outcome = outcome
        cycle.finished_at = timezone.now()
        cycle.save(update_fields=["outcome", "finished_at"])
    return cycle


def _visit(
    organismo: Organismo,
    cycle: Cycle,
    left: int,
    stopped: Callable[[], bool],
    progress: Progress,
) -> SiteReport:
    """One organismo's part. Whatever goes wrong in it is told on it, and ends nothing else."""
    report = SiteReport()
    try:
        visit = ClaimRound(
            organismo,
            claimer_for(organismo),
            cycle=cycle,
            stopped=stopped,
            progress=lambda report: progress(organismo, report),
        )
        report = visit.report
        visit.run(quota(organismo, left))
    except Exception as error:
        logger.exception("%s: the cycle's part broke", organismo)
        report.fail(error)
    progress(organismo, report)
    Organismo.objects.filter(pk=organismo.pk).update(
        last_sync_at=timezone.now(), last_error=report.error
    )
    return report


def quota(organismo: Organismo, left: int) -> int:
    """How many cases may become ours now: the cycle's rest, the row's limit, the queue's room."""
    waiting = TramiteTask.objects.filter(
        site_id=organismo.site_id,
        status__in=(TramiteTask.Status.PENDING, TramiteTask.Status.PROCESSING),
    ).count()
    room = organismo.target_queue_depth - waiting
    return max(0, min(left, organismo.claims_per_cycle, room))


@dataclass(frozen=True)
class DryRun:
    """What a cycle would do on one organismo. Cases beyond the quota wait for a later cycle."""

    site_id: str
    quota: int
    account: str
    cases: list[dict[str, Any]]
    error_kind: str = ""
    error: str = ""

    def as_dict(self) -> dict[str, Any]:
        return self.__dict__ | {"would_claim": sum(c["would_claim"] for c in self.cases)}


def dry_run(sites: Sequence[str] = ()) -> Iterator[DryRun]:
    """Log in and read everything as a cycle would; write nothing anywhere."""
    left = settings.BRAIN_MAX_CLAIMS
    for organismo in _chosen(sites):
        result = _dry_visit(organismo, left)
        left -= sum(case["would_claim"] for case in result.cases)
        yield result


def _dry_visit(organismo: Organismo, left: int) -> DryRun:
    room = quota(organismo, left)
    claimer = claimer_for(organismo)
    cases: list[dict[str, Any]] = []
    problem: Exception | None = None
    taken = 0
    try:
        check_flow(organismo)
        claimer.open()
        cases += [_recoverable(row, organismo) for row in unqueued(organismo, claimer.account)]
        for found in survey(organismo, Gatherer(organismo, timezone.localdate())):
            claims = found.is_wanted and taken < room
            taken += claims
            cases.append(
                {**found.as_dict(), "would_claim": claims, "next": next_step(found, claims)}
            )
    except FAULTS as error:
        problem = error
    except Exception as error:  # as in a cycle: what breaks one ends no other
        logger.exception("%s: the dry run's part broke", organismo)
        problem = error
    finally:
        claimer.close()
    return DryRun(
        site_id=organismo.site_id,
        quota=room,
        account=claimer.account,
        cases=cases,
        error_kind=type(problem).__name__ if problem else "",
        error=str(problem or ""),
    )


def _recoverable(row: Row, organismo: Organismo) -> dict[str, Any]:
    """A case that is ours already, as a dry run tells it."""
    judgement = rules.judge(rules.Case.from_row(row), site_rules(organismo))
    told = Found(judgement, "recovered", judgement.reason).as_dict()
    fit = judgement.verdict == rules.Verdict.ACCEPTED
    then = _("queued without a new claim") if fit else _("listed: ours, and cannot be queued")
    return {**told, "would_claim": False, "next": then}


def next_step(found: Found, would_claim: bool) -> str:
    """What a cycle would do with the case, in words."""
    if not found.is_wanted:
        return _("left alone")
    if not would_claim:
        return _("a later cycle: this one's limit is reached")
    return _("claimed and held") if found.verdict == "held" else _("claimed and queued")


def _chosen(sites: Sequence[str]) -> list[Organismo]:
    rows = Organismo.objects.in_force()
    return list(rows.filter(site_id__in=sites) if sites else rows)


def _close_abandoned() -> None:
    old = Cycle.objects.filter(
        outcome=Cycle.Outcome.RUNNING, started_at__lt=timezone.now() - ABANDONED_AFTER
    )
    old.update(outcome=Cycle.Outcome.ABANDONED, finished_at=timezone.now())


def unqueued_claims() -> Any:
    """Cases that are ours and have no task: to be given back."""
    return Claim.objects.filter(status__in=Claim.OURS, queued_at=None)


def undecided_claims() -> Any:
    """Claims that nobody decides: their brain died and their organismo is not visited any more."""
    long_ago = timezone.now() - 2 * SETTLE_AFTER
    return Claim.objects.filter(status=Claim.Status.STARTED, started_at__lt=long_ago)


def status(now: datetime) -> dict[str, Any]:
    """Whether the brain runs, its last cycle, when the next is due, and what waits for a person."""
    pause = Pause.of(BRAIN)
    last = Cycle.objects.order_by("-id").first()
    return {
        "paused": bool(pause),
        "pause_reason": pause.reason if pause else "",
        "last_cycle": last.pk if last else None,
        "last_outcome": last.outcome if last else None,
        "last_started_at": last.started_at if last else None,
        "last_finished_at": last.finished_at if last else None,
        "next_at": None if pause else max(_next_at(now), now),
        "unqueued_claims": unqueued_claims().count(),
        "unproven_claims": Claim.objects.filter(status=Claim.Status.UNPROVEN).count(),
        "undecided_claims": undecided_claims().count(),
    }
