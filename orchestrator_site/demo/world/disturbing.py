"""Where the faults that any page can have strike."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect

from orchestrator_site.demo.world import cases, drafts, faults
from orchestrator_site.demo.world.pages import cut_off, error_page, page, renamed


@dataclass(frozen=True)
class Visit:
    """One request to one page of a site."""

    request: HttpRequest
    site: str
    step: str
    draft: str = ""
    id: int | None = None
    sgc: str = ""

    @property
    def expediente(self) -> str:
        """The case, or the complaint, that it is about, "" where it says none."""
        if self.sgc:
            return self.sgc
        if self.draft:
            draft = drafts.read(self.draft)
            return draft.expediente if draft else ""
        if self.id is not None:
            case = cases.case(self.id)
            return case.expediente if case else ""
        given = self.request.POST if self.request.method == "POST" else self.request.GET
        return (given.get("expediente") or given.get("Expedient") or "").strip()


def disturbed(visit: Visit, answer: Callable[[], HttpResponse]) -> HttpResponse:
    """The page, or what the faults that are switched on make of it."""
    if not faults.active():
        return answer()
    expediente = visit.expediente
    _wait(visit.site, expediente)
    stand_in = _stand_in(visit, expediente)
    if stand_in is not None:
        return stand_in
    response = answer()
    changed = faults.hit(visit.site, "changed_page", expediente, visit.step)
    return response if changed is None else renamed(response)


def _wait(site: str, expediente: str) -> None:
    for fault in (faults.LATENCY, "slow"):
        time.sleep(float(faults.hit(site, fault, expediente) or 0))


def _stand_in(visit: Visit, expediente: str) -> HttpResponse | None:
    """What comes in place of the page."""
    if faults.hit(visit.site, "error500", expediente, visit.step) is not None:
        return error_page(500)
    if faults.hit(visit.site, "cut", expediente, visit.step) is not None:
        return cut_off()
    if target := faults.hit(visit.site, "redirected", expediente):
        return HttpResponseRedirect(target)
    if faults.hit(visit.site, "logged_out", expediente, visit.step) is not None:
        return page(f"{visit.site}/acceso.html", {})
    return None
