"""Invented complaints, and the files that extractors would leave of them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from postprocessing.companies import Company
from postprocessing.models import FIELDS, company_called

EXTRACTED = datetime(2025, 10, 10, 1, 15, 20)
WORDS = tuple(
    "la factura del mes llegó con una lectura que no corresponde al medidor instalado;"  # noqa: SIM905
    " solicito revisión técnica, corrección del cobro y respuesta por escrito".split()
)
STATES = ("Radicado", "En trámite", "Resuelto")
# Of the documents' own figures: 191 files, of which 76 are duplicates and 3 changes.
AFINIA_FILES, AIRE_FILES, DUPLICATES, CHANGES = 181, 10, 76, 3


def complaint(number: int, **values: Any) -> dict[str, Any]:
    """A complaint with all its 23 keys: about 1 KB of JSON."""
    said = [WORDS[(number * 7 + place * 3) % len(WORDS)] for place in range(40)]
    filled = {
        "record_number": str(number),
        "sgc_number": f"SGC-{number:06d}",
        "extraction_timestamp": EXTRACTED.isoformat(),
        "page_url": "https://oficina.example/pqr/1",
        "page_title": "Oficina virtual",
        "nic": f"{7_000_000 + number}",
        "fecha": f"2025/{number % 12 + 1:02d}/{number % 28 + 1:02d} 10:{number % 60:02d}",
        "documento_identidad": f"CC {1_000_000 + number}",
        "nombres_apellidos": "Ana Inventada Núñez",
        "tipo_pqr": "Reclamo por facturación",
        "cuerpo_reclamacion": " ".join(said),
        "numero_radicado": f"RE{number:010d}",
        "estado_solicitud": STATES[0],
        "numero_reclamo_sgc": f"{number:08d}",
        "comentarios": "Sin novedad",
    }
    return {**dict.fromkeys(FIELDS, ""), **filled, **values}


def file_name(number: int, at: datetime = EXTRACTED) -> str:
    return f"{number:08d}_data_{at:%Y%m%d_%H%M%S}.json"


def put(company: Company | str, name: str, content: Any) -> Path:
    """A file of the company: bytes and texts as they are, everything else as JSON."""
    folder = (company_called(company) if isinstance(company, str) else company).folder
    if not folder.is_dir():
        folder.mkdir(parents=True)
    if not isinstance(content, (bytes, str)):
        content = json.dumps(content, ensure_ascii=False, indent=2)
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def put_complaint(
    company: Company | str, number: int, at: datetime = EXTRACTED, **values: Any
) -> Path:
    """The file of one complaint, extracted at that time."""
    said = complaint(number, **{"extraction_timestamp": at.isoformat(), **values})
    return put(company, file_name(number, at), said)


def put_documented() -> None:
    """The files of both companies that are told of in the documents: 112 complaints, 76 files
    that say once more what another says, and 3 of which the state has changed meanwhile."""
    first = AFINIA_FILES - DUPLICATES - CHANGES
    for number in range(first):
        put_complaint("afinia", number)
    for number in range(DUPLICATES):
        put_complaint("afinia", number, EXTRACTED + timedelta(days=1))
    for number in range(first - CHANGES, first):
        later = EXTRACTED + timedelta(days=2)
        put_complaint("afinia", number, later, estado_solicitud=STATES[2])
    for number in range(AIRE_FILES):
        put_complaint("aire", number)


def large(number: int, **values: Any) -> dict[str, Any]:
    """A complaint whose file has about 2.5 KB."""
    step = number % 11 + 1
    said = (WORDS[(number * 5 + place * step) % len(WORDS)] for place in range(270))
    return complaint(number, **{"cuerpo_reclamacion": " ".join(said), **values})
