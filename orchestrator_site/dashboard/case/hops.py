"""The way of a case in hops, and which of them is missing. Pure, but for the reader's language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from django.utils.translation import pgettext_lazy


class Stand(StrEnum):
    DONE = "done"
    MISSING = "missing"  # it should be there, and is not
    NEXT = "next"  # what the case waits for
    LATER = "later"  # its turn has not come
    UNNEEDED = "unneeded"  # nobody asks for it here


NAMES = {
    Stand.DONE: pgettext_lazy("hop", "Done"),
    Stand.MISSING: pgettext_lazy("hop", "Missing"),
    Stand.NEXT: pgettext_lazy("hop", "Next"),
    Stand.LATER: pgettext_lazy("hop", "Later"),
    Stand.UNNEEDED: pgettext_lazy("hop", "Not needed"),
}
TONES = {
    Stand.DONE: "ok",
    Stand.MISSING: "bad",
    Stand.NEXT: "busy",
    Stand.LATER: "off",
    Stand.UNNEEDED: "off",
}
ICONS = {
    Stand.DONE: "check_circle",
    Stand.MISSING: "error",
    Stand.NEXT: "pending",
    Stand.LATER: "radio_button_unchecked",
    Stand.UNNEEDED: "do_not_disturb_on",
}


@dataclass(frozen=True)
class Hop:
    """One step of the way. `is_done` may be so without anybody knowing when (`at`). What is not
    `is_needed` is never missing. `is_broken`: it is missing whatever the others say."""

    name: str
    title: Any
    is_done: bool = False
    at: datetime | None = None
    note: Any = ""
    is_needed: bool = True
    is_broken: bool = False
    stand: Stand = Stand.LATER

    @property
    def word(self) -> Any:
        return NAMES[self.stand]

    @property
    def tone(self) -> str:
        return TONES[self.stand]

    @property
    def icon(self) -> str:
        return ICONS[self.stand]

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "title": str(self.title),
            "stand": str(self.stand),
            "at": self.at.isoformat() if self.at else None,
            "note": str(self.note),
        }


def judged(hops: Sequence[Hop], *, is_over: bool, is_dropped: bool = False) -> list[Hop]:
    """Say how each hop stands.

    One that is not done is missing where a later one is, or where the case `is_over` and it would
    have been the next. A case that `is_dropped` (cancelled, given back) misses nothing further.
    """
    last = max((place for place, hop in enumerate(hops) if hop.is_done), default=-1)
    found: list[Hop] = []
    is_open = not is_dropped  # the first hop that is not done is still to be found
    for place, hop in enumerate(hops):
        stand = _stand(hop, place < last, is_open, is_over)
        if stand is Stand.NEXT or (stand is Stand.MISSING and place > last):
            is_open = False
        found.append(replace(hop, stand=stand))
    return found


def _stand(hop: Hop, is_passed: bool, is_open: bool, is_over: bool) -> Stand:
    if hop.is_broken:
        return Stand.MISSING
    if hop.is_done:
        return Stand.DONE
    if not hop.is_needed:
        return Stand.UNNEEDED
    if is_passed:
        return Stand.MISSING
    if not is_open:
        return Stand.LATER
    return Stand.MISSING if is_over else Stand.NEXT


def missing(hops: Sequence[Hop]) -> Hop | None:
    """The first that is."""
    return next((hop for hop in hops if hop.stand is Stand.MISSING), None)
