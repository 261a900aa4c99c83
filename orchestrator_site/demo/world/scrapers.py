"""The scrapers of the distribution: four services, each with several instances.

They accept a person at once and report later what they found. What they do with whom is declared
by CURP: `declare([Person(curp, "busy_once")])`, a name of BEHAVIOURS.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.urls import path

from orchestrator_site.demo.world import reporting, scraper_books
from orchestrator_site.demo.world.pages import cut_off, error_page
from orchestrator_site.demo.world.reporting import Report
from orchestrator_site.demo.world.scraper_books import Person, ScraperCall

INSTANCES = {
    "iad": ("01", "02"),
    "iad2": ("01", "02"),
    "master": ("01", "02"),
    "sisec": ("om", "gdl", "mty"),
}
FIELDS = {"curp": str, "nbc_id": str, "device_id": str, "taskid": int, "queue_document_id": str}
SHORTEST, LONGEST = 0.3, 1.5  # seconds until a report
LATE = 5.0


def accepted() -> HttpResponse:
    return JsonResponse({"status": "success", "message": "Task accepted for processing"})


def busy() -> HttpResponse:
    said = {"status": "error", "message": "Server busy"}
    return JsonResponse(said, status=429, headers={"Retry-After": "1"})


def bad_request() -> HttpResponse:
    return JsonResponse({"status": "error", "message": "Invalid CURP"}, status=400)


def broken() -> HttpResponse:
    return error_page(500)


@dataclass(frozen=True)
class Turn:
    """What is answered to one call, and what is reported after it."""

    answer: Callable[[], HttpResponse] = accepted
    reports: tuple[Report, ...] = ()


FOUND = Report(1, "Semanas cotizadas encontradas")
REFER = Report(2, "Acuda a su subdelegación: los datos de la CURP son inconsistentes")
OTHER = Report(3, "Sin registro como derechohabiente")
ERROR = Report(4, "Error al consultar el portal")
MAIL_CHANGED = Report(4, "El correo ya fue modificado durante el dia")
FINDS = Turn(reports=(FOUND,))

# The turns of a person, call by call; the last one goes on for ever.
BEHAVIOURS: dict[str, tuple[Turn, ...]] = {
    "found": (FINDS,),
    "refer": (Turn(reports=(REFER,)),),
    "other": (Turn(reports=(OTHER,)),),
    "error_then_found": (Turn(reports=(ERROR,)), FINDS),
    "mail_changed_today": (Turn(reports=(MAIL_CHANGED,)),),
    "busy_once": (Turn(busy), FINDS),
    "bad_request": (Turn(bad_request),),
    "error500_once": (Turn(broken), FINDS),
    "hang": (Turn(),),
    "late": (FINDS,),
    "unanswered": (Turn(cut_off),),
    "unanswered_but_found": (Turn(cut_off, (FOUND,)), FINDS),
    "double_report": (Turn(reports=(FOUND, FOUND)),),
    "forged_then_found": (Turn(reports=(replace(FOUND, is_forged=True), FOUND)),),
}


def declare(people: Sequence[Person]) -> None:
    """Tell the scrapers about people; who is not declared is found. Raises ValueError for a
    behaviour that there is not."""
    if unknown := {person.behaviour for person in people} - BEHAVIOURS.keys():
        raise ValueError(f"no behaviour {', '.join(sorted(unknown))}: {', '.join(BEHAVIOURS)}")
    scraper_books.remember(people)


def scrape(request: HttpRequest, service: str, instance: str) -> HttpResponse:
    """Take in a person. Raises Http404 for a service or an instance that there is not."""
    if instance not in INSTANCES.get(service, ()):
        raise Http404
    if request.method != "POST":
        return error_page(405)
    told = _told(request.body)
    if told is None:
        return bad_request()
    return _react(scraper_books.enter(service, instance, told))


def _told(body: bytes) -> dict[str, Any] | None:
    """The fields of a call; None where one is missing, of another type, or too many."""
    try:
        told = json.loads(body)
    except ValueError:
        return None
    is_whole = isinstance(told, dict) and told.keys() == FIELDS.keys()
    return told if is_whole and all(type(told[n]) is kind for n, kind in FIELDS.items()) else None


def _react(call: ScraperCall) -> HttpResponse:
    person = scraper_books.person(call.curp) or Person(call.curp, "found")
    turns = BEHAVIOURS[person.behaviour]
    turn = turns[min(call.turn, len(turns) - 1)]
    if turn.reports:
        reports = tuple(_of_person(report, call.curp) for report in turn.reports)
        reporting.report_later(call, reports, _delay(person))
    return turn.answer()


def _of_person(report: Report, curp: str) -> Report:
    """What is found of somebody is always the same, and invented."""
    if report.condition != FOUND.condition:
        return report
    number = zlib.crc32(curp.encode())
    return replace(report, data={"nss": f"{number:011d}", "semanas_cotizadas": number % 2000})


def _delay(person: Person) -> float:
    """Seconds until the report: declared, or somewhere between the limits by the CURP."""
    if person.delay is not None:
        return person.delay
    if person.behaviour == "late":
        return LATE
    share = zlib.crc32(person.curp.encode()) % 1000 / 1000
    return SHORTEST + share * (LONGEST - SHORTEST)


urlpatterns = [path("<slug:service>/<slug:instance>/", scrape, name="scrape")]
