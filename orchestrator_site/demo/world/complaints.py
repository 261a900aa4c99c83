"""The complaints (PQR) that the electric utilities know: invented, kept in the world's books."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from orchestrator_site.demo.world import store

TABLE = """CREATE TABLE complaints (company TEXT NOT NULL, sgc TEXT NOT NULL,
    fields TEXT NOT NULL, attachments TEXT NOT NULL, PRIMARY KEY (company, sgc))"""
COUNTS = {"afinia": 24, "aire": 8}  # at first
FIRST_SGC = {"afinia": 4_013_200, "aire": 7_520_040}
STATES = ("Radicada", "En trámite", "Resuelta", "Cerrada")
BEGIN = datetime(2025, 9, 1, 8, 5)

_NAMES = (
    *("Ana Sofía Inventada Muñoz", "Julián Ficticio Peña", "María José Supuesta Ibáñez"),
    *("Óscar Imaginado Núñez", "Luz Marina Hipotética Güiza", "Camilo Figurado Ariza"),
    *("Yésica Presunta D'Angelo", "Álvaro Pretendido Ochoa"),
)
_KINDS = (
    (
        "Reclamo por alto consumo",
        "La factura del último período cobra {n} kWh.\n"
        "El consumo habitual del predio no pasa de 180 kWh & nadie ha revisado el medidor.",
    ),
    (
        "Queja por calidad del servicio",
        "Se presentan apagones a diario desde hace {n} días.\nSe dañó una nevera.",
    ),
    (
        "Petición de información",
        'Solicito copia de la lectura "real" del contador y del histórico de {n} meses.',
    ),
    ("Recurso de reposición", "Interpongo recurso contra la decisión número {n}: <no comparto>."),
)
_CHANNELS = ("Correo electrónico", "Correo físico", "Oficina virtual")
_COMMENTS = {
    "Radicada": "",
    "En trámite": "Se programó visita técnica al predio.",
    "Resuelta": "Se reliquida el período facturado.",
    "Cerrada": "Respuesta notificada al usuario.",
}


@dataclass(frozen=True)
class Complaint:
    """One complaint as its company has it. `attachments`: names of what the customer sent."""

    company: str
    sgc: str
    fields: Mapping[str, str]
    attachments: tuple[str, ...] = ()


def complaints(company: str, state: str = "", text: str = "") -> list[Complaint]:
    """The newest first; of one state, and with `text` in one of their numbers."""
    with _opened() as database:
        rows = database.execute("SELECT * FROM complaints WHERE company = ?", (company,))
        found = [one for one in map(_complaint, rows) if _is_wanted(one, state, text)]
    return sorted(found, key=lambda one: (one.fields["fecha"], one.sgc), reverse=True)


def complaint(company: str, sgc: str) -> Complaint | None:
    with _opened() as database:
        row = database.execute(
            "SELECT * FROM complaints WHERE company = ? AND sgc = ?", (company, sgc)
        ).fetchone()
    return _complaint(row) if row else None


def change(company: str, sgc: str, **fields: str) -> Complaint:
    """Give fields other values: `estado_solicitud="Cerrada"`. Raises KeyError for what is not
    there."""
    found = complaint(company, sgc)
    if found is None or fields.keys() - found.fields.keys():
        raise KeyError(sgc, *fields)
    return _write(replace(found, fields={**found.fields, **fields}))


def add(company: str, attachments: Sequence[str] = (), **fields: str) -> Complaint:
    """One more, under the next number; `fields` where it is to differ from an invented one."""
    with _opened() as database:
        (last,) = database.execute(
            "SELECT max(CAST(sgc AS INTEGER)) FROM complaints WHERE company = ?", (company,)
        ).fetchone()
    new = invented(company, 0 if last is None else last - FIRST_SGC[company] + 1)
    return _write(replace(new, fields={**new.fields, **fields}, attachments=tuple(attachments)))


def keep(company: str, count: int) -> list[Complaint]:
    """Forget all but the newest `count`, which are returned."""
    kept = complaints(company)[:count]
    with _opened() as database:
        database.execute("DELETE FROM complaints WHERE company = ?", (company,))
    return [_write(one) for one in kept]


def invented(company: str, number: int) -> Complaint:
    """The complaint of this number, from 0: always the same."""
    kind, body = _KINDS[number % len(_KINDS)]
    state = STATES[number * 7 % len(STATES)]
    name = _NAMES[number % len(_NAMES)]
    sgc = str(FIRST_SGC[company] + number)
    at = BEGIN + timedelta(hours=31, minutes=17) * number
    attachments = ("factura.pdf", "foto medidor.pdf")[: number % 3]
    fields = {
        "nic": str(7_100_300 + number * 37),
        "fecha": f"{at:%Y/%m/%d %H:%M}",
        "documento_identidad": str(1_047_000_000 + number * 7919),
        "nombres_apellidos": name,
        "lectura": str(12_000 + number * 113) if number % 2 == 0 else "",
        "correo_electronico": f"usuario{number:03d}@correo.example",
        "telefono": f"605 555 {number:04d}" if number % 3 else "",
        "celular": f"300 555 {number:04d}",
        "tipo_pqr": kind,
        "canal_respuesta": _CHANNELS[number % len(_CHANNELS)],
        "documento_prueba": f"{sgc}_documento.pdf",
        "cuerpo_reclamacion": body.format(n=200 + number * 11),
        "numero_radicado": f"RE{at:%Y}{FIRST_SGC[company] * 3 + number:010d}",
        "estado_solicitud": state,
        "finalizar": "Sí" if state == "Cerrada" else "No",
        "adjuntar_archivo": ", ".join(attachments),
        "numero_reclamo_sgc": sgc,
        "comentarios": _COMMENTS[state],
    }
    if number % 12 == 5:  # taken in, and not registered yet
        fields |= {"numero_radicado": "", "estado_solicitud": STATES[0], "comentarios": ""}
    return Complaint(company, sgc, fields, attachments)


def _is_wanted(one: Complaint, state: str, text: str) -> bool:
    numbers = (one.sgc, one.fields["numero_radicado"], one.fields["nic"])
    return state in ("", one.fields["estado_solicitud"]) and any(text in part for part in numbers)


def _write(one: Complaint) -> Complaint:
    with _opened() as database:
        _insert(database, one)
    return one


def _insert(database: sqlite3.Connection, one: Complaint) -> None:
    database.execute(
        "INSERT OR REPLACE INTO complaints (company, sgc, fields, attachments) VALUES (?, ?, ?, ?)",
        (one.company, one.sgc, json.dumps(dict(one.fields)), json.dumps(one.attachments)),
    )


def _complaint(row: sqlite3.Row) -> Complaint:
    attachments = tuple(json.loads(row["attachments"]))
    return Complaint(row["company"], row["sgc"], json.loads(row["fields"]), attachments)


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """The books, with their first complaints in them."""
    with store.opened() as database:
        if not _is_made(database):
            database.execute("BEGIN IMMEDIATE")
            if not _is_made(database):  # another thread may have been first
                _make(database)
            database.commit()
        yield database


def _is_made(database: sqlite3.Connection) -> bool:
    found = database.execute("SELECT 1 FROM sqlite_master WHERE name = 'complaints'").fetchone()
    return found is not None


def _make(database: sqlite3.Connection) -> None:
    database.execute(TABLE)
    for company, count in COUNTS.items():
        for number in range(count):
            _insert(database, invented(company, number))
