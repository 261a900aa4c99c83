"""Which cases an organismo's rule would take of the origin as it is now, before it is active."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from brain import cycles, origin, portal, rules
from brain.attachments import Gatherer
from brain.models import Organismo
from brain.surveying import Found, survey, weigh

SHOWN = 20  # cases of each kind
LOOKED_AT = 5000  # rows at most: a preview must answer at once
VERDICTS = {
    "accepted": _("accepted"),
    "discarded": _("discarded"),
    "incomplete": _("incomplete"),
    "already_queued": _("left to staff"),
    "missing_attachments": _("attachments missing"),
    "held": _("held"),
}
DETAILS = {"not null": _("not empty")}


def verdict_name(verdict: str) -> str:
    """The verdict in the reader's language."""
    return str(VERDICTS.get(verdict, verdict))


@dataclass
class Step:
    """How many rows are left after a filter."""

    name: str
    detail: str
    kept: int


@dataclass
class Preview:
    steps: list[Step] = field(default_factory=list)
    kept: list[Found] = field(default_factory=list)
    dropped: list[Found] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    is_cut: bool = False
    quota: int = 0
    error_kind: str = ""
    error: str = ""

    @property
    def left_alone(self) -> list[tuple[Found, str]]:
        """What is not claimed, with its verdict in words."""
        return [(found, verdict_name(found.verdict)) for found in self.dropped]

    @property
    def wanted(self) -> int:
        return self.counts["accepted"] + self.counts["held"]

    @property
    def next_cycle(self) -> int:
        """How many the next cycle would claim."""
        return min(self.wanted, self.quota)

    def as_dict(self) -> dict[str, Any]:
        return {
            "steps": [vars(step) for step in self.steps],
            "counts": dict(self.counts),
            "kept": [found.as_dict() for found in self.kept],
            "dropped": [found.as_dict() for found in self.dropped],
            "is_cut": self.is_cut,
            "next_cycle": self.next_cycle,
            "error_kind": self.error_kind,
            "error": self.error,
        }


def preview(organismo: Organismo) -> Preview:
    """Look, and change nothing. An origin that does not answer is told as such."""
    shown = Preview(quota=cycles.quota(organismo, 10**9))
    try:
        _look(organismo, shown)
    except (origin.OriginError, portal.PortalError, ValueError) as error:
        shown.error_kind, shown.error = type(error).__name__, str(error)
    return shown


def _look(organismo: Organismo, shown: Preview) -> None:
    """The filters are counted by the origin itself, the rest case by case."""
    shown.steps = [
        Step(name, str(DETAILS.get(detail, detail)), origin.count(rows))
        for name, detail, rows in origin.narrowing(organismo.patterns, organismo.texp_values)
    ]
    gatherer = Gatherer(organismo, timezone.localdate())
    for number, found in enumerate(survey(organismo), start=1):
        if number > LOOKED_AT:
            shown.is_cut = True
            break
        if found.is_wanted and len(shown.kept) < SHOWN:
            found = weigh(found.judgement, gatherer.check(found.judgement.case))
        shown.counts[found.verdict] += 1
        listed = shown.kept if found.is_wanted else shown.dropped
        if len(listed) < SHOWN:
            listed.append(found)
    well_formed = _passed(shown, rules.Verdict.DISCARDED.value)
    shown.steps += [
        Step(str(_("Format")), organismo.regex_expediente, well_formed),
        Step(str(_("Payload and attachments")), "", shown.wanted),
    ]


def _passed(shown: Preview, *without: str) -> int:
    return sum(count for verdict, count in shown.counts.items() if verdict not in without)
