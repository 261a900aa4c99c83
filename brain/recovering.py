"""What a crash leaves: cases that are ours in the origin without a task, claims never decided."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

from django.utils import timezone
from django.utils.translation import gettext as _

from brain import origin, rules, surveying
from brain.attachments import Gatherer
from brain.enqueuing import Entry
from brain.ledger import Ledger
from brain.models import Claim, Organismo
from brain.proving import is_anothers, is_ours, note

# A claim still "started" after this belongs to a brain that died.
SETTLE_AFTER = timedelta(minutes=2)
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

    def run(self) -> None:
        """Queue what the origin shows as ours and has no task of any status; close the rest."""
        for row in unqueued(self.organismo, self.account):
            if self.stopped():
                return
            self.recover(row)
        self._close_abandoned()

    def recover(self, row: origin.Row) -> None:
        """Queue one case of ours, without a new claim; where it cannot be, list it for staff."""
        judged_by = surveying.site_rules(self.organismo)
        judgement = rules.judge(rules.Case.from_row(row), judged_by)
        claim = self._claim_for(judgement)
        if claim is None:
            return
        self.ledger.report.recovered += 1
        note(claim, row)
        if judgement.verdict != rules.Verdict.ACCEPTED:
            self.ledger.leave_unqueued(claim, Status.RECOVERED, judgement.reason)
            return
        gathered = self.gatherer.gather(judgement.case, claim.case_id)
        found = surveying.weigh(judgement, gathered)
        if not found.is_wanted:
            self.ledger.leave_unqueued(claim, Status.RECOVERED, found.reason)
            return
        reason = _("the origin shows it as ours, and there was no task")
        self.ledger.settle_and_queue([Entry.of(claim, found)], Status.RECOVERED, reason)

    def _claim_for(self, judgement: rules.Judgement) -> Claim | None:
        """The open claim that a crash left, or a new one; None where one is in force or at work."""
        pk = judgement.case.id_recurso
        last = Claim.objects.filter(resource_id=pk).order_by("-id").first()
        if last is None or last.status not in (*Claim.HELD, Status.UNPROVEN):
            found = surveying.Found(judgement, "accepted")
            started = self.ledger.start([found], self.account, "found as ours")
            return started[0] if started else None
        if last.status == Status.STARTED and timezone.now() - last.started_at < SETTLE_AFTER:
            return None
        return last if last.status in (Status.STARTED, Status.UNPROVEN) else None

    def _close_abandoned(self) -> None:
        """Close the claims of brains that died, where the origin does not show them as ours."""
        abandoned = Claim.objects.filter(
            organismo=self.organismo,
            status=Status.STARTED,
            started_at__lt=timezone.now() - SETTLE_AFTER,
        )
        claims = list(abandoned[: origin.PAGE])
        shown = origin.read_back([claim.resource_id for claim in claims])
        for claim in claims:
            row = shown.get(claim.resource_id)
            if is_ours(row, claim.account, self.rule):
                continue
            note(claim, row)
            to = Status.LOST if is_anothers(row, claim.account) else Status.FAILED
            self.ledger.settle([claim], to, _("its brain died before it was decided"))
