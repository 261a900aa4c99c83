"""What became of each demo case, beside what was expected of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brain.models import Claim, Cycle, RecursosExp
from orchestrator_site.demo.cases import CASES, METHODS, DemoCase
from orchestrator_site.demo.world.books import filings
from queues.models import EvidenceFile, TramiteTask


@dataclass(frozen=True)
class Outcome:
    """One case as it ended. `wrong` names each expectation that was not met."""

    pk: int
    site: str
    story: str
    expediente: str
    verdict: str
    method: str
    claim: str
    task: str
    filings: int
    receipt: bool
    attempts: int
    reason: str
    wrong: tuple[str, ...]


def judge_all() -> list[Outcome]:
    """Every case of the demo, in the order of their ids."""
    dropped = _dropped()
    sent = [filing.expediente for filing in filings()]
    return [_judge(case, dropped.get(case.pk), sent) for case in sorted(CASES, key=lambda c: c.pk)]


def _dropped() -> dict[int, dict[str, Any]]:
    """The cases that the cycles left alone, with the last reason."""
    return {
        case["idRecurso"]: case
        for cycle in Cycle.objects.order_by("id")
        for report in cycle.sites.values()
        for case in report["dropped"]
    }


def _judge(case: DemoCase, dropped: dict[str, Any] | None, sent: list[str]) -> Outcome:
    claim = Claim.objects.filter(resource_id=case.pk).first()
    task = TramiteTask.objects.filter(resource_id=case.pk).first()
    row = dict(RecursosExp.objects.filter(pk=case.pk).values().get())
    number = task.expediente if task else str(row["Expedient"] or "")
    found: dict[str, Any] = {
        "verdict": _verdict(claim, task, dropped),
        "method": claim.method if claim else "",
        "claim": claim.status if claim else "",
        "task": task.status if task else "",
        "filings": sent.count(number),
        "receipt": _has_receipt(task),
        "attempts": task.attempts if task else 0,
    }
    reason = " ".join(
        part
        for part in (
            (dropped or {}).get("reason", ""),
            claim.message if claim else "",
            task.hold_reason if task else "",
            task.error_log if task else "",
        )
        if part
    )
    wrong = tuple(_differences(case, found, row, f"{number} {reason}"))
    return Outcome(case.pk, case.site, case.story, number, reason=reason, wrong=wrong, **found)


def _verdict(claim: Claim | None, task: TramiteTask | None, dropped: dict[str, Any] | None) -> str:
    if dropped:
        return str(dropped["verdict"])
    if claim is None:
        return "not_found"
    if claim.status == Claim.Status.RECOVERED:
        return "recovered"
    return "held" if task and task.status == task.Status.HELD else "claimed"


def _has_receipt(task: TramiteTask | None) -> bool:
    if task is None:
        return False
    kept = EvidenceFile.objects.filter(case_id=task.case_id, kind=EvidenceFile.Kind.RECEIPT)
    return bool(task.result.get("receipt")) and kept.exists()


def _differences(
    case: DemoCase, found: dict[str, Any], row: dict[str, Any], told: str
) -> list[str]:
    wanted = case.expected
    expected = {
        "verdict": wanted.verdict,
        "method": METHODS[case.site] if wanted.claim else "",
        "claim": wanted.claim,
        "task": wanted.task,
        "filings": wanted.filings,
        "receipt": wanted.receipt,
        "attempts": wanted.attempts,
    }
    wrong = [
        f"{name} is {found[name]!r}, expected {value!r}"
        for name, value in expected.items()
        if found[name] != value
    ]
    wrong += [
        f"origin's {name} is {row[name]!r}, expected {value!r}"
        for name, value in wanted.origin.items()
        if row[name] != value
    ]
    if wanted.reason not in told:
        wrong.append(f"{wanted.reason!r} is not in the reason")
    return wrong
