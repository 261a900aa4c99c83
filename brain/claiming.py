"""The claim cycle of one organismo: recover, find, claim, prove, queue."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from itertools import islice

from django.utils import timezone
from django.utils.translation import gettext as _

from brain import attachments, origin, portal, rules, sentences, surveying
from brain.asking import Inline, Told, ask, line_for
from brain.claimers import Claimer, ClaimerUnavailable, claimer_for
from brain.enqueuing import Entry, NotQueued, check_flow
from brain.ledger import Ledger, SiteReport
from brain.models import Claim, Cycle, Organismo
from brain.proving import Prover
from brain.recovering import Recovery
from brain.surveying import Found
from orchestrator_site.models import Event

logger = logging.getLogger(__name__)
PROBE = 5  # claims that must not all stay unproven


class Unprovable(Exception):
    """Claims are made, and the origin never shows them as the organismo's rule says."""


# What ends an organismo's part of a cycle, told in its report.
FAULTS = (ClaimerUnavailable, NotQueued, Unprovable, portal.PortalError, origin.OriginError)


@dataclass(frozen=True)
class Attempt:
    """A batch that is written down and asked for. `cases`: what did not become ours, at the end."""

    cases: dict[int, Found]
    claims: list[Claim]
    told: Future[Told]


class ClaimRound:
    """One organismo's part of a cycle. Two at once on the same cases are safe: see Claim."""

    def __init__(
        self,
        organismo: Organismo,
        claimer: Claimer,
        *,
        cycle: Cycle | None = None,
        stopped: Callable[[], bool] = lambda: False,
        progress: Callable[[SiteReport], None] = lambda report: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.organismo = organismo
        self.claimer = claimer
        self.stopped = stopped
        self.progress = progress
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
        except FAULTS as error:
            self.report.fail(error)
            logger.error("%s: %s: %s", self.organismo, type(error).__name__, error)
        finally:
            self.close()
        return self.report

    def close(self) -> None:
        self.claimer.close()
        self.gatherer.close()

    def recovery(self) -> Recovery:
        return Recovery(self.ledger, self.gatherer, self.claimer.account, self.stopped)

    def claim(self, quota: int) -> None:
        """Find, claim, prove and queue until `quota` were tried, none is left, or a stop.

        The first few go alone: where none of them can be proven, the rule is wrong, and the
        organismo is paused before it takes everything.
        """
        wanted = self._wanted()
        asked: Attempt | None = None
        with line_for(self.claimer) as line:
            try:
                size = min(self.claimer.batch, PROBE)
                while quota > 0 and not self.stopped():
                    batch = list(islice(wanted, min(size, quota)))
                    if not batch:
                        return
                    started = self._start(batch, line)
                    quota -= len(started.claims)
                    before, asked = asked, started
                    if before:
                        self._settle(before)
                    # The first few, and one by one: nothing more is asked before we know.
                    if size < self.claimer.batch or isinstance(line, Inline):
                        asked = None
                        self._settle(started)
                        size = self.claimer.batch
            finally:  # what was asked for is ours, or is not: it is never left open
                if asked:
                    self._settle(asked)

    def claim_batch(self, batch: Sequence[rules.Judgement]) -> None:
        """Claim acceptable cases, and wait for the end."""
        self._settle(self._start(batch, Inline()))

    def _start(self, batch: Sequence[rules.Judgement], line: Executor) -> Attempt:
        """Fetch the attachments, write the claims down, and ask the origin.

        The attachments come before the claim: what cannot be had must not strand a case.
        """
        cases: dict[int, Found] = {}
        try:
            for found in self._with_files(batch):
                cases[found.judgement.case.id_recurso] = found
            reason = sentences.CLAIMING % {"method": self.organismo.claim_method}
            claims = self.ledger.start(list(cases.values()), self.claimer.account, reason)
        except BaseException:
            _discard(cases)
            raise
        self.report.lost += len(cases) - len(claims)
        return Attempt(cases, claims, line.submit(ask, self.claimer, claims))

    def _settle(self, attempt: Attempt) -> None:
        """Wait for the answer, prove, and queue what became ours."""
        cases = attempt.cases
        try:
            told = attempt.told.result()
            won = self.prover.prove(attempt.claims, told.answers, told.shown)
            entries = [Entry.of(claim, cases.pop(claim.resource_id)) for claim in won]
            self.ledger.settle_and_queue(entries, Claim.Status.PROVEN)
            self.report.claimed += len(won)
            for claim in won:
                self._correct_origin(claim)
        finally:
            _discard(cases)  # what is left in it did not become ours
        self.progress(self.report)
        if told.unavailable:
            raise told.unavailable
        if self.report.unproven and self._is_unprovable():
            raise Unprovable(self._pause())

    def _is_unprovable(self) -> bool:
        """Whether the last claims, of this cycle or earlier ones, all stayed unproven."""
        last = Claim.objects.filter(organismo=self.organismo).order_by("-id")[:PROBE]
        return [claim.status for claim in last] == [Claim.Status.UNPROVEN] * PROBE

    def _pause(self) -> str:
        """Stop the organismo, and say why: each cycle would take more cases that nobody files."""
        told = sentences.UNPROVABLE % {"n": PROBE}
        if Organismo.objects.filter(pk=self.organismo.pk, paused=False).update(paused=True):
            Event.record([self.organismo], "running", "paused", told)
        return told

    def _wanted(self) -> Iterator[rules.Judgement]:
        for found in surveying.survey(self.organismo):
            self.report.found += 1
            if found.is_wanted:
                yield found.judgement
            else:
                self.report.drop(found)

    def _with_files(self, batch: Sequence[rules.Judgement]) -> Iterator[Found]:
        for judgement in batch:
            if self.stopped():
                return
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
        Event.record([claim], claim.status, claim.status, sentences.NUMBER_REPAIRED, data)


def _discard(cases: Mapping[int, Found]) -> None:
    for found in cases.values():
        attachments.discard(found.gathered.files)


def claim_resource(id_recurso: int, site_id: str | None = None) -> Found:
    """Claim one case now, whatever the interval; the verdict tells what kept it from being tried.

    Raises LookupError, which tells why, where not exactly one organismo takes it as it is now.
    """
    takers = {
        organismo: row
        for organismo in Organismo.objects.in_force()
        if site_id in (None, organismo.site_id)
        and (row := surveying.candidate(organismo, id_recurso))
    }
    if not takers:
        raise LookupError(_untaken(id_recurso))
    if len(takers) > 1:
        told = {"n": len(takers), "id": id_recurso, "sites": ", ".join(map(str, takers))}
        raise LookupError(
            _("%(n)s active organismos take case %(id)s: name one of %(sites)s") % told
        )
    organismo, row = takers.popitem()
    check_flow(organismo)
    return _claim_row(ClaimRound(organismo, claimer_for(organismo)), row)


def _untaken(id_recurso: int) -> str:
    """Why no organismo takes the case."""
    row = origin.read(id_recurso)
    if row is None:
        return _("The origin has no case %(id)s.") % {"id": id_recurso}
    claim = Claim.objects.filter(resource_id=id_recurso, status__in=Claim.OURS).first()
    if claim:
        told = {"id": id_recurso, "claim": claim.pk, "site": claim.organismo}
        return _("Case %(id)s is claimed already: claim %(claim)s, %(site)s.") % told
    told = {
        "id": id_recurso,
        "organism": row["Organisme"],
        "texp": row["TExp"],
        "state": row["Estado"],
        "account": row["UsuarioAsignado"] or "-",
    }
    return (
        _(
            "No active organismo takes case %(id)s as it is now: "
            "%(organism)s, TExp %(texp)s, Estado %(state)s, with %(account)s."
        )
        % told
    )


def _claim_row(visit: ClaimRound, row: Mapping[str, object]) -> Found:
    judgement = rules.judge(rules.Case.from_row(row), surveying.site_rules(visit.organismo))
    # A person asks: what was given back before may be taken again, what has a task may not.
    queued = surveying.queued_ids([judgement.case.id_recurso])
    found = surveying.verdict_on(
        judgement, dict.fromkeys(queued, _("a task exists: rerun it instead"))
    )
    if found.is_wanted:
        found = surveying.weigh(judgement, visit.gatherer.check(judgement.case))
    if found.is_wanted:
        try:
            visit.claimer.open()
            visit.claim_batch([judgement])
        finally:
            visit.close()
    return found
