"""The "oficina virtual" of an electric utility: log in, list complaints (PQR), look at one, fetch
its documents. The same site for each company, under its own name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from secrets import compare_digest
from typing import Any

from django.conf import settings
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path

from orchestrator_site.demo.world import complaints, faults, sessions
from orchestrator_site.demo.world.complaints import Complaint
from orchestrator_site.demo.world.pages import document, page
from orchestrator_site.demo.world.sessions import Session

PAGE_SIZE = 10
# A complaint's fields as its page calls them, in the page's order.
LABELS = {
    "numero_reclamo_sgc": "Número de reclamo SGC",
    "numero_radicado": "Número de radicado",
    "fecha": "Fecha de radicación",
    "estado_solicitud": "Estado de la solicitud",
    "tipo_pqr": "Tipo de PQR",
    "nic": "NIC",
    "lectura": "Lectura",
    "nombres_apellidos": "Nombres y apellidos",
    "documento_identidad": "Documento de identidad",
    "correo_electronico": "Correo electrónico",
    "telefono": "Teléfono",
    "celular": "Celular",
    "canal_respuesta": "Canal de respuesta",
    "cuerpo_reclamacion": "Cuerpo de la reclamación",
    "documento_prueba": "Documento de prueba",
    "adjuntar_archivo": "Adjuntar archivo",
    "finalizar": "Finalizar",
    "comentarios": "Comentarios",
}


@dataclass(frozen=True)
class Brand:
    """What tells one company's pages from another's."""

    title: str
    color: str


BRANDS = {"afinia": Brand("Afinia", "#0b7a53"), "aire": Brand("Air-e", "#0a5bb0")}


def login(request: HttpRequest, company: str) -> HttpResponse:
    if request.method != "POST":
        return _page(company, "acceso", {})
    if not _is_right(company, request.POST.get("usuario", ""), request.POST.get("clave", "")):
        return _page(company, "acceso", {"error": "Usuario o contraseña incorrectos."})
    session = sessions.begin(_name(company))
    return sessions.remembered(redirect(f"{company}:reclamos"), session, _cookie(company))


def behind_login(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Send whoever is not logged in, or not any more, to the login page."""

    @wraps(view)
    def guarded(request: HttpRequest, company: str, **kwargs: Any) -> HttpResponse:
        session = sessions.of(request, _cookie(company))
        about = kwargs.get("sgc", "")
        if session and faults.hit(company, "expire_sessions", about) is not None:
            sessions.end(session)
            session = None
        if not _is_ours(session, company):
            return redirect(f"{company}:acceso")
        return view(request, company, **kwargs)

    return guarded


@behind_login
def listing(request: HttpRequest, company: str) -> HttpResponse:
    """A page of complaints, the newest first, filtered by state and number."""
    query = {name: request.GET.get(name, "").strip() for name in ("estado", "numero")}
    found = complaints.complaints(company, query["estado"], query["numero"])
    shown = Paginator(found, PAGE_SIZE).get_page(request.GET.get("pagina"))
    return _page(company, "reclamos", {"shown": shown, "query": query, "states": complaints.STATES})


@behind_login
def details(request: HttpRequest, company: str, sgc: str) -> HttpResponse:
    found = _found(company, sgc)
    fields = [(name, label, found.fields[name]) for name, label in LABELS.items()]
    return _page(company, "reclamo", {"complaint": found, "fields": fields})


@behind_login
def written(request: HttpRequest, company: str, sgc: str) -> HttpResponse:
    """The complaint on paper; a browser shows it."""
    found = _found(company, sgc)
    body = found.fields["cuerpo_reclamacion"].splitlines()
    shown = (f"{LABELS[name]}: {found.fields[name]}" for name in ("numero_radicado", "fecha"))
    lines = (f"{BRANDS[company].title} - Reclamo {sgc}", *shown, *body)
    return document(f"{sgc}_documento.pdf", lines, download=False)


@behind_login
def attachment(request: HttpRequest, company: str, sgc: str, number: int) -> HttpResponse:
    found = _found(company, sgc)
    if not 1 <= number <= len(found.attachments):
        raise Http404
    name = found.attachments[number - 1]
    return document(name, (f"Reclamo {sgc}", f"Adjunto {number}: {name}"), download=True)


def _found(company: str, sgc: str) -> Complaint:
    found = complaints.complaint(company, sgc)
    if found is None:
        raise Http404
    return found


def _page(company: str, name: str, context: dict[str, Any]) -> HttpResponse:
    return page(f"oficina/{name}.html", {**context, "site": company, "brand": BRANDS[company]})


def _is_right(company: str, user: str, password: str) -> bool:
    site = settings.PQR_SITES.get(company, {})
    given, known = (user, password), (site.get("user", ""), site.get("password", ""))
    return all(known) and all(
        compare_digest(one.encode(), other.encode())
        for one, other in zip(given, known, strict=True)
    )


def _is_ours(session: Session | None, company: str) -> bool:
    return session is not None and session.name == _name(company)


def _name(company: str) -> str:
    return f"oficina {company}"


def _cookie(company: str) -> str:
    return f"oficina_{company}"


urlpatterns = [
    path("", login, name="acceso"),
    path("reclamos/", listing, name="reclamos"),
    path("reclamos/<slug:sgc>/", details, name="reclamo"),
    path("reclamos/<slug:sgc>/documento", written, name="documento"),
    path("reclamos/<slug:sgc>/adjuntos/<int:number>", attachment, name="adjunto"),
]
