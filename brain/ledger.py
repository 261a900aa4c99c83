"""Writing claims down: the attempt before it is made, and how it ended, with its task."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from brain import rules, surveying
from brain.attachments import discard
from brain.enqueuing import Entry, NotQueued, enqueue
from brain.models import Claim, Cycle, Organismo
from brain.surveying import Found
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues.models import TramiteTask

Status = Claim.Status
# What a cycle keeps of the cases it dropped: enough to see why, not the whole origin.
DROPPED_KEPT = 50


@dataclass
class SiteReport:
    """What a cycle did on one organismo."""

    found: int = 0
    discarded: int = 0
    incomplete: int = 0
    already_queued: int = 0
    repaired: int = 0
    claimed: int = 0
    lost: int = 0
    unproven: int = 0
    recovered: int = 0
    queued: int = 0
    held: int = 0
    not_queued: int = 0
    error_kind: str = ""
    error: str = ""
    dropped: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    def fail(self, error: Exception) -> None:
        """What ended this organismo's part."""
        self.error_kind, self.error = type(error).__name__, str(error)

    def drop(self, found: Found) -> None:
        """Count a case that is left alone, and keep the reason of the first ones."""
        counter = {"missing_attachments": "incomplete"}.get(found.verdict, found.verdict)
        setattr(self, counter, getattr(self, counter) + 1)
        if len(self.dropped) < DROPPED_KEPT:
            told = found.as_dict()
            kept = {name: told[name] for name in ("idRecurso", "expediente", "verdict", "reason")}
            self.dropped.append(kept)


@dataclass
class Ledger:
    """One organismo's claims in one cycle."""

    organismo: Organismo
    cycle: Cycle | None
    report: SiteReport = field(default_factory=SiteReport)
    started_at: datetime = field(default_factory=timezone.now)

    def start(self, cases: Sequence[Found], account: str, reason: str) -> list[Claim]:
        """Write the attempts down, committed before the origin is touched.

        A case on which another brain has a claim in force is left out: the constraint decides.
        """
        batch = uuid.uuid4()
        self.started_at = db_now()
        rows = [self._new(found.judgement, account, batch) for found in cases]
        with transaction.atomic():
            Claim.objects.bulk_create(rows, ignore_conflicts=True)
            claims = list(Claim.objects.filter(batch=batch).order_by("resource_id"))
            Event.record(claims, "", Status.STARTED, reason)
        return claims

    def settle(self, claims: Sequence[Claim], to: str, reason: str) -> list[Claim]:
        """Move claims with what was read back of them; those alike in one statement."""
        moved: list[Claim] = []
        for group in _alike(claims):
            first = group[0]
            moved += Claim.move_all(
                group,
                to,
                reason,
                data={"answer": first.answer, "readbacks": first.readbacks},
                answer=first.answer,
                readbacks=first.readbacks,
                screenshot_path=first.screenshot_path,
                message=reason,
                settled_at=timezone.now(),
            )
        return moved

    def settle_and_queue(self, entries: Sequence[Entry], to: str, reason: str = "") -> None:
        """Settle the claims as ours and queue their tasks, in one transaction.

        A claim that somebody else settled meanwhile is left out, and its files are discarded.
        Where the batch as a whole is refused, each goes alone: one bad case strands no other.
        """
        try:
            with transaction.atomic():
                ours = self._still_ours(entries, to, reason)
                tasks = enqueue(self.organismo, ours)
                _mark_queued([entry.claim for entry in ours])
        except NotQueued as error:
            for entry in entries:
                entry.claim.refresh_from_db(fields=["status"])
            self._one_by_one(entries, to, reason, error)
            return
        for entry in entries:
            if entry not in ours:
                discard(entry.attachments)
        self.report.queued += len(tasks)
        self.report.held += sum(task.status == TramiteTask.Status.HELD for task in tasks)

    def leave_unqueued(self, claim: Claim, to: str, reason: str) -> None:
        """Settle a claim as ours that has no task: it is listed for staff."""
        if claim.status in Claim.OURS:
            Claim.objects.filter(pk=claim.pk).update(message=reason)
        elif to in Claim.MOVES.get(claim.status, ()):
            self.settle([claim], to, reason)
        self.report.not_queued += 1

    def _still_ours(self, entries: Sequence[Entry], to: str, reason: str) -> list[Entry]:
        """The entries whose claim this call settled, or that was settled as ours before."""
        open_ones = [e.claim for e in entries if to in Claim.MOVES.get(e.claim.status, ())]
        ours = {claim.pk for claim in self.settle(open_ones, to, reason)}
        settled = [e.claim.pk for e in entries if e.claim.status in Claim.OURS]
        # Locked: what is given back at this moment must not be queued.
        locked = Claim.objects.select_for_update().filter(pk__in=settled, status__in=Claim.OURS)
        ours |= set(locked.values_list("pk", flat=True))
        return [entry for entry in entries if entry.claim.pk in ours]

    def _one_by_one(self, entries: Sequence[Entry], to: str, reason: str, error: NotQueued) -> None:
        if len(entries) == 1:
            discard(entries[0].attachments)
            self.leave_unqueued(entries[0].claim, to, str(error))
            return
        for entry in entries:
            self.settle_and_queue([entry], to, reason)

    def _new(self, judgement: rules.Judgement, account: str, batch: uuid.UUID) -> Claim:
        case = judgement.case
        return Claim(
            case_id=surveying.case_id_for(case.id_recurso),
            batch=batch,
            organismo=self.organismo,
            cycle=self.cycle,
            resource_id=case.id_recurso,
            expediente=(judgement.expediente or case.expediente)[:300],
            repaired_from=judgement.repaired_from[:300],
            method=self.organismo.claim_method,
            account=account,
            before=case.row,
            started_at=self.started_at,
        )


def _alike(claims: Sequence[Claim]) -> list[list[Claim]]:
    """Grouped by all that is written with a move."""
    groups: dict[str, list[Claim]] = {}
    for claim in claims:
        same = repr((claim.status, claim.answer, claim.readbacks, claim.screenshot_path))
        groups.setdefault(same, []).append(claim)
    return list(groups.values())


def _mark_queued(claims: Sequence[Claim]) -> None:
    now = timezone.now()
    Claim.objects.filter(pk__in=[claim.pk for claim in claims]).update(queued_at=now)
    for claim in claims:
        claim.queued_at = now
