"""The WSGI application of the world, and its server.

Not Django's handler: that brings the project's middleware, sessions and databases along.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from django.core.handlers.wsgi import WSGIRequest
from django.http import Http404, HttpRequest, HttpResponse
from django.urls import resolve, set_urlconf
from waitress import create_server

from orchestrator_site.demo.world.disturbing import Visit, disturbed
from orchestrator_site.demo.world.pages import error_page

logger = logging.getLogger(__name__)

URLCONF = "orchestrator_site.demo.world.urls"
THREADS = 8


def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    request = WSGIRequest(environ)
    set_urlconf(URLCONF)  # for reverse() in this thread
    try:
        response = _respond(request)
    finally:
        set_urlconf(None)
        request.close()
    cookies = (("Set-Cookie", cookie.OutputString()) for cookie in response.cookies.values())
    headers = [*response.items(), *cookies]
    start_response(f"{response.status_code} {response.reason_phrase}", headers)
    # Waitress would send the body of a HEAD, and the visitor read it as the next answer.
    return [] if request.method == "HEAD" else [response.content]


def serve(host: str, port: int) -> Any:
    """Waitress on this address, not running yet; port 0 takes a free one (`effective_port`)."""
    return create_server(application, host=host, port=port, threads=THREADS, ident="Apache")


def _respond(request: HttpRequest) -> HttpResponse:
    try:
        match = resolve(request.path_info)
        if not match.namespace:
            return match.func(request)
        visit = Visit(
            request,
            site=match.namespace,
            step=match.url_name or "",
            draft=match.kwargs.get("draft", ""),
            id=match.kwargs.get("id") or _id_in(request),
            sgc=match.kwargs.get("sgc", ""),
        )
        return disturbed(visit, lambda: match.func(request, **match.kwargs))
    except Http404:
        return error_page(404)
    except Exception:
        logger.exception("the demo world failed on %s", request.path_info)
        return error_page(500)


def _id_in(request: HttpRequest) -> int | None:
    """The case that an intranet form is about."""
    given = request.POST.get("id", "") if request.method == "POST" else ""
    return int(given) if given.isdecimal() else None
