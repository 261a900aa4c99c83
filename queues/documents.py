"""Documents from a file, each with its place: a JSON list, JSON lines or CSV.

JSON may be Mongo's extended JSON. Lines are streamed; a list is read at once.
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from itertools import chain
from typing import Any, NoReturn, TextIO

from bson import ObjectId
from bson.errors import InvalidId
from django.utils.translation import gettext as _

LINE_LIMIT = 2**20  # characters
LIST_LIMIT = 64 * 2**20
DEEPEST = 50  # a list in a list in a list ...
SEPARATORS = ",;\t"
BEGINNING = 16  # characters in which it shows whether it is text
_NOT_STORABLE = re.compile("[\x00\ud800-\udfff]")
_NOT_TEXT = re.compile("[\x00-\x08\x0e-\x1f]")
# By its mark, or by what ASCII is in it.
_UTF_16 = re.compile("\udcff\udcfe|\udcfe\udcff|[ -~]\x00|\x00[ -~]")
_SPACE = re.compile(r"\s*")


class Kind(StrEnum):
    JSON = "json"
    CSV = "csv"


class Unit(StrEnum):
    """What places are counted in: a list may stand on one line."""

    LINE = "line"
    ELEMENT = "element"


class Malformed(Exception):
    """Nothing of the file can be used; the text says why."""


@dataclass(frozen=True)
class Document:
    """What stands at a place, which counts from 1; or the problem that keeps it from being read."""

    place: int
    values: Mapping[str, Any]
    problem: str = ""
    unit: Unit = Unit.LINE


@dataclass(frozen=True)
class _Line:
    number: int
    text: str
    is_whole: bool  # else it is longer than the limit, and cut


def read(
    stream: TextIO, kind: str = "", *, columns: Collection[str] = (), required: str = ""
) -> Iterator[Document]:
    """The documents of a text that was opened with `newline=""` and "surrogateescape". Without
    `kind` its beginning tells which it is. In a CSV's header `columns` may be in capitals,
    `required` must be there.

    Raises Malformed, before the first document.
    """
    number, head = _first_written(stream)
    _check_text(head[:BEGINNING])
    sign = head.lstrip()[0]
    if (kind or (Kind.JSON if sign in "[{" else Kind.CSV)) == Kind.CSV:
        return _from_csv(_lines(stream, number, head), columns, required)
    if sign == "[":
        return _from_list(stream, number, head)
    return (_from_line(line) for line in _lines(stream, number, head) if line.text.strip())


# --- Lines ------------------------------------------------------------------------------------


def _first_written(stream: TextIO) -> tuple[int, str]:
    """The number and the beginning of the first line that is not blank."""
    number = 1
    while (head := stream.readline(LINE_LIMIT)) and not head.strip():
        number += _is_ended(head)
    if not head:
        raise Malformed(_("The file is empty."))
    return number, head


def _check_text(beginning: str) -> None:
    if _UTF_16.match(beginning):
        raise Malformed(_("The file is in UTF-16. Save it as UTF-8."))
    if _NOT_TEXT.search(beginning):
        told = _("The file is not text: a workbook, perhaps, or packed. Save it as CSV in UTF-8.")
        raise Malformed(told)


def _lines(stream: TextIO, number: int, text: str) -> Iterator[_Line]:
    """The lines from the one on that begins with `text`; no more than the limit is ever held."""
    while text:
        is_whole = _is_ended(text) or len(text) < LINE_LIMIT
        yield _Line(number, text, is_whole)
        while not is_whole and text:
            text = stream.readline(LINE_LIMIT)
            is_whole = _is_ended(text)
        number += 1
        text = stream.readline(LINE_LIMIT)


def _is_ended(text: str) -> bool:
    return text.endswith(("\n", "\r"))


# --- JSON -------------------------------------------------------------------------------------


def _refuse(constant: str) -> NoReturn:
    raise ValueError(_("%(constant)s is not JSON") % {"constant": constant})


_DECODER = json.JSONDecoder(parse_constant=_refuse)  # NaN, Infinity


def _from_line(line: _Line) -> Document:
    if not line.is_whole:
        told = _("the line is longer than %(limit)d characters")
        return Document(line.number, {}, told % {"limit": LINE_LIMIT})
    try:
        value = _DECODER.decode(line.text)
    except (ValueError, RecursionError) as error:
        return Document(line.number, {}, _not_json(error))
    return _document(line.number, value)


def _from_list(stream: TextIO, number: int, head: str) -> Iterator[Document]:
    text = head + stream.read(LIST_LIMIT - len(head) + 1)
    if len(text) > LIST_LIMIT:
        told = _("A list may have %(limit)d characters. Give a document a line: JSON lines.")
        raise Malformed(told % {"limit": LIST_LIMIT})
    try:
        elements = list(_elements(text))
    except json.JSONDecodeError as error:
        told = _("line %(line)d: %(problem)s")
        line = number + error.lineno - 1
        raise Malformed(told % {"line": line, "problem": _not_json(error)}) from error
    except (ValueError, RecursionError) as error:
        raise Malformed(_not_json(error)) from error
    return (_document(place, one, Unit.ELEMENT) for place, one in enumerate(elements, start=1))


def _elements(text: str) -> Iterator[Any]:
    """The list's elements."""
    at = _after_space(text, text.index("[") + 1)
    while text[at : at + 1] != "]":
        value, end = _DECODER.raw_decode(text, at)
        yield value
        at = _after_space(text, end)
        if text[at : at + 1] == ",":
            at = _after_space(text, at + 1)
        elif text[at : at + 1] != "]":
            raise json.JSONDecodeError("Expecting ',' delimiter", text, at)
    if text[at + 1 :].strip():
        raise json.JSONDecodeError("Extra data", text, at + 1)


def _after_space(text: str, at: int) -> int:
    found = _SPACE.match(text, at)
    return found.end() if found else at


def _not_json(error: Exception) -> str:
    if not isinstance(error, json.JSONDecodeError):
        return _("not JSON: %(why)s") % {"why": error}
    told = _("not JSON: %(why)s, at character %(column)d")
    return told % {"why": error.msg, "column": error.colno}


# --- CSV --------------------------------------------------------------------------------------


def _from_csv(
    lines: Iterator[_Line], columns: Collection[str], required: str
) -> Iterator[Document]:
    head = next(lines)
    # A cell that is too long makes the reader refuse the row, and go on with the next.
    too_long = "x" * (csv.field_size_limit() + 1)
    texts = (line.text if line.is_whole else too_long for line in chain([head], lines))
    separator = max(SEPARATORS, key=head.text.count)
    reader = csv.reader(texts, delimiter=separator, strict=True)
    try:
        names = _header(next(reader), columns, required)
    except csv.Error as error:
        raise Malformed(_("The header cannot be read: %(why)s") % {"why": error}) from error
    return _rows(reader, names, head.number - 1)


def _header(cells: list[str], columns: Collection[str], required: str) -> list[str]:
    """The columns' names, each there once."""
    names = [cell.strip() for cell in cells]
    names = [name.lower() if name.lower() in columns else name for name in names]
    if any(_NOT_STORABLE.search(name) for name in names):
        raise Malformed(_("The header is not in UTF-8. Save the file as UTF-8."))
    if required and required not in names:
        told = _("The header has no column %(name)s: %(found)s")
        raise Malformed(told % {"name": required, "found": ", ".join(names)[:200]})
    if "" in names:
        raise Malformed(_("Column %(place)d has no name.") % {"place": names.index("") + 1})
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Malformed(_("Columns that are there twice: %(names)s") % {"names": ", ".join(twice)})
    return names


def _rows(reader: Any, names: list[str], offset: int) -> Iterator[Document]:
    while True:
        line = offset + reader.line_num + 1
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            yield Document(line, {}, str(error))
            continue
        if any(cells):
            yield _row(line, names, cells)


def _row(line: int, names: list[str], cells: list[str]) -> Document:
    if len(cells) == len(names):
        return _document(line, dict(zip(names, cells, strict=True)))
    told = _("%(count)d cells, the header has %(columns)d")
    return Document(line, {}, told % {"count": len(cells), "columns": len(names)})


# --- Values -----------------------------------------------------------------------------------


def _document(place: int, value: Any, unit: Unit = Unit.LINE) -> Document:
    if not isinstance(value, dict):
        return Document(place, {}, _("not an object"), unit)
    try:
        return Document(place, storable(value, of_dict=_extended), "", unit)
    except ValueError as error:
        return Document(place, {}, str(error), unit)


def storable(value: Any, depth: int = 0, of_dict: Callable[[dict[str, Any]], Any] = dict) -> Any:
    """The same JSON, if a database can store it. Raises ValueError where it cannot."""
    if depth > DEEPEST:
        raise ValueError(_("nested too deeply"))
    if isinstance(value, list):
        return [storable(one, depth + 1, of_dict) for one in value]
    if isinstance(value, dict):
        found = {storable(key): storable(one, depth + 1, of_dict) for key, one in value.items()}
        return of_dict(found)
    if isinstance(value, str) and _NOT_STORABLE.search(value):
        raise ValueError(_("holds a character that cannot be stored, or is not UTF-8"))
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError(_("holds a number that is too large"))
    return value


def _extended(found: dict[str, Any]) -> Any:
    """A value of Mongo's extended JSON as what it stands for."""
    name, value = next(iter(found.items()), ("", None))
    if len(found) != 1 or name not in EXTENDED:
        return found
    try:
        return EXTENDED[name](value)
    except (ValueError, TypeError, OverflowError, OSError, InvalidId) as error:
        told = _("%(name)s cannot be %(value)s")
        raise ValueError(told % {"name": name, "value": repr(value)[:100]}) from error


def _object_id(value: Any) -> str:
    if not isinstance(value, str):  # of nothing ObjectId would make a new one
        raise TypeError
    return str(ObjectId(value))


def _moment(value: Any) -> str:
    """ISO 8601; given so, or as milliseconds since 1970."""
    if isinstance(value, str):
        return datetime.fromisoformat(value).isoformat()
    return datetime.fromtimestamp(value / 1000, UTC).isoformat()


def _number(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError
    return number


EXTENDED: Mapping[str, Callable[[Any], Any]] = {
    "$oid": _object_id,
    "$date": _moment,
    "$numberInt": int,
    "$numberLong": int,
    "$numberDouble": _number,
    "$numberDecimal": str,
}
