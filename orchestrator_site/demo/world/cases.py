"""The intranet's side of the origin: its rows, by its own connection, as the real one has them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import connections

from brain.origin import ALIAS
from orchestrator_site.demo.origin import TABLE

LISTED = 200
ATTACHMENTS = 2
# What the demo data writes into a case's notes, and what comes of it.
LATE = "fuera de plazo"
NO_PDF = "sin pdf"
NO_ATTACHMENT = "sin adjunto"  # followed by its number, or by "s" for all


@dataclass(frozen=True)
class Case:
    """A row of the origin as the intranet lists it."""

    id: int
    expediente: str
    organisme: str
    texp: int | None
    estado: int | None
    sujeto: str
    fase: str
    usuario: str
    notas: str

    @property
    def is_free(self) -> bool:
        return self.estado == 0 and self.texp in (2, 3) and not self.usuario.strip()

    @property
    def has_pdf(self) -> bool:
        return NO_PDF not in self.notas.lower()

    def has_attachment(self, number: int) -> bool:
        notes = self.notas.lower()
        missing = (f"{NO_ATTACHMENT} {number}", f"{NO_ATTACHMENT}s")
        return 1 <= number <= ATTACHMENTS and not any(sign in notes for sign in missing)


_COLUMNS = """"idRecurso" AS id, coalesce("Expedient", '') AS expediente,
    coalesce("Organisme", '') AS organisme, "TExp" AS texp, "Estado" AS estado,
    coalesce("SujetoRecurso", '') AS sujeto, coalesce("FaseProcedimiento", '') AS fase,
    coalesce("UsuarioAsignado", '') AS usuario, coalesce("notas", '') AS notas"""


def listing(query: Mapping[str, str]) -> list[Case]:
    """The first cases of a search: parts of Expedient and Organisme, TExp and Estado.

    As in the real one's form, TExp 0 and Estado -1 stand for any.
    """
    wanted = {
        '"Expedient" LIKE ?': _part(query.get("Expedient", "")),
        '"Organisme" LIKE ?': _part(query.get("Organisme", "")),
        '"TExp" = ?': _number(query.get("TExp", ""), of_all=0),
        '"Estado" = ?': _number(query.get("Estado", ""), of_all=-1),
    }
    used = {condition: value for condition, value in wanted.items() if value is not None}
    return _select(" AND ".join(used) or "1 = 1", *used.values())


def case(id_recurso: int) -> Case | None:
    found = _select('"idRecurso" = ?', id_recurso)
    return found[0] if found else None


def is_late(expediente: str) -> bool:
    """Whether the demo data says so. An organism answers without the intranet's database too."""
    try:
        return any(LATE in found.notas.lower() for found in _select('"Expedient" = ?', expediente))
    except sqlite3.OperationalError:
        return False


def assign(id_recurso: int, name: str) -> bool:
    """The case becomes `name`'s where it is free, in one statement."""
    with _opened() as database:
        changed = database.execute(
            f"""UPDATE "{TABLE}" SET "TExp" = 1, "UsuarioAsignado" = ?
                WHERE "idRecurso" = ? AND "Estado" = 0 AND "TExp" IN (2, 3)
                    AND trim(coalesce("UsuarioAsignado", '')) = ''""",
            (name, id_recurso),
        )
        return changed.rowcount == 1


def _select(condition: str, *values: str | int) -> list[Case]:
    with _opened() as database:
        rows = database.execute(
            f"""SELECT {_COLUMNS} FROM "{TABLE}" WHERE {condition}
                ORDER BY "idRecurso" LIMIT {LISTED}""",
            values,
        )
        return [Case(**row) for row in rows]


def _part(text: str) -> str | None:
    return f"%{text.strip()}%" if text.strip() else None


def _number(text: str, of_all: int) -> int | None:
    try:
        number = int(text)
    except ValueError:
        return None
    return None if number == of_all else number


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """The file of the alias, wherever that points now, without Django's connection to it."""
    name = str(connections[ALIAS].settings_dict["NAME"])
    uri = name if name.startswith("file:") else f"{Path(name).as_uri()}?mode=rw"
    database = sqlite3.connect(uri, uri=True, timeout=20)
    database.row_factory = sqlite3.Row
    try:
        with database:
            yield database
    finally:
        database.close()
