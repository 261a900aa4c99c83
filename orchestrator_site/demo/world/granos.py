"""The portal of a grain trader, where its suppliers fetch their invoices: log in, look at a month's
list, take it along as a table, open each invoice as a PDF. And a door for the control plane's
webhooks, which keeps what it is told."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, HttpResponseNotAllowed
from django.shortcuts import redirect
from django.urls import path

from orchestrator_site.demo.world import faults, sessions, store
from orchestrator_site.demo.world.pages import document, page

COOKIE = "granos_session"
NAME = "granos"
# Invented: number, day, lines of concept and cents.
INVOICES = {
    "F-2026-0101": ("05/10/2026", (("Maíz amarillo, 24 t", 487_200), ("Transporte", 36_450))),
    "F-2026-0102": ("12/10/2026", (("Trigo duro, 18 t", 531_900),)),
    "F-2026-0107": ("29/10/2026", (("Cebada, 30 t", 552_000), ("Descuento", -27_600))),
    "F-2026-0111": ("03/11/2026", (("Girasol, 12 t", 498_000), ("Transporte", 21_300))),
}


def login(request: HttpRequest) -> HttpResponse:
    """Whoever gives a name and a password of four letters is a supplier."""
    if request.method != "POST":
        return _page("acceso", {})
    user, password = request.POST.get("usuario", ""), request.POST.get("clave", "")
    if not user or len(password) < 4:
        return _page("acceso", {"error": "Usuario o contraseña incorrectos."})
    return sessions.remembered(redirect("granos:facturas"), sessions.begin(NAME), COOKIE)


def listing(request: HttpRequest) -> HttpResponse:
    if not _is_signed_in(request):
        return redirect("granos:acceso")
    month = request.GET.get("mes", "").strip()
    return _page("facturas", {"invoices": _rows(month), "month": month})


def table(request: HttpRequest) -> HttpResponse:
    if not _is_signed_in(request):
        return redirect("granos:acceso")
    made = io.StringIO()
    lines = csv.writer(made, delimiter=";")
    lines.writerow(("Factura", "Fecha", "Importe"))
    lines.writerows(_rows(request.GET.get("mes", "").strip()))
    headers = {"Content-Disposition": 'attachment; filename="facturas.csv"'}
    return HttpResponse(made.getvalue(), content_type="text/csv; charset=utf-8", headers=headers)


def invoice(request: HttpRequest, number: str) -> HttpResponse:
    if not _is_signed_in(request):
        return redirect("granos:acceso")
    if number not in INVOICES:
        raise Http404
    day, lines = INVOICES[number]
    total = sum(cents for _concept, cents in lines)
    text = (
        "Granos del Sur, S. L.",
        f"Factura {number}  Fecha {day}",
        *(f"{concept}    {_euros(cents)} €" for concept, cents in lines),
        f"Total {_euros(total)} €",
    )
    return document(f"{number}.pdf", text, download=True)


def told(request: HttpRequest, who: str) -> HttpResponse:
    """A webhook comes in: kept with its headers. A fault makes it refuse, or have gone for good."""
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    answer = faults.hit(NAME, "webhook_answer", who)
    kept = {name: request.headers.get(name, "") for name in SIGNED}
    with store.opened() as database:
        database.execute(
            "INSERT INTO told (who, headers, body, at) VALUES (?, ?, ?, ?)",
            (who, json.dumps(kept), request.body.decode(), datetime.now(UTC).isoformat()),
        )
    return HttpResponse("ok", status=int(answer or 200), content_type="text/plain")


SIGNED = ("webhook-id", "webhook-timestamp", "webhook-signature")


def heard(who: str) -> list[tuple[dict[str, str], str]]:
    """What was told to `who`, in order: headers and body."""
    with store.opened() as database:
        rows = database.execute("SELECT headers, body FROM told WHERE who = ? ORDER BY id", (who,))
        return [(json.loads(row["headers"]), row["body"]) for row in rows]


def _rows(month: str) -> list[tuple[str, str, str]]:
    """Number, day and total of the invoices of a month, `10/2026`; of all without one."""
    return [
        (number, day, _euros(sum(cents for _concept, cents in lines)))
        for number, (day, lines) in INVOICES.items()
        if day.endswith(month)
    ]


def _euros(cents: int) -> str:
    """As Spain writes it: `1.234,50`."""
    return f"{cents / 100:,.2f}".translate(str.maketrans(",.", ".,"))


def _is_signed_in(request: HttpRequest) -> bool:
    session = sessions.of(request, COOKIE)
    if session and faults.hit(NAME, "expire_sessions") is not None:
        sessions.end(session)
        return False
    return session is not None and session.name == NAME


def _page(name: str, context: dict[str, Any]) -> HttpResponse:
    return page(f"granos/{name}.html", context)


urlpatterns = [
    path("", login, name="acceso"),
    path("facturas/", listing, name="facturas"),
    path("facturas.csv", table, name="tabla"),
    path("facturas/<slug:number>.pdf", invoice, name="factura"),
    path("avisos/<slug:who>", told, name="avisos"),
]
