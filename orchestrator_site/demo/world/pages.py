"""Answers that every site of the world gives: a page, an error page, a PDF, a broken line."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse
from django.template.loader import render_to_string

from orchestrator_site.demo.world.pdf import pdf

TITLES = {
    404: "Página no encontrada",
    405: "Método no permitido",
    419: "La página ha caducado",
    500: "Error interno del servidor",
}
_NAMES = re.compile(rb'\b(id|for)="([^"]+)"')


def page(template: str, context: Mapping[str, Any], status: int = 200) -> HttpResponse:
    return HttpResponse(render_to_string(f"demo/{template}", dict(context)), status=status)


def error_page(status: int) -> HttpResponse:
    context = {"status": status, "title": TITLES.get(status) or HTTPStatus(status).phrase}
    response = page("error.html", context, status)
    if status == 419:  # Laravel's own, which HTTP has no phrase for
        response.reason_phrase = "Page Expired"
    return response


def document(name: str, lines: Sequence[str], download: bool) -> HttpResponse:
    how = "attachment" if download else "inline"
    headers = {"Content-Disposition": f'{how}; filename="{name}"'}
    return HttpResponse(pdf(lines), content_type="application/pdf", headers=headers)


def cut_off() -> HttpResponse:
    """Headers that promise more than comes: the server hangs up on the visitor."""
    return HttpResponse(b"", headers={"Content-Length": "4096"})


def broken(how: str) -> HttpResponse:
    """The answer of a server that died over it: a hung-up line for "cut", else an error page."""
    return cut_off() if how == "cut" else error_page(500)


def renamed(response: HttpResponse) -> HttpResponse:
    """The same page after a redesign: the ids, and the token's name, are others."""
    if "html" in response.headers.get("Content-Type", ""):
        body = _NAMES.sub(rb'\1="v2-\2"', response.content)
        response.content = body.replace(b"_token", b"_csrf")
    return response
