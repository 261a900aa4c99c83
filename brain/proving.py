"""The proof of a claim: reading the origin back until each is decided."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.utils import timezone

from brain import origin, rules, sentences
from brain.claimers import Answer
from brain.ledger import Ledger
from brain.models import Claim

logger = logging.getLogger(__name__)


def is_ours(row: Mapping[str, Any] | None, account: str, rule: Mapping[str, int]) -> bool:
    """Whether the origin's row shows the case as claimed by `account`."""
    if row is None or name_in(row) != account:
        return False
    return all(row[column] == value for column, value in rule.items())


def is_anothers(row: Mapping[str, Any] | None, account: str) -> bool:
    """Whether somebody else has the case, or it is gone."""
    return row is None or name_in(row) not in ("", account)


def name_in(row: Mapping[str, Any] | None) -> str:
    return str((row or {}).get("UsuarioAsignado") or "").strip()


def note(claim: Claim, row: Mapping[str, Any] | None, at: datetime | None = None) -> None:
    """Add what the origin shows now to what the ledger keeps of the claim."""
    seen: dict[str, Any] = {"gone": True}
    if row is not None:
        columns = ("TExp", "Estado", "UsuarioAsignado")
        seen = {name: rules.normalise(row[name]) for name in columns}
    at = at or timezone.now()
    claim.readbacks = [*claim.readbacks, {"at": at.isoformat(), **seen}]


@dataclass
class Prover:
    """Decides the claims of a batch: proven ones are returned, the others settled."""

    ledger: Ledger
    sleep: Callable[[float], None] = time.sleep
    unanswered: origin.OriginError | None = None  # what the last read-back that failed said

    def prove(
        self,
        claims: Sequence[Claim],
        answers: Mapping[int, Answer],
        shown: Mapping[int, origin.Row] | None = None,
    ) -> list[Claim]:
        """`shown` is the first read-back, where it was made already."""
        """Raises OriginError where no read-back was answered: that tells nothing of the rule."""
        for claim in claims:
            claim.answer = answers[claim.resource_id].text
            claim.screenshot_path = answers[claim.resource_id].screenshot
        proven: list[Claim] = []
        pending = list(claims)
        waits = delays(answers)
        if shown is not None:
            pending, waits = self._sort(pending, shown, answers, proven), waits[1:]
        for delay in waits:
            if not pending:
                return proven
            self.sleep(delay)
            pending = self._read(pending, answers, proven)
        if not pending:
            return proven
        self.ledger.settle(pending, Claim.Status.UNPROVEN, sentences.NEVER_SHOWN)
        self.ledger.report.unproven += len(pending)
        if self.unanswered and not any(claim.readbacks for claim in pending):
            raise self.unanswered
        return proven

    def _read(
        self, pending: Sequence[Claim], answers: Mapping[int, Answer], proven: list[Claim]
    ) -> list[Claim]:
        """One read-back of all that is undecided; returns what still is."""
        try:
            shown = origin.read_back([claim.resource_id for claim in pending])
        except origin.OriginError as error:
            logger.warning("read-back failed: %s", error)
            self.unanswered = error
            return list(pending)
        return self._sort(pending, shown, answers, proven)

    def _sort(
        self,
        pending: Sequence[Claim],
        shown: Mapping[int, origin.Row],
        answers: Mapping[int, Answer],
        proven: list[Claim],
    ) -> list[Claim]:
        """Decide by one read-back; returns what is still undecided."""
        still = []
        at = timezone.now()  # one for all: like claims are settled together
        for claim in pending:
            row = shown.get(claim.resource_id)
            note(claim, row, at)
            if is_ours(row, claim.account, self.ledger.organismo.claimed_rule):
                proven.append(claim)
            elif answers[claim.resource_id].changed is False or is_anothers(row, claim.account):
                self._lose(claim, row)
            else:
                still.append(claim)
        return still

    def _lose(self, claim: Claim, row: Mapping[str, Any] | None) -> None:
        told = sentences.WITH_ANOTHER % {"who": name_in(row) or sentences.NOBODY}
        self.ledger.settle([claim], Claim.Status.LOST, told)
        self.ledger.report.lost += 1


def delays(answers: Mapping[int, Answer]) -> tuple[float, ...]:
    """Seconds before each read-back; after a statement that told its rows the first is at once."""
    waits = tuple(settings.BRAIN_PROOF_DELAYS)
    if all(answer.changed is not None for answer in answers.values()):
        return (0.0, *waits[:-1])
    return waits
