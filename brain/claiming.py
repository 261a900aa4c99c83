"""The claim cycle of one organismo: recover, find, claim, prove, queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice

from django.utils import timezone
from django.utils.translation import gettext as _

from brain import attachments, origin, portal, rules, surveying
from brain.claimers import Claimer, ClaimerUnavailable, claimer_for
from brain.enqueuing import Entry, NotQueued, check_flow
from brain.ledger import Ledger, SiteReport
from brain.models import Claim, Cycle, Organismo
from brain.proving import Prover
from brain.recovering import Recovery
from brain.surveying import Found
from orchestrator_site.models import Event

logger = logging.getLogger(__name__)


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
        self.stopped = stopped
        self.ledger = Ledger(organismo, cycle)
        self.prover = Prover(self.ledger, sleep)
        self.gatherer = attachments.Gatherer(organismo, timezone.localdate())

    @property
    def report(self) -> SiteReport:
        return self.ledger.report

    def run(self, quota: int) -> SiteReport:
        """Claim and queue up to `quota` cases. Errors that concern the whole organismo are told
        in the report; what was claimed before them stands."""
        try:
            check_flow(self.organismo)
            self.claimer.open()
            self.recovery().run()
            self.claim(quota)
        except (ClaimerUnavailable, NotQueued, portal.PortalError, origin.OriginError) as error:
            self.report.error_kind = type(error).__name__
            self.report.error = str(error)
            logger.error("%s: %s: %s", self.organismo, type(error).__name__, error)
        finally:
            self.claimer.close()
        return self.report

    def recovery(self) -> Recovery:
        return Recovery(self.ledger, self.gatherer, self.claimer.account, self.stopped)

    def claim(self, quota: int) -> None:
        """Find, claim, prove and queue until `quota` are ours, none is left, or a stop."""
        wanted = self._wanted()
        while quota > 0 and not self.stopped():
            batch = list(islice(wanted, min(self.claimer.batch, quota)))
            if not batch:
                return
            quota -= self.claim_batch(batch)

    def claim_batch(self, batch: Sequence[rules.Judgement]) -> int:
        """Claim acceptable cases; returns how many became ours.

        The attachments are fetched before the claim: what cannot be had must not strand a case.
        """
        cases = {found.judgement.case.id_recurso: found for found in self._with_files(batch)}
        reason = f"claiming by {self.organismo.claim_method}"
        claims = self.ledger.start(list(cases.values()), self.claimer.account, reason)
        self.report.lost += len(cases) - len(claims)
        won = self.prover.prove(claims, self.claimer.claim(claims)) if claims else []
        entries = [Entry.of(claim, cases.pop(claim.resource_id)) for claim in won]
        for found in cases.values():
            attachments.discard(found.gathered.files)
        self.ledger.settle_and_queue(entries, Claim.Status.PROVEN)
        self.report.claimed += len(won)
        for claim in won:
            self._correct_origin(claim)
        return len(won)

    def _wanted(self) -> Iterator[rules.Judgement]:
        for found in surveying.survey(self.organismo):
            self.report.found += 1
            if found.is_wanted:
                yield found.judgement
            else:
                self.report.drop(found)

    def _with_files(self, batch: Sequence[rules.Judgement]) -> Iterator[Found]:
        for judgement in batch:
            case_id = surveying.case_id_for(judgement.case.id_recurso)
            found = surveying.weigh(judgement, self.gatherer.gather(judgement.case, case_id))
            if found.is_wanted:
                yield found
            else:
                self.report.drop(found)

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


def claim_resource(id_recurso: int, site_id: str | None = None) -> Found:
    """Claim one case now, whatever the interval; the verdict tells what kept it from being tried.

    Raises LookupError where not exactly one organismo takes the case as it is now.
    """
    takers = {
        organismo: row
        for organismo in Organismo.objects.in_force()
        if site_id in (None, organismo.site_id)
        and (row := surveying.candidate(organismo, id_recurso))
    }
    if len(takers) != 1:
        raise LookupError(
            _("%(n)s active organismos take case %(id)s as it is now: %(sites)s")
            % {"n": len(takers), "id": id_recurso, "sites": ", ".join(map(str, takers)) or "-"}
        )
    organismo, row = takers.popitem()
    check_flow(organismo)
    return _claim_row(ClaimRound(organismo, claimer_for(organismo)), row)


def _claim_row(visit: ClaimRound, row: Mapping[str, object]) -> Found:
    judgement = rules.judge(rules.Case.from_row(row), surveying.site_rules(visit.organismo))
    found = surveying.verdict_on(judgement, surveying.queued_ids([judgement.case.id_recurso]))
    if found.is_wanted:
        visit.claimer.open()
        try:
            visit.claim_batch([judgement])
        finally:
            visit.claimer.close()
    return found
