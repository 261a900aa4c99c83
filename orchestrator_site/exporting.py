"""Rows as CSV, XLSX and JSON, written while they are read. What people wrote is text there, and
never a formula."""

from __future__ import annotations

import csv
import json
import tempfile
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Any

from django.core.serializers.json import DjangoJSONEncoder
from django.http import FileResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

FORMULA = "=+-@\t\r\n"  # what spreadsheets take for the begin of one
BOM = "\ufeff"  # by which Excel knows accents
MOST_ROWS = 2**20 - 1  # of a sheet, below its head
MOST_LETTERS = 32_767  # of a cell
IN_MEMORY = 2**20  # bytes; a longer file waits on disk for its reader


@dataclass(frozen=True)
class Lines:
    """What is exported, read while it is written: all of it might not fit into the memory."""

    headers: Sequence[str]
    rows: Iterable[Sequence[Any]]


@dataclass(frozen=True)
class Format:
    """`write` raises ValueError where the rows do not fit in."""

    content_type: str
    write: Callable[[Lines, IO[bytes]], None]


class _Echo:
    """A file of which each line is taken as it is written."""

    def write(self, line: str) -> str:
        return line


def csv_lines(lines: Lines) -> Iterator[str]:
    """A CSV file line by line, to be streamed."""
    writer: Any = csv.writer(_Echo())
    yield BOM + writer.writerow([str(one) for one in lines.headers])
    for row in lines.rows:
        yield writer.writerow([quoted(value) for value in row])


def write_csv(lines: Lines, file: IO[bytes]) -> None:
    file.writelines(line.encode() for line in csv_lines(lines))


def write_xlsx(lines: Lines, file: IO[bytes]) -> None:
    """Its cells have types: texts are texts, whatever they begin with."""
    book = Workbook(write_only=True)
    sheet = book.create_sheet()
    sheet.append([str(one) for one in lines.headers])
    for number, row in enumerate(lines.rows, start=1):
        if number > MOST_ROWS:
            text = _("An XLSX sheet has at most %(most)d rows. Narrow the list, or choose CSV.")
            raise ValueError(text % {"most": MOST_ROWS})
        sheet.append([_cell(sheet, value) for value in row])
    book.save(file)


def write_json(lines: Lines, file: IO[bytes]) -> None:
    """One list of objects, an object a line."""
    before = b"[\n"
    for row in lines.rows:
        told = dict(zip(lines.headers, row, strict=True))
        file.write(before + json.dumps(told, cls=DjangoJSONEncoder, ensure_ascii=False).encode())
        before = b",\n"
    file.write(b"[]\n" if before == b"[\n" else b"\n]\n")


FORMATS: Mapping[str, Format] = {
    "csv": Format("text/csv; charset=utf-8", write_csv),
    "xlsx": Format("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", write_xlsx),
    "json": Format("application/json", write_json),
}


def download(lines: Lines, name: str, kind: str) -> FileResponse:
    """The file `name` of a kind of FORMATS. Raises ValueError where the rows do not fit in."""
    file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115  the answer closes it
    FORMATS[kind].write(lines, file)
    file.seek(0)
    named = f"{name}-{timezone.localdate():%Y-%m-%d}.{kind}"
    content_type = FORMATS[kind].content_type
    return FileResponse(file, as_attachment=True, filename=named, content_type=content_type)


def quoted(value: Any) -> str:
    """Where a text could be a formula it gets an apostrophe before it."""
    text = "" if value is None else str(value)
    if text[:1].isalnum():
        return text
    # Wide letters are read as the plain ones.
    begin = unicodedata.normalize("NFKC", text.lstrip(" \u00a0")[:1])
    return f"'{text}" if begin and begin in FORMULA else text


def _cell(sheet: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", value)[:MOST_LETTERS]
    if not text or text[0].isalnum():
        return text or None
    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"  # openpyxl takes a text for a formula, or for an error
    return cell
