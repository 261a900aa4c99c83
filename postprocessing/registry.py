"""The rows of `s3_files_registry`: made for files, and moved, a batch at a time."""

from __future__ import annotations

import mimetypes
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from functools import lru_cache
from pathlib import PurePosixPath
from typing import Any, NamedTuple
from uuid import UUID

from django.db import IntegrityError, transaction
from django.db.models import F, Q, QuerySet
from django.utils import timezone

from postprocessing import keys, records, sentences
from postprocessing.companies import Company
from postprocessing.folder import Entry
from postprocessing.models import S3File, model_of
from postprocessing.objects import ObjectStore
from postprocessing.transfers import Content

FACTS = (
    *("s3_bucket", "s3_url", "file_size", "file_hash", "mtime_ns", "metadata"),
    "updated_at",
)
ANY_TYPE = "application/octet-stream"
Status = S3File.Status


class Made(NamedTuple):
    """A row that is not written yet, and what the keys of all files of its day begin with."""

    row: S3File
    prefix: str


class End(NamedTuple):
    """How a pending row ends. `source`: "" leaves it as it is."""

    status: str
    reason: str = ""
    source: str = ""


class _Complaint(NamedTuple):
    fecha: datetime | None
    case_id: UUID


class Registry:
    """Of one company, with objects in one store."""

    def __init__(self, company: Company, store: ObjectStore) -> None:
        self.company, self.store = company, store
        simulated = {Status.SIMULATED} if store.is_simulated else set()
        self._there = set(S3File.THERE) | simulated

    def rows(self) -> QuerySet[S3File]:
        return S3File.objects.filter(empresa=self.company.name)

    def rows_of(self, names: Iterable[str]) -> dict[str, S3File]:
        return {row.filename: row for row in self.rows().filter(filename__in=list(names))}

    def pending(self) -> Iterable[S3File]:
        return self.rows().filter(status=Status.PENDING).order_by("pk").iterator()

    def says_there(self, row: S3File) -> bool:
        """Whether it believes the object to be where objects are kept now."""
        return row.status in self._there and (self.store.is_simulated or not self.is_elsewhere(row))

    def is_elsewhere(self, row: S3File) -> bool:
        """Whether it is of another bucket, or was simulated."""
        return row.s3_bucket != self.store.bucket

    def made(self, files: Sequence[tuple[Entry, Content]]) -> dict[str, Made]:
        """Rows for files that have none. A file belongs to the complaint that its name begins
        with; its key has that one's day, else the day in its name, else the day it changed."""
        complaints = self._complaints({keys.sgc_of(entry.name) for entry, _content in files})
        return {
            entry.name: self._made(entry, content, complaints.get(keys.sgc_of(entry.name)))
            for entry, content in files
        }

    def write_times(self, files: Sequence[tuple[S3File, Content]]) -> None:
        """Of files that were touched, and have the content that they had."""
        for row, content in files:
            row.mtime_ns = content.mtime_ns
        S3File.objects.bulk_update([row for row, _content in files], ["mtime_ns"])

    def write_pending(self, files: Sequence[tuple[S3File, Content]]) -> set[str]:
        """Have them all written and pending; the names of those that are ours to send. A row that
        somebody else has moved meanwhile is not."""
        new = [row for row, _content in files if row._state.adding]
        by_status = defaultdict(list)
        for row, content in files:
            if not row._state.adding:
                by_status[row.status].append((row, content))
        with transaction.atomic():
            ours = self._created(new)
            for status, some in by_status.items():
                ours += self._again_pending(status, some)
        return {row.filename for row in ours}

    def write_ends(self, ends: Iterable[tuple[S3File, End]]) -> None:
        by_end = defaultdict(list)
        for row, end in ends:
            by_end[end].append(row)
        with transaction.atomic():
            for end, rows in by_end.items():
                changes: dict[str, Any] = {"upload_source": end.source} if end.source else {}
                is_sent = end.status in (Status.UPLOADED, Status.SIMULATED)
                S3File.move_all(
                    rows,
                    end.status,
                    end.reason,
                    last_error=end.reason if end.status == Status.ERROR else "",
                    uploaded_at=timezone.now() if is_sent else None,
                    **changes,
                )

    def _created(self, rows: list[S3File]) -> list[S3File]:
        try:
            with transaction.atomic():
                return S3File.objects.bulk_create(rows)
        except IntegrityError:  # somebody else sends some of them, or has died at it just now
            known = self.rows_of(row.filename for row in rows)
            new = S3File.objects.bulk_create([row for row in rows if row.filename not in known])
            left = [row for row in rows if _takes_over(row, known.get(row.filename))]
            return [*new, *left]

    def _again_pending(self, status: str, files: Sequence[tuple[S3File, Content]]) -> list[S3File]:
        rows, tried = [row for row, _content in files], F("attempts") + 1
        if status == Status.PENDING:
            ours = S3File.change_all(rows, Q(status=status), attempts=tried)
        else:
            ours = S3File.move_all(rows, Status.PENDING, sentences.SENT_AGAIN, attempts=tried)
        names = {row.filename for row in ours}
        for row, content in files:
            self._tell(row, content)
        S3File.objects.bulk_update([row for row in rows if row.filename in names], FACTS)
        return ours

    def _tell(self, row: S3File, content: Content) -> None:
        row.s3_bucket, row.s3_url = self.store.bucket, self.store.url(row.s3_key)
        row.file_size, row.mtime_ns, row.file_hash = content
        row.metadata = {**row.metadata, "sha256": content.sha256}
        row.updated_at = timezone.now()

    def _made(self, entry: Entry, content: Content, complaint: _Complaint | None) -> Made:
        sgc, day = keys.sgc_of(entry.name), self._day(entry, complaint)
        row = S3File(
            empresa=self.company.name,
            filename=entry.name,
            numero_reclamo_sgc=sgc,
            s3_key=keys.key_of(self.company, filename=entry.name, sgc=sgc, day=day),
            file_type=PurePosixPath(entry.name).suffix[1:17].lower(),
            content_type=type_of(entry.name),
            attempts=1,
        )
        if complaint:
            row.case_id = complaint.case_id
            row.metadata = {"case-id": str(complaint.case_id)}
        self._tell(row, content)
        return Made(row, keys.prefix_of(self.company, day))

    def _day(self, entry: Entry, complaint: _Complaint | None) -> date:
        if complaint and complaint.fecha:
            return complaint.fecha.astimezone(self.company.zone).date()
        if named := records.time_in(entry.name):
            return named.date()
        return records.moment_of(entry.mtime_ns).astimezone(self.company.zone).date()

    def _complaints(self, numbers: Iterable[str]) -> Mapping[str, _Complaint]:
        """By their number; of several the first that has a date."""
        rows = model_of(self.company).objects.filter(numero_reclamo_sgc__in=set(numbers) - {""})
        found: dict[str, _Complaint] = {}
        values = rows.order_by("pk").values_list("numero_reclamo_sgc", "fecha", "case_id")
        for number, fecha, case_id in values:
            if number not in found or (fecha and not found[number].fecha):
                found[number] = _Complaint(fecha, case_id)
        return found


def _takes_over(row: S3File, stored: S3File | None) -> bool:
    """Whether it stands for one that is pending of the same content: then both may be sent."""
    if stored is None or stored.status != Status.PENDING:
        return False
    row.pk, row._state.adding = stored.pk, False
    return (row.s3_key, row.file_hash) == (stored.s3_key, stored.file_hash)


def type_of(name: str) -> str:
    """By the extension. A compressed file is not of the type of what is in it."""
    return _type_of(PurePosixPath(name).suffix.lower())


@lru_cache(maxsize=1000)
def _type_of(suffix: str) -> str:
    known, encoding = mimetypes.guess_type(f"x{suffix}")
    return known if known and not encoding and len(known) <= 100 else ANY_TYPE
