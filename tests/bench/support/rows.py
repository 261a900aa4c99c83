"""Many cases of the origin at once."""

from __future__ import annotations

import sqlite3

from orchestrator_site.demo.origin import TABLE

COLUMNS = (
    *("idRecurso", "idExp", "Expedient", "Organisme", "TExp", "Estado", "numclient"),
    *("SujetoRecurso", "FaseProcedimiento", "UsuarioAsignado", "matricula", "notas"),
)


def add_candidates(database: sqlite3.Connection, first: int, size: int) -> None:
    """Empty the origin and fill it with `size` acceptable cases of XALOC, ids from `first` on."""
    names = ", ".join(f'"{name}"' for name in COLUMNS)
    marks = ", ".join("?" for _ in COLUMNS)
    with database:
        database.execute(f'DELETE FROM "{TABLE}"')
        database.executemany(
            f'INSERT INTO "{TABLE}" ({names}) VALUES ({marks})',
            (_candidate(pk) for pk in range(first, first + size)),
        )


def _candidate(pk: int) -> tuple[object, ...]:
    return (
        *(pk, 9_000_000 + pk, f"2026/{pk % 1_000_000:06d}-MUL", "XALOC GIRONA", 2, 0),
        *(500 + pk % 997, "Ana Inventada Pérez", "Denuncia", None, f"{pk % 10_000:04d}BCD", None),
    )
