"""Complaints as CSV and XLSX. What outsiders wrote is text there, and never a formula."""

from __future__ import annotations

import csv
import io
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, BinaryIO
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from import_export.formats.base_formats import CSV, XLSX
from import_export.resources import ModelResource
from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

from postprocessing.models import FIELDS

FORMULA = "=+-@\t\r\n"  # what spreadsheets take for the begin of one
ENCODING = "utf-8-sig"  # by which Excel knows accents
CHUNK = 1000  # rows that are read at once
MOST_ROWS = 2**20 - 1  # of a sheet, below its head


@dataclass(frozen=True)
class Lines:
    """What is exported, read while it is written: all of it might not fit into the memory."""

    headers: Sequence[str]
    rows: Iterable[Sequence[Any]]


class PlainCSV(CSV):
    """Where a text could be a formula it gets an apostrophe before it."""

    def write(self, lines: Lines, file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, ENCODING, newline="")
        writer = csv.writer(text)
        writer.writerow(lines.headers)
        writer.writerows([_quoted(value) for value in row] for row in lines.rows)
        text.detach()


class PlainXLSX(XLSX):
    """Its cells have types: texts are texts, whatever they begin with."""

    def write(self, lines: Lines, file: BinaryIO) -> None:
        """Raises ValueError where there are too many rows."""
        book = Workbook(write_only=True)
        sheet = book.create_sheet()
        sheet.append(lines.headers)
        for number, row in enumerate(lines.rows, start=1):
            if number > MOST_ROWS:
                text = _("An XLSX sheet has at most %(most)d rows. Narrow the list, or choose CSV.")
                raise ValueError(text % {"most": MOST_ROWS})
            sheet.append([_cell(sheet, value) for value in row])
        book.save(file)


def _quoted(value: Any) -> str:
    text = "" if value is None else str(value)
    if text[:1].isalnum():
        return text
    # Wide letters are read as the plain ones.
    begin = unicodedata.normalize("NFKC", text.lstrip(" \u00a0")[:1])
    return f"'{text}" if begin and begin in FORMULA else text


def _cell(sheet: Any, value: Any) -> Any:
    if not isinstance(value, str):
        return value
    text = ILLEGAL_CHARACTERS_RE.sub("\N{REPLACEMENT CHARACTER}", value)
    if not text or text[0].isalnum():
        return text or None
    cell = WriteOnlyCell(sheet, text)
    cell.data_type = "s"  # openpyxl takes a text for a formula, or for an error
    return cell


class ComplaintResource(ModelResource):
    """Times are those of the company, as in its files, to the second and without their zone:
    spreadsheets know none."""

    class Meta:
        fields = ("id", "case_id", *FIELDS, "extra", "file_name", "created_at", "updated_at")
        export_order = fields

    def export(self, queryset: QuerySet[Any], **kwargs: Any) -> Lines:
        """Columns as they are stored: to make rows and their fields of them takes ten times as
        long."""
        names = self._meta.export_order
        zone = self._meta.model.company.zone
        stored = queryset.values_list(*names).iterator(chunk_size=CHUNK)
        return Lines(names, ([_plain(value, zone) for value in row] for row in stored))


def _plain(value: Any, zone: tzinfo) -> Any:
    if isinstance(value, datetime):
        return timezone.make_naive(value, zone).replace(microsecond=0)
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value) if isinstance(value, UUID) else value
