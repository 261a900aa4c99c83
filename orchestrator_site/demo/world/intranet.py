"""The intranet: log in, list cases, take one, fetch its documents."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import wraps
from secrets import compare_digest
from urllib.parse import urlsplit

from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import path
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe

from orchestrator_site.demo.world import cases, faults, sessions
from orchestrator_site.demo.world.pages import broken, document, error_page, page
from orchestrator_site.demo.world.sessions import Session

SITE = "intranet"
BOT = "BOT_MULTIVIA"
PERSON = "persona"
PERSON_EMAIL = "persona@multivia.example"  # logs in with the account's password too

# The same field as browsers accept it, in the ways that pages write it.
_TOKEN_INPUTS = (
    '<input type="hidden" name="_token" value="{}">',
    "<input value='{}' type='hidden' name='_token' />",
    "<INPUT TYPE=hidden NAME=_token autocomplete=off VALUE={}>",
    "<!-- <input name='_token' value='viejo'> -->"
    "<input\n  name='_token' value=\"{}\" type='hidden'>",
)
_turn = itertools.count()


def login(request: HttpRequest) -> HttpResponse:
    session = sessions.of(request)
    if request.method == "POST":
        return _log_in(request, session)
    if session and session.name:
        return redirect("intranet:home")
    session = session or sessions.begin()
    return sessions.remembered(_login_page(session), session)


def behind_login(view: Callable[..., HttpResponse]) -> Callable[..., HttpResponse]:
    """Send whoever is not logged in, or not any more, to the login page."""

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: int) -> HttpResponse:
        if faults.hit(SITE, "expire_sessions") is not None:
            sessions.expire_all()
        session = sessions.of(request)
        if session is None or not session.name:
            return redirect("intranet:login")
        return view(request, session, **kwargs)

    return guarded


@behind_login
def home(request: HttpRequest, session: Session) -> HttpResponse:
    return page("intranet/home.html", {"name": session.name})


@behind_login
def listing(request: HttpRequest, session: Session) -> HttpResponse:
    query = request.GET.dict()
    context = {
        "name": session.name,
        "cases": cases.listing(query),
        "limit": cases.LISTED,
        "query": query,
        "token": session.token,
        "token_input": token_input(session.token),
    }
    return page("intranet/telematicos.html", context)


@behind_login
def assign(request: HttpRequest, session: Session) -> HttpResponse:
    """Back to the listing, whatever came of it."""
    if request.method != "POST":
        return error_page(405)
    if not compare_digest(request.POST.get("_token", "").encode(), session.token.encode()):
        return error_page(419)
    wanted = request.POST.get("id", "")
    case = cases.case(int(wanted)) if wanted.isdecimal() else None
    if case is not None and request.POST.get("recursosSel") == "0":
        _assign(case, session.name)
        death = faults.hit(SITE, "die_after_assign", case.expediente)
        if death is not None:
            return broken(death)
    return redirect("intranet:telematicos")


@behind_login
def case_pdf(request: HttpRequest, session: Session, id: int) -> HttpResponse:
    case = cases.case(id)
    if case is None or not case.has_pdf:
        raise Http404
    lines = (f"Expediente {case.expediente}", case.organisme, case.sujeto, f"Recurso {case.id}")
    return document(f"recurso_{id}.pdf", lines, download=False)


@behind_login
def case_attachment(request: HttpRequest, session: Session, id: int, number: int) -> HttpResponse:
    case = cases.case(id)
    if case is None or not case.has_attachment(number):
        raise Http404
    lines = (f"Adjunto {number} del expediente {case.expediente}", f"Recurso {case.id}")
    return document(f"adjunto_{id}_{number}.pdf", lines, download=False)


def token_input(token: str) -> SafeString:
    """The hidden field, written differently each time; now and then all in entities."""
    turn = next(_turn)
    value = mark_safe("".join(f"&#{ord(c)};" for c in token)) if turn % 3 == 2 else token
    return format_html(_TOKEN_INPUTS[turn % len(_TOKEN_INPUTS)], value)


def _assign(case: cases.Case, name: str) -> None:
    if faults.hit(SITE, "ignore_assign", case.expediente) is not None:
        return
    stolen = faults.hit(SITE, "steal", case.expediente) is not None
    cases.assign(case.id, PERSON if stolen else name)


def _log_in(request: HttpRequest, session: Session | None) -> HttpResponse:
    token = request.POST.get("_token", "")
    if session is None or not compare_digest(token.encode(), session.token.encode()):
        return error_page(419)
    if not _is_from_here(request):
        return error_page(419)
    name = _name_for(request.POST.get("email", ""), request.POST.get("password", ""))
    if not name or request.POST.get("remember") != "on":
        return _login_page(session, "Estas credenciales no coinciden con nuestros registros.")
    sessions.end(session)
    return sessions.remembered(redirect("intranet:home"), sessions.begin(name))


def _login_page(session: Session, error: str = "") -> HttpResponse:
    return page("intranet/login.html", {"token_input": token_input(session.token), "error": error})


def _is_from_here(request: HttpRequest) -> bool:
    headers = (request.headers.get("Origin", ""), request.headers.get("Referer", ""))
    return all(urlsplit(header).netloc == request.headers.get("Host") for header in headers)


def _name_for(email: str, password: str) -> str:
    """Whose credentials these are, "" where they are nobody's."""
    right = bool(password) and compare_digest(password.encode(), settings.XVIA_PASSWORD.encode())
    names = {settings.XVIA_EMAIL.casefold(): BOT, PERSON_EMAIL: PERSON}
    return names.get(email.strip().casefold(), "") if right else ""


urlpatterns = [
    path("login", login, name="login"),
    path("home", home, name="home"),
    path("servicio/recursos/telematicos", listing, name="telematicos"),
    path("servicio/recursos/telematicos/AsignarA", assign, name="asignar"),
    path("servicio/recursos/<int:id>/pdf", case_pdf, name="pdf"),
    path("servicio/recursos/<int:id>/adjunto/<int:number>", case_attachment, name="adjunto"),
]
