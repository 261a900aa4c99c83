"""The claim cycle of one organismo: recover, find, claim, prove, queue."""

from __future__ import annotations

import logging
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import timedelta
from itertools import islice
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import timezone
from django.utils.translation import gettext as _

from brain import attachments, origin, portal, rules, surveying
from brain.claimers import Answer, Claimer, ClaimerUnavailable, claimer_for
from brain.enqueuing import Entry, NotQueued, check_flow, enqueue
from brain.models import Claim, Cycle, Organismo
from orchestrator_site.models import Event
from queues.models import TramiteTask

logger = logging.getLogger(__name__)

# A claim still "started" after this belongs to a brain that died.
SETTLE_AFTER = timedelta(minutes=2)
Status = Claim.Status


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
    failed: int = 0
    recovered: int = 0
    queued: int = 0
    held: int = 0
    not_queued: int = 0
    error_kind: str = ""
    error: str = ""
    dropped: list[dict[str, Any]] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


# What a cycle keeps of the cases it dropped: enough to see why, not the whole origin.
DROPPED_KEPT = 50


class ClaimRound:
    """One organismo's part of a cycle. Two at once on the same cases are safe: see Claim."""

    def __init__(
        self,
        organismo: Organismo,
        claimer: Claimer,
        *,
        cycle: Cycle | None = None,
        stopped: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.organismo = organismo
        self.claimer = claimer
        self.cycle = cycle
        self.stopped = stopped
        self.sleep = sleep
        self.report = SiteReport()
        self.gatherer = attachments.Gatherer(organismo, timezone.localdate())

    def run(self, quota: int) -> SiteReport:
        """Claim and queue up to `quota` cases. Errors that concern the whole organismo are told
        in the report; what was claimed before them stands."""
        try:
            check_flow(self.organismo)
            self.claimer.open()
            self.recover()
            self.claim(quota)
        except (ClaimerUnavailable, NotQueued, portal.PortalError, origin.OriginError) as error:
            self.report.error_kind = type(error).__name__
            self.report.error = str(error)
            logger.error("%s: %s: %s", self.organismo, type(error).__name__, error)
        finally:
            self.claimer.close()
        return self.report

    # --- Finding --------------------------------------------------------------------------------

    def claim(self, quota: int) -> None:
        """Find, claim, prove and queue until `quota` are ours, the origin has no more, or a stop."""
        wanted = self._wanted()
        while quota > 0 and not self.stopped():
            batch = list(islice(wanted, min(self.claimer.batch, quota)))
            if not batch:
                return
            quota -= self._claim_batch(batch)

    def claim_one(self, row: Mapping[str, Any]) -> surveying.Found:
        """Claim one case by its row; the verdict tells what kept it from being tried."""
        judgement = rules.judge(rules.Case.from_row(row), surveying.site_rules(self.organismo))
        known = surveying.queued_ids([judgement.case.id_recurso])
        found = surveying._found(judgement, known, None)
        if found.verdict == "accepted":
            self.claimer.open()
            try:
                self._claim_batch([judgement])
            finally:
                self.claimer.close()
        return found

    def _wanted(self) -> Iterator[rules.Judgement]:
        for found in surveying.survey(self.organismo):
            self.report.found += 1
            if found.is_wanted:
                yield found.judgement
            else:
                self._drop(found)

    def _drop(self, found: surveying.Found) -> None:
        counter = {"missing_attachments": "incomplete"}.get(found.verdict, found.verdict)
        setattr(self.report, counter, getattr(self.report, counter) + 1)
        if len(self.report.dropped) < DROPPED_KEPT:
            self.report.dropped.append(
                {key: found.as_dict()[key] for key in ("idRecurso", "expediente", "verdict")}
                | {"reason": found.reason}
            )

    # --- Claiming -------------------------------------------------------------------------------

    def _claim_batch(self, batch: Sequence[rules.Judgement]) -> int:
        """Claim a batch; returns how many became ours."""
        cases = self._with_files(batch)
        claims = self._start(cases)
        if not claims:
            return 0
        answers = self.claimer.claim(claims)
        won = self._prove(claims, answers)
        self._discard_files(cases, won)
        entries = [self._entry(claim, cases[claim.resource_id]) for claim in won]
        self._settle_and_queue(entries, Status.PROVEN)
        self.report.claimed += len(won)
        for claim in won:
            self._correct_origin(claim)
        return len(won)

    def _with_files(self, batch: Sequence[rules.Judgement]) -> dict[int, surveying.Found]:
        """The cases whose attachments are there, the files fetched, by resource id."""
        cases = {}
        for judgement in batch:
            pk = judgement.case.id_recurso
            gathered = self.gatherer.gather(judgement.case, surveying.case_id_for(pk))
            found = surveying.weigh(judgement, gathered)
            if found.is_wanted:
                cases[pk] = found
            else:
                self._drop(found)
        return cases

    def _start(self, cases: Mapping[int, surveying.Found]) -> list[Claim]:
        """Write the attempts down, committed before the origin is touched.

        A case on which another brain has a claim in force is left out: the constraint decides.
        """
        batch = uuid.uuid4()
        rows = [self._new_claim(found.judgement, batch) for found in cases.values()]
        with transaction.atomic():
            Claim.objects.bulk_create(rows, ignore_conflicts=True)
            claims = list(Claim.objects.filter(batch=batch).order_by("resource_id"))
            Event.record(claims, "", Status.STARTED, f"claiming by {self.organismo.claim_method}")
        self.report.lost += len(rows) - len(claims)
        return claims

    def _new_claim(self, judgement: rules.Judgement, batch: uuid.UUID) -> Claim:
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
            account=self.claimer.account,
            before=case.row,
        )

    # --- Proving --------------------------------------------------------------------------------

    def _prove(self, claims: Sequence[Claim], answers: Mapping[int, Answer]) -> list[Claim]:
        """Read the origin back until each claim is decided; settles all but the proven ones."""
        for claim in claims:
            claim.answer = answers[claim.resource_id].text
            claim.screenshot_path = answers[claim.resource_id].screenshot
        proven: list[Claim] = []
        pending = list(claims)
        for delay in self._delays(answers):
            if not pending:
                break
            self.sleep(delay)
            shown = self._read_back(pending)
            at = timezone.now().isoformat()
            still: list[Claim] = []
            for claim in pending:
                row = shown.get(claim.resource_id)
                claim.readbacks = [*claim.readbacks, {"at": at, **_seen(row)}]
                self._sort(claim, row, answers[claim.resource_id], proven, still)
            pending = still
        for claim in pending:
            self._settle([claim], Status.UNPROVEN, _("the read-back never showed it as ours"))
            self.report.unproven += 1
        return proven

    def _sort(
        self,
        claim: Claim,
        row: Mapping[str, Any] | None,
        answer: Answer,
        proven: list[Claim],
        still: list[Claim],
    ) -> None:
        """Put one claim where its read-back says."""
        if is_ours(row, claim.account, self.organismo.claimed_rule):
            proven.append(claim)
        elif answer.changed is False or is_anothers(row, claim.account):
            holder = _name(row) or _("nobody")
            self._settle([claim], Status.LOST, _("it is with %(who)s") % {"who": holder})
            self.report.lost += 1
        else:
            still.append(claim)

    def _delays(self, answers: Mapping[int, Answer]) -> tuple[float, ...]:
        """Waits before each read-back; a statement that reported its rows is read at once."""
        delays = tuple(settings.BRAIN_PROOF_DELAYS)
        if all(answer.changed is not None for answer in answers.values()):
            return (0.0, *delays[:-1])
        return delays

    def _read_back(self, claims: Iterable[Claim]) -> dict[int, origin.Row]:
        try:
            return origin.read_back([claim.resource_id for claim in claims])
        except origin.OriginError as error:
            logger.warning("read-back failed: %s", error)
            return {}

    # --- Settling and queueing ------------------------------------------------------------------

    def _entry(self, claim: Claim, found: surveying.Found) -> Entry:
        return Entry(
            claim=claim,
            payload=found.judgement.payload,
            link=found.judgement.link,
            attachments=found.gathered.files,
            hold_reason=found.gathered.hold_reason,
        )

    def _settle(self, claims: Sequence[Claim], to: str, reason: str) -> list[Claim]:
        """Move claims with what was read back of them; the like ones in one statement."""
        groups: dict[str, list[Claim]] = {}
        for claim in claims:
            groups.setdefault(
                repr((claim.status, claim.answer, claim.readbacks, claim.screenshot_path)), []
            ).append(claim)
        moved: list[Claim] = []
        for group in groups.values():
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

    def _settle_and_queue(self, entries: Sequence[Entry], to: str, reason: str = "") -> None:
        """Settle the claims as ours and queue their tasks, in one transaction.

        Where the batch as a whole is refused, each goes alone: one bad case strands no other.
        """
        if not entries:
            return
        try:
            with transaction.atomic():
                self._settle([entry.claim for entry in entries], to, reason)
                tasks = enqueue(self.organismo, entries)
                _mark_queued([entry.claim for entry in entries])
        except NotQueued as error:
            for entry in entries:
                entry.claim.refresh_from_db(fields=["status"])
            if len(entries) > 1:
                for entry in entries:
                    self._settle_and_queue([entry], to, reason)
                return
            self._settle([entries[0].claim], to, str(error))
            self.report.not_queued += 1
            return
        self.report.queued += len(tasks)
        held = TramiteTask.Status.HELD
        self.report.held += sum(1 for task in tasks if task.status == held)

    def _discard_files(self, cases: Mapping[int, surveying.Found], won: Sequence[Claim]) -> None:
        ours = {claim.resource_id for claim in won}
        for pk, found in cases.items():
            if pk not in ours:
                attachments.discard(found.gathered.files)

    def _correct_origin(self, claim: Claim) -> None:
        """Write the repaired case number to the origin where the organismo says so."""
        if not claim.repaired_from:
            return
        self.report.repaired += 1
        if self.organismo.repair != Organismo.Repair.WRITE:
            return
        written = origin.correct_expediente(
            claim.resource_id, claim.before["Expedient"], claim.expediente
        )
        data = {"before": claim.repaired_from, "after": claim.expediente, "written": written}
        Event.record([claim], claim.status, claim.status, "case number repaired", data)

    # --- Recovery -------------------------------------------------------------------------------

    def recover(self) -> None:
        """Queue the cases that the origin shows as ours and that have no task of any status.

        They are what a crash between claim and queue, or an answer that came too late, leaves.
        """
        organismo = self.organismo
        rows = origin.ours(organismo.patterns, self.claimer.account, organismo.claimed_rule)
        for page in surveying.batched(origin.stream(rows), origin.PAGE):
            known = surveying.queued_ids(row["idRecurso"] for row in page)
            for row in page:
                if self.stopped():
                    return
                mine = is_ours(row, self.claimer.account, organismo.claimed_rule)
                if mine and row["idRecurso"] not in known:
                    self._recover_one(row)
        self._settle_abandoned()

    def _recover_one(self, row: origin.Row) -> None:
        judged_by = surveying.site_rules(self.organismo)
        judgement = rules.judge(rules.Case.from_row(row), judged_by)
        claim = self._claim_to_recover(judgement)
        if claim is None:
            return
        claim.readbacks = [{"at": timezone.now().isoformat(), **_seen(row)}]
        reason = _("the origin shows it as ours, and there was no task")
        if judgement.verdict != rules.Verdict.ACCEPTED:
            self._leave_unqueued(claim, judgement.reason)
            return
        gathered = self.gatherer.gather(judgement.case, claim.case_id)
        if gathered.missing:
            self._leave_unqueued(claim, f"missing: {', '.join(gathered.missing)}")
            return
        found = surveying.weigh(judgement, gathered)
        self._settle_and_queue([self._entry(claim, found)], Status.RECOVERED, reason)
        self.report.recovered += 1

    def _claim_to_recover(self, judgement: rules.Judgement) -> Claim | None:
        """The open claim that a crash left, or a new one; None where one is in force or at work."""
        pk = judgement.case.id_recurso
        last = Claim.objects.filter(resource_id=pk).order_by("-id").first()
        if last is None or last.status not in (*Claim.HELD, Status.UNPROVEN):
            started = self._start({pk: surveying.Found(judgement, "accepted")})
            return started[0] if started else None
        if last.status == Status.STARTED and timezone.now() - last.started_at < SETTLE_AFTER:
            return None
        return last if last.status in (Status.STARTED, Status.UNPROVEN) else None

    def _leave_unqueued(self, claim: Claim, reason: str) -> None:
        self._settle([claim], Status.RECOVERED, reason)
        self.report.recovered += 1
        self.report.not_queued += 1

    def _settle_abandoned(self) -> None:
        """Close the claims of brains that died, where the origin does not show them as ours."""
        old = Claim.objects.filter(
            organismo=self.organismo,
            status=Status.STARTED,
            started_at__lt=timezone.now() - SETTLE_AFTER,
        )
        claims = list(old[: origin.PAGE])
        if not claims:
            return
        shown = origin.read_back([claim.resource_id for claim in claims])
        for claim in claims:
            row = shown.get(claim.resource_id)
            if not is_ours(row, claim.account, self.organismo.claimed_rule):
                claim.readbacks = [{"at": timezone.now().isoformat(), **_seen(row)}]
                to = Status.LOST if is_anothers(row, claim.account) else Status.FAILED
                self._settle([claim], to, _("its brain died before it was decided"))


def is_ours(row: Mapping[str, Any] | None, account: str, rule: Mapping[str, int]) -> bool:
    """Whether the origin's row shows the case as claimed by `account`."""
    if row is None or _name(row) != account:
        return False
    return all(row[column] == value for column, value in rule.items())


def is_anothers(row: Mapping[str, Any] | None, account: str) -> bool:
    """Whether somebody else has the case, or it is gone."""
    return row is None or _name(row) not in ("", account)


def _name(row: Mapping[str, Any] | None) -> str:
    return ((row or {}).get("UsuarioAsignado") or "").strip()


def _seen(row: Mapping[str, Any] | None) -> dict[str, Any]:
    if row is None:
        return {"gone": True}
    return {name: rules.normalise(row[name]) for name in ("TExp", "Estado", "UsuarioAsignado")}


def _mark_queued(claims: Sequence[Claim]) -> None:
    now = timezone.now()
    Claim.objects.filter(pk__in=[claim.pk for claim in claims]).update(queued_at=now)
    for claim in claims:
        claim.queued_at = now


def claim_resource(id_recurso: int, site_id: str | None = None) -> surveying.Found:
    """Claim one case now, whatever the interval; the verdict tells what kept it from being tried.

    Raises LookupError where the origin has no such candidate, or no organismo, or several, take it.
    """
    takers = [
        organismo
        for organismo in Organismo.objects.in_force()
        if (site_id in (None, organismo.site_id)) and _candidate(organismo, id_recurso)
    ]
    if len(takers) != 1:
        raise LookupError(
            _("%(n)s active organismos take case %(id)s as it is now: %(sites)s")
            % {"n": len(takers), "id": id_recurso, "sites": ", ".join(map(str, takers)) or "-"}
        )
    row = _candidate(takers[0], id_recurso)
    assert row is not None
    check_flow(takers[0])
    return ClaimRound(takers[0], claimer_for(takers[0])).claim_one(row)


def _candidate(organismo: Organismo, pk: int) -> origin.Row | None:
    rows = origin.discovery(organismo.patterns, organismo.texp_values).filter(pk=pk)
    return next(origin.stream(rows), None)
