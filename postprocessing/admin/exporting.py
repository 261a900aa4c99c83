"""Complaints as CSV and XLSX. What outsiders wrote is text there, and never a formula."""

from __future__ import annotations

import json
from datetime import datetime, tzinfo
from typing import Any, BinaryIO
from uuid import UUID

from django.db.models import QuerySet
from django.utils import timezone
from import_export.formats.base_formats import CSV, XLSX
from import_export.resources import ModelResource

from orchestrator_site import exporting
from orchestrator_site.exporting import Lines
from postprocessing.models import FIELDS

CHUNK = 1000  # rows that are read at once


class PlainCSV(CSV):
    def write(self, lines: Lines, file: BinaryIO) -> None:
        exporting.write_csv(lines, file)


class PlainXLSX(XLSX):
    def write(self, lines: Lines, file: BinaryIO) -> None:
        """Raises ValueError where there are too many rows."""
        exporting.write_xlsx(lines, file)


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
