"""The site of a consortium of municipalities: four steps, then the confirmation."""

from __future__ import annotations

import re

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils import timezone

from orchestrator_site.demo.world import drafts, sede
from orchestrator_site.demo.world.drafts import Draft
from orchestrator_site.demo.world.pages import page

SITE = "xaloc"
EXPEDIENTE = re.compile(r"\d{4}/\d{6}-MUL")
WHO = ("expediente", "numclient", "nombre")
WHAT = ("asunto", "expone", "solicita")
STEPS = ("Identificación", "Alegaciones", "Documentos", "Revisión y envío")


def identification(request: HttpRequest) -> HttpResponse:
    fields, problem = {"expediente": request.GET.get("Expedient", "").strip()}, None
    if request.method == "POST":
        fields = sede.fields_of(request, WHO)
        problem = sede.missing_problem(fields, ("expediente", "nombre"))
        problem = problem or sede.expediente_problem(fields["expediente"], EXPEDIENTE)
        if problem is None:
            return redirect("xaloc:alegaciones", drafts.start(SITE, fields))
    return _step(1, "identificacion", fields, problem)


@sede.with_draft(SITE, "confirmacion")
def allegations(request: HttpRequest, draft: Draft) -> HttpResponse:
    fields, problem = dict(draft.fields), None
    if request.method == "POST":
        fields |= sede.fields_of(request, WHAT)
        problem = sede.missing_problem(fields, WHAT)
        if problem is None:
            drafts.fill_in(draft, fields)
            return redirect("xaloc:documentos", draft.id)
    return _step(2, "alegaciones", fields, problem, draft)


@sede.with_draft(SITE, "confirmacion")
def documents(request: HttpRequest, draft: Draft) -> HttpResponse:
    """Documents are added here as often as one likes; none is needed."""
    if request.method != "POST":
        return _step(3, "documentos", draft.fields, None, draft)
    drafts.fill_in(draft, {}, sede.files_of(request, "documentos"))
    return redirect(
        "xaloc:documentos" if "adjuntar" in request.POST else "xaloc:revision", draft.id
    )


@sede.with_draft(SITE, "confirmacion")
def review(request: HttpRequest, draft: Draft) -> HttpResponse:
    if sede.missing_problem(draft.fields, WHAT):
        return redirect("xaloc:alegaciones", draft.id)
    if request.method != "POST":
        return _step(4, "revision", draft.fields, None, draft)
    answer = sede.send(draft, "xaloc:confirmacion")
    if isinstance(answer, HttpResponse):
        return answer
    return _step(4, "revision", draft.fields, answer, draft)


def confirmation(request: HttpRequest, draft: str) -> HttpResponse:
    filing = sede.filing_of(SITE, draft)
    return page("xaloc/confirmacion.html", {"filing": filing, "at": timezone.localtime(filing.at)})


def receipt(request: HttpRequest, draft: str) -> HttpResponse:
    return sede.receipt(SITE, draft, "XALOC Consorci de Serveis Tributaris")


def _step(
    number: int,
    name: str,
    fields: object,
    problem: sede.Problem | None,
    draft: Draft | None = None,
) -> HttpResponse:
    context = {
        "number": number,
        "steps": STEPS,
        "fields": fields,
        "problem": problem,
        "draft": draft,
    }
    return page(f"xaloc/{name}.html", context)


urlpatterns = [
    path("", identification, name="identificacion"),
    path("tramite/<slug:draft>/alegaciones", allegations, name="alegaciones"),
    path("tramite/<slug:draft>/documentos", documents, name="documentos"),
    path("tramite/<slug:draft>/revision", review, name="revision"),
    path("tramite/<slug:draft>/confirmacion", confirmation, name="confirmacion"),
    path("tramite/<slug:draft>/justificante", receipt, name="justificante"),
]
