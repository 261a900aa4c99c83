"""What a browser does in an "oficina virtual". A site with other pages gets `Flows` of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from queues.browser import scripts
from queues.browser.scripts import Step

LOGIN: list[Step] = [
    {"do": "navigate", "url": "{{ payload.url }}"},
    {"do": "fill", "selector": "#usuario", "value": "{{ payload.user }}"},
    {"do": "fill", "selector": "#clave", "value": "{{ secret.password }}"},
    {"do": "click", "selector": "#ingresar"},
    {
        "do": "wait",
        "selector": "#menu-reclamos",
        "unless": "#error-acceso",
        "error": "session",
        "message": "The site refuses the user or the password.",
    },
    {"do": "collect", "selector": "#menu-reclamos", "parts": {"url": "@href"}, "as": "listing"},
]


def _entered(selector: str) -> Step:
    """The page, unless the site wants a login."""
    return {
        "do": "wait",
        "selector": selector,
        "unless": "#login-form",
        "error": "session",
        "message": "The site shows its login page.",
    }


LISTING: list[Step] = [
    {"do": "navigate", "url": "{{ payload.url }}"},
    _entered("#reclamos tr.reclamo, #sin-resultados"),  # no row and no word of it: changed
    {
        "do": "collect",
        "selector": "#reclamos tr.reclamo",
        "parts": {"sgc": ".sgc", "url": "a.ver@href"},
        "as": "complaints",
    },
    {"do": "collect", "selector": "#siguiente", "parts": {"url": "@href"}, "as": "next"},
]

COMPLAINT: list[Step] = [
    {"do": "navigate", "url": "{{ payload.url }}"},
    _entered("#ficha"),
    {"do": "collect", "selector": "title", "parts": {"text": ":scope"}, "as": "title"},
    {
        "do": "collect",
        "selector": "#ficha tr.campo",
        "parts": {"label": "th", "value": "td"},
        "as": "fields",
    },
    {"do": "download_all", "selector": "#archivos a"},
]

# What the site calls the fields of a record.
LABELS = {
    "NIC": "nic",
    "Fecha de radicación": "fecha",
    "Documento de identidad": "documento_identidad",
    "Nombres y apellidos": "nombres_apellidos",
    "Lectura": "lectura",
    "Correo electrónico": "correo_electronico",
    "Teléfono": "telefono",
    "Celular": "celular",
    "Tipo de PQR": "tipo_pqr",
    "Canal de respuesta": "canal_respuesta",
    "Documento de prueba": "documento_prueba",
    "Cuerpo de la reclamación": "cuerpo_reclamacion",
    "Número de radicado": "numero_radicado",
    "Estado de la solicitud": "estado_solicitud",
    "Finalizar": "finalizar",
    "Adjuntar archivo": "adjuntar_archivo",
    "Número de reclamo SGC": "numero_reclamo_sgc",
    "Comentarios": "comentarios",
}


@dataclass(frozen=True)
class Script:
    """A flow as it is run: its canonical text and the hash of that."""

    text: str
    sha256: str

    @classmethod
    def of(cls, steps: list[Step]) -> Script:
        """Raises InvalidSteps."""
        scripts.validate(steps)
        text = scripts.canonical(steps)
        return cls(text, scripts.sha256(text))


@dataclass(frozen=True)
class Flows:
    """The three ways through one site.

    `login` is given payload.url, payload.user and secret.password, and collects `listing`: where
    the list begins. `listing` is given payload.url, and collects `complaints` (sgc, url) and `next`
    (url, or nothing on the last page). `complaint` is given payload.url, collects `title` (text)
    and `fields` (label, value), and downloads the documents.
    """

    login: Script
    listing: Script
    complaint: Script
    labels: Mapping[str, str]


OFICINA_VIRTUAL = Flows(Script.of(LOGIN), Script.of(LISTING), Script.of(COMPLAINT), LABELS)
