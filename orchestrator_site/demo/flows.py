"""What a browser does on the sites of the demo world."""

from __future__ import annotations

from typing import Any

from django.conf import settings

Step = dict[str, Any]


def fill(selector: str, value: str) -> Step:
    return {"do": "fill", "selector": selector, "value": value}


def click(selector: str, **more: Any) -> Step:
    return {"do": "click", "selector": selector, **more}


def entered(selector: str) -> Step:
    """The first page, unless the site wants a login."""
    return _awaited(selector, "#login-form", "session", "The site shows its login page.")


def page(selector: str) -> Step:
    """The next page, unless the site complains about the one before."""
    return _awaited(selector, ".error", "business", "The site refuses the data.")


def _awaited(selector: str, unless: str, error: str, message: str) -> Step:
    return {
        "do": "wait",
        "selector": selector,
        "unless": unless,
        "error": error,
        "message": message,
    }


XALOC: list[Step] = [
    {"do": "navigate", "url": "{{ direct_url }}"},
    entered("#form-identificacion"),
    fill("#expediente", "{{ payload.expediente }}"),
    fill("#numclient", "{{ payload.numclient }}"),
    fill("#nombre", "{{ payload.sujeto_recurso }}"),
    click("#continuar"),
    page("#asunto"),
    fill("#asunto", "{{ payload.motivos.asunto }}"),
    fill("#expone", "{{ payload.motivos.expone }}"),
    fill("#solicita", "{{ payload.motivos.solicita }}"),
    click("#continuar"),
    page("#documentos"),
    {"do": "upload", "selector": "#documentos", "file": "*"},
    click("#continuar"),
    page("#resumen"),
    click("#enviar", irrevocable=True),
    {"do": "wait", "selector": "#confirmacion", "confirms": True},
    {"do": "read", "selector": "#numero-registro", "as": "registry_number"},
    {
        "do": "download",
        "selector": "#descargar-justificante",
        "name": "justificante.pdf",
        "receipt": True,
    },
]

MADRID: list[Step] = [
    {"do": "navigate", "url": "{{ direct_url }}"},
    entered("#mad-iniciar"),
    click("#mad-iniciar"),
    fill("#mad-expediente", "{{ payload.expediente }}"),
    fill("#mad-interesado", "{{ payload.sujeto_recurso }}"),
    fill("#mad-referencia", "{{ payload.numclient }}"),
    {"do": "select", "selector": "#mad-fase", "value": "otra"},
    click("#mad-siguiente"),
    page("#mad-asunto"),
    fill("#mad-asunto", "{{ payload.motivos.asunto }}"),
    fill("#mad-expone", "{{ payload.motivos.expone }}"),
    fill("#mad-solicita", "{{ payload.motivos.solicita }}"),
    {"do": "upload", "selector": "#mad-fichero", "file": "*"},
    click("#mad-siguiente"),
    page("#mad-acepto"),
    {"do": "check", "selector": "#mad-acepto"},
    click("#mad-enviar", irrevocable=True),
    {"do": "wait", "selector": "#mad-acuse", "confirms": True},
    {"do": "read", "selector": "#mad-registro", "as": "registry_number"},
    {"do": "download", "selector": "#mad-descargar", "name": "justificante.pdf", "receipt": True},
]

INTRANET_LOGIN: list[Step] = [
    {"do": "navigate", "url": "{{ payload.login_url }}"},
    fill("#email", "{{ secret.email }}"),
    fill("#password", "{{ secret.password }}"),
    click("#entrar"),
    _awaited(
        "nav a[href$='telematicos']",
        "#error-login",
        "session",
        "The intranet refuses the credentials.",
    ),
    {"do": "read", "selector": "nav .user", "as": "account"},
]

INTRANET_CLAIM: list[Step] = [
    {"do": "navigate", "url": "{{ payload.recursos_url }}?Expedient={{ payload.expediente }}"},
    entered("#recursos"),
    click("#asignar-{{ payload.idRecurso }}"),
    {"do": "wait", "selector": "#recursos"},
]

# What an organisation has fetched from its provider: a month's invoices as data, and the last one.
INVOICES: list[Step] = [
    {
        "do": "navigate",
        "url": f"{settings.DEMO_WORLD_URL}/granos/facturas/?mes={{{{ payload.mes }}}}",
    },
    entered("#facturas"),
    {"do": "screenshot", "name": "facturas"},
    {"do": "download", "selector": "#descargar", "name": "facturas.csv"},
    {"do": "parse", "file": "facturas.csv", "parser": "csv", "as": "facturas"},
    {"do": "download", "selector": ".factura:last-child .pdf", "name": "factura.pdf"},
    {"do": "parse", "file": "factura.pdf", "parser": "invoice_pdf", "as": "lineas"},
]

FLOWS: dict[str, list[Step]] = {
    "xaloc_girona": XALOC,
    "madrid": MADRID,
    "intranet_login": INTRANET_LOGIN,
    "intranet_claim": INTRANET_CLAIM,
}
