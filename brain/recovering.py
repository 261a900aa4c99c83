"""What a crash leaves: cases that are ours in the origin without a task, claims never decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import cached_property

from brain import origin, rules, sentences, surveying
from brain.attachments import Gatherer, discard
from brain.enqueuing import Entry
from brain.ledger import Ledger
from brain.models import Claim, Organismo
from brain.proving import is_anothers, is_ours, note
from orchestrator_site.clock import db_now

# A claim still "started" after this belongs to a brain that died: no claim takes that long.
SETTLE_AFTER = timedelta(minutes=10)
Status = Claim.Status


def unqueued(organismo: Organismo, account: str) -> Iterator[origin.Row]:
    """The cases that the origin shows as claimed by `account` and that have no task."""
    rule = organismo.claimed_rule
    rows = origin.ours(organismo.patterns, account, rule)
    for page in surveying.batched(origin.stream(rows), origin.PAGE):
        known = surveying.queued_ids(row["idRecurso"] for row in page)
        for row in page:
            if is_ours(row, account, rule) and row["idRecurso"] not in known:
                yield row


class Recovery:
    """Makes good what died, for one organismo."""

    def __init__(
        self, ledger: Ledger, gatherer: Gatherer, account: str, stopped: Callable[[], bool]
    ) -> None:
        self.ledger = ledger
        self.gatherer = gatherer
        self.account = account
        self.stopped = stopped
        self.organismo = ledger.organismo
        self.rule = self.organismo.claimed_rule

    @cached_property
    def judged_by(self) -> rules.SiteRules:
        return surveying.site_rules(self.organismo)

    def run(self) -> None:
        """Queue what the origin shows as ours and has no task of any status; close the rest."""
        self._decide_abandoned()
        for row in unqueued(self.organismo, self.account):
            if self.stopped():
                return
            self.recover(row, self.account)

    def recover(self, row: origin.Row, account: str) -> None:
        """Queue one case of ours, without a new claim; where it cannot be, list it for staff."""
        judgement = rules.judge(rules.Case.from_row(row), self.judged_by)
        claim = self._claim_for(judgement, account)
        if claim is None:
            return
        if claim.status not in Claim.OURS:
            note(claim, row)
            self.ledger.report.recovered += 1
        if judgement.verdict != rules.Verdict.ACCEPTED:
            self.ledger.leave_unqueued(claim, Status.RECOVERED, judgement.reason)
            return
        found = surveying.weigh(judgement, self.gatherer.gather(judgement.case, claim.case_id))
        if not found.is_wanted:
            self.ledger.leave_unqueued(claim, Status.RECOVERED, found.reason)
        elif self._is_still_ours(claim):
            entries = [Entry.of(claim, found)]
            self.ledger.settle_and_queue(entries, Status.RECOVERED, sentences.WITHOUT_TASK)
        else:
            discard(found.gathered.files)

    def _is_still_ours(self, claim: Claim) -> bool:
        """Asked again after the documents were fetched: a person may have been faster."""
        row = origin.read_back([claim.resource_id]).get(claim.resource_id)
        return is_ours(row, claim.account, self.rule)

    def _claim_for(self, judgement: rules.Judgement, account: str) -> Claim | None:
        """What a crash left, or a new claim; None where one is at work or was closed by staff."""
        pk = judgement.case.id_recurso
        last = Claim.objects.filter(resource_id=pk).order_by("-id").first()
        if last is None or last.status in (Status.LOST, Status.FAILED):
            found = surveying.Found(judgement, "accepted")
            started = self.ledger.start([found], account, sentences.FOUND_OURS)
            return started[0] if started else None
        if last.organismo_id != self.organismo.pk:
            return None
        if last.status == Status.STARTED and not self._is_abandoned(last):
            return None
        if last.status in (Status.RELEASED, Status.TAKEN_OVER):
            return None
        return last

    def _is_abandoned(self, claim: Claim) -> bool:
        return db_now() - claim.started_at >= SETTLE_AFTER

    def _decide_abandoned(self) -> None:
        """Decide the claims of brains that died, each by the account that it was made for."""
        started = Claim.objects.filter(organismo=self.organismo, status=Status.STARTED)
        abandoned = started.filter(started_at__lt=db_now() - SETTLE_AFTER).order_by("id")
        for claim in list(abandoned[: origin.PAGE]):
            if self.stopped():
                return
            row = origin.read(claim.resource_id)
            if row is not None and is_ours(row, claim.account, self.rule):
                self.recover(row, claim.account)
                continue
            note(claim, row)
            to = Status.LOST if is_anothers(row, claim.account) else Status.FAILED
            self.ledger.settle([claim], to, sentences.BRAIN_DIED)
