"""What the organisms' sites have in common: drafts in the address, checks, sending, the receipt."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import wraps

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.utils import timezone

from orchestrator_site.demo.world import books, cases, drafts, faults
from orchestrator_site.demo.world.drafts import Draft, SentFile
from orchestrator_site.demo.world.pages import broken, document, error_page

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Problem:
    """Why the site does not go on; `id` is that of its box on the page, and stays the same."""

    id: str
    text: str


BAD_EXPEDIENTE = Problem(
    "error-expediente", "El número de expediente no existe o su formato no es correcto."
)
LATE = Problem("error-plazo", "Fuera de plazo: el plazo de este expediente ha finalizado.")
INCOMPLETE = Problem("error-campos", "Debe rellenar todos los campos obligatorios.")
NO_DOCUMENT = Problem("error-documentos", "Debe adjuntar al menos un documento.")
NOT_ACCEPTED = Problem("error-acepto", "Debe aceptar las condiciones del trámite.")
REFUSED = Problem(
    "error-rechazo", "El registro ha rechazado la solicitud: el expediente no admite recurso."
)


def fields_of(request: HttpRequest, names: Iterable[str]) -> dict[str, str]:
    return {name: request.POST.get(name, "").strip() for name in names}


def files_of(request: HttpRequest, name: str) -> list[SentFile]:
    return [SentFile.of(upload) for upload in request.FILES.getlist(name)]


def expediente_problem(expediente: str, known: re.Pattern[str]) -> Problem | None:
    if not known.fullmatch(expediente):
        return BAD_EXPEDIENTE
    return LATE if cases.is_late(expediente) else None


def missing_problem(fields: Mapping[str, str], names: Iterable[str]) -> Problem | None:
    return None if all(fields.get(name) for name in names) else INCOMPLETE


def with_draft(site: str, end: str) -> Callable[..., Callable[..., HttpResponse]]:
    """Give the view its draft; one that is sent has only the page `end` left."""

    def decorated(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
        @wraps(view)
        def guarded(request: HttpRequest, draft: str) -> HttpResponse:
            found = draft_of(site, draft)
            if books.filing_of(found):
                return redirect(f"{site}:{end}", draft)
            return view(request, found)

        return guarded

    return decorated


def draft_of(site: str, key: str) -> Draft:
    """Raises Http404."""
    draft = drafts.read(key)
    if draft is None or draft.site != site:
        raise Http404
    return draft


def filing_of(site: str, key: str) -> books.Filing:
    """What a draft became. Raises Http404 where it is not sent."""
    filing = books.filing_of(draft_of(site, key))
    if filing is None:
        raise Http404
    return filing


def send(draft: Draft, then: str) -> HttpResponse | Problem:
    """The irrevocable step."""
    if faults.hit(draft.site, "refused", draft.expediente) is not None:
        return REFUSED
    filing = books.record(draft)
    logger.info("%s took in %s as %s", draft.site, draft.expediente, filing.registry_number)
    death = faults.hit(draft.site, "die_after_send", draft.expediente)
    if death is not None:
        return broken(death)
    return redirect(then, draft.id)


def receipt(site: str, key: str, organism: str) -> HttpResponse:
    filing = filing_of(site, key)
    if faults.hit(site, "lost_receipt", filing.expediente) is not None:
        return error_page(500)
    at = timezone.localtime(filing.at)
    lines = (
        f"{organism} - Justificante de presentación",
        f"Número de registro: {filing.registry_number}",
        f"Expediente: {filing.expediente}",
        f"Fecha y hora: {at:%d/%m/%Y %H:%M:%S}",
        *(f"Documento: {file.name} ({file.sha256})" for file in filing.files),
    )
    name = filing.registry_number.replace("/", "_")
    return document(f"justificante_{name}.pdf", lines, download=True)
