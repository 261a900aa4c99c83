"""The site of a city: a cover, three steps, a page to wait on, the acknowledgement."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils import timezone

from orchestrator_site.demo.world import drafts, sede
from orchestrator_site.demo.world.drafts import Draft
from orchestrator_site.demo.world.pages import page

SITE = "madrid"
EXPEDIENTE = re.compile(r"\d{4}/\d{5,6}-MUL|\d{3}/\d{9}\.\d")
REGISTERING = timedelta(seconds=0.3)
WHO = ("expediente", "interesado", "referencia", "fase")
WHAT = ("asunto", "expone", "solicita")
PHASES = (
    ("identificacion", "Identificación"),
    ("denuncia", "Denuncia"),
    ("propuesta", "Propuesta de resolución"),
    ("revision", "Extraordinario de revisión"),
    ("subsanacion", "Subsanación"),
    ("reclamaciones", "Reclamaciones"),
    ("requerimiento", "Requerimiento embargo"),
    ("sancion", "Sanción"),
    ("apremio", "Apremio"),
    ("embargo", "Embargo"),
    ("otra", "Otra"),
)


def cover(request: HttpRequest) -> HttpResponse:
    return page("madrid/portada.html", {"expediente": request.GET.get("Expedient", "")})


def details(request: HttpRequest) -> HttpResponse:
    fields, problem = {"expediente": request.GET.get("Expedient", "").strip()}, None
    if request.method == "POST":
        fields = sede.fields_of(request, WHO)
        problem = sede.missing_problem(fields, ("expediente", "interesado", "fase"))
        problem = problem or sede.expediente_problem(fields["expediente"], EXPEDIENTE)
        if problem is None:
            return redirect("madrid:solicitud", drafts.start(SITE, fields))
    return _step(1, "datos", fields, problem)


@sede.with_draft(SITE, "acuse")
def request_form(request: HttpRequest, draft: Draft) -> HttpResponse:
    """What is asked for, and its documents: at least one."""
    fields, problem = dict(draft.fields), None
    if request.method == "POST":
        fields |= sede.fields_of(request, WHAT)
        problem = sede.missing_problem(fields, WHAT)
        files = sede.files_of(request, "fichero")
        if problem is None and not (files or draft.files):
            problem = sede.NO_DOCUMENT
        if problem is None:
            drafts.fill_in(draft, fields, files)
            return redirect("madrid:firma", draft.id)
    return _step(2, "solicitud", fields, problem, draft)


@sede.with_draft(SITE, "acuse")
def signature(request: HttpRequest, draft: Draft) -> HttpResponse:
    if sede.missing_problem(draft.fields, WHAT):
        return redirect("madrid:solicitud", draft.id)
    if request.method != "POST":
        return _step(3, "firma", draft.fields, None, draft)
    if request.POST.get("acepto") != "on":
        return _step(3, "firma", draft.fields, sede.NOT_ACCEPTED, draft)
    answer = sede.send(draft, "madrid:enviando")
    if isinstance(answer, HttpResponse):
        return answer
    return _step(3, "firma", draft.fields, answer, draft)


def waiting(request: HttpRequest, draft: str) -> HttpResponse:
    """Reloads itself until the registry is through."""
    filing = sede.filing_of(SITE, draft)
    if datetime.now(UTC) - filing.at >= REGISTERING:
        return redirect("madrid:acuse", draft)
    return page("madrid/enviando.html", {})


def acknowledgement(request: HttpRequest, draft: str) -> HttpResponse:
    filing = sede.filing_of(SITE, draft)
    return page("madrid/acuse.html", {"filing": filing, "at": timezone.localtime(filing.at)})


def receipt(request: HttpRequest, draft: str) -> HttpResponse:
    return sede.receipt(SITE, draft, "Ayuntamiento - Sede electrónica de multas")


def _step(
    number: int,
    name: str,
    fields: object,
    problem: sede.Problem | None,
    draft: Draft | None = None,
) -> HttpResponse:
    context = {
        "number": number,
        "fields": fields,
        "phases": PHASES,
        "problem": problem,
        "draft": draft,
    }
    return page(f"madrid/{name}.html", context)


urlpatterns = [
    path("", cover, name="portada"),
    path("tramite/", details, name="datos"),
    path("tramite/<slug:draft>/solicitud", request_form, name="solicitud"),
    path("tramite/<slug:draft>/firma", signature, name="firma"),
    path("tramite/<slug:draft>/enviando", waiting, name="enviando"),
    path("tramite/<slug:draft>/acuse", acknowledgement, name="acuse"),
    path("tramite/<slug:draft>/justificante", receipt, name="justificante"),
]
