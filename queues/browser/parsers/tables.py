"""Tables: a header, then rows under its names."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import openpyxl
from openpyxl.utils.exceptions import InvalidFileException

from queues.browser.parsers.rows import Row, Unparsable

DELIMITERS = ",;\t|"
SAMPLE = 8192  # characters that the delimiter is guessed from


def csv_rows(path: Path) -> Iterator[Row]:
    """Of comma, semicolon, tab or bar separated text in UTF-8 or Windows-1252."""
    text = _decoded(path.read_bytes())
    try:
        dialect: Any = csv.Sniffer().sniff(text[:SAMPLE], DELIMITERS)
    except csv.Error:
        dialect = csv.excel  # a table of one column has no delimiter
    lines = csv.reader(text.splitlines(keepends=True), dialect, strict=True)
    try:
        yield from _named(list(lines))
    except csv.Error as error:
        raise Unparsable(f"not a CSV table: {error}") from error


def xlsx_rows(path: Path) -> Iterator[Row]:
    """Of the first sheet; dates as ISO 8601, formulas as the values that were saved."""
    try:
        book = openpyxl.load_workbook(path, read_only=True, data_only=True)
        sheet = book.worksheets[0]
        lines = [[_shown(value) for value in line] for line in sheet.iter_rows(values_only=True)]
    except (BadZipFile, InvalidFileException, KeyError, IndexError, ValueError, OSError) as error:
        raise Unparsable(f"not an XLSX workbook: {error}") from error
    yield from _named(lines)


def _decoded(content: bytes) -> str:
    for encoding in ("utf-8-sig", "cp1252"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise Unparsable("the text is neither in UTF-8 nor in Windows-1252")


def _named(lines: Sequence[Sequence[str]]) -> Iterator[Row]:
    """Under the names of the first line that says something; empty lines are none."""
    full = [line for line in lines if any(cell.strip() for cell in line)]
    if not full:
        raise Unparsable("the table is empty")
    header = _header(full[0])
    for line in full[1:]:
        if len(line) > len(header) and any(cell.strip() for cell in line[len(header) :]):
            raise Unparsable(f"a row has more cells than the header: {' '.join(line)[:80]}")
        cells = [cell.strip() for cell in line] + [""] * (len(header) - len(line))
        yield dict(zip(header, cells, strict=False))


def _header(line: Sequence[str]) -> list[str]:
    """Each name once: a column without one is called by its number, a second by its place."""
    names: list[str] = []
    for number, cell in enumerate(line, 1):
        name = " ".join(cell.split()) or f"column {number}"
        names.append(name if name not in names else f"{name} ({number})")
    return names


def _shown(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime) and not value.time().isoformat().strip("0:"):
        value = value.date()
    if isinstance(value, datetime | date):
        return value.isoformat()
    return str(value)
