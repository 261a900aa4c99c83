"""A row of the origin, safe to store."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, time
from decimal import Decimal
from typing import Any

from brain.rules.texts import clean

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,19}")
_SEPARATOR = re.compile(r"\s*([/-])\s*")
_YEAR_DASH = re.compile(r"^([0-9]{4})-")
_DECIMAL_DIGITS = 38  # as many as a decimal of SQL Server has


def normalise(value: Any) -> Any:
    """A value of a database row as JSON can hold it; whole Decimals as int, other ones as str."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Decimal):
        return int(value) if _is_whole(value) else str(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (int, float)) else clean(str(value))


def normalise_row(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: normalise(value) for name, value in row.items()}


def _is_whole(value: Decimal) -> bool:
    return (
        value.is_finite()
        and value.adjusted() < _DECIMAL_DIGITS
        and value == value.to_integral_value()
    )


def _integer(value: Any) -> int | None:
    """A whole number of at most 64 bits, also from text; None for anything else."""
    plain = normalise(value)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if isinstance(plain, str) and _WHOLE_NUMBER.fullmatch(plain.strip()):
        plain = int(plain)
    is_whole = isinstance(plain, int) and not isinstance(plain, bool)
    return plain if is_whole and abs(plain) < 2**63 else None


def text_of(value: Any) -> str:
    return "" if value is None else str(normalise(value))


@dataclass(frozen=True)
class Case:
    """A row of RecursosExp, safe to store. Texts are trimmed, but for `expediente`."""

    id_recurso: int  # 0 where the row has none
    id_exp: int | None
    expediente: str  # as in the origin, blanks and all; "" for null
    organisme: str
    texp: int | None
    estado: int | None
    numclient: int | None
    sujeto_recurso: str
    fase_procedimiento: str
    usuario_asignado: str
    row: dict[str, Any]  # all columns, normalised

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Case:
        """Never raises: a value that does not fit its column is read as null."""
        return cls(
            id_recurso=_integer(row.get("idRecurso")) or 0,
            id_exp=_integer(row.get("idExp")),
            expediente=text_of(row.get("Expedient")),
            organisme=text_of(row.get("Organisme")).strip(),
            texp=_integer(row.get("TExp")),
            estado=_integer(row.get("Estado")),
            numclient=_integer(row.get("numclient")),
            sujeto_recurso=text_of(row.get("SujetoRecurso")).strip(),
            fase_procedimiento=text_of(row.get("FaseProcedimiento")).strip(),
            usuario_asignado=text_of(row.get("UsuarioAsignado")).strip(),
            row=normalise_row(row),
        )


def repair_expediente(text: str) -> str:
    """The number as it was probably meant: `2026-11504-MU` is `2026/11504-MUL`. Idempotent."""
    number = _SEPARATOR.sub(r"\1", text.strip().upper())
    number = _YEAR_DASH.sub(r"\1/", number)
    return f"{number}L" if number.endswith("-MU") else number
