"""How complaints, and what is known of their files, get into the database: in bulk.

PostgreSQL takes new rows by COPY and everything else as arrays, SQLite takes them by
`executemany`: `writing_postgresql` and `writing_sqlite`. Both are given the same texts, and end
with the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from json.encoder import encode_basestring_ascii
from typing import Any, ClassVar

from django.db import DataError, IntegrityError, OperationalError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone

from orchestrator_site.models.event import Note
from postprocessing import sentences
from postprocessing.companies import Company
from postprocessing.deciding import Change, Stored
from postprocessing.models import SourceFile, model_of
from postprocessing.reading import Known
from postprocessing.records import EPOCH, OF_EXTRACTION, TEXTS, Fault, Record

# What a newer extraction writes, and what a row has from its beginning besides.
CHANGING = (
    *("numero_radicado", "fecha", "extraction_timestamp", "hash_registro", "content_hash"),
    *("file_name", "extra", *TEXTS, "updated_at"),
)
# What one writes that says the same: where it was last seen.
SEEN = ("extraction_timestamp", "file_name", *OF_EXTRACTION)
COLUMNS = ("case_id", "created_at", *CHANGING)
SAID = ("numero_radicado", "fecha", "extra", *TEXTS[len(OF_EXTRACTION) :])  # what events name
STORED = (
    *("id", "numero_radicado", "hash_registro", "content_hash", "extraction_timestamp"),
    "file_name",
)
KNOWN = ("filename", "size", "mtime_ns", "sha256", "records", "identities", "faults")
OF_FILE = ("empresa", "loaded_at", *KNOWN)
STATE = SAID.index("estado_solicitud")
STATE_LENGTH = 32  # of an event
NO_FAULTS = "[]"
Row = Sequence[Any]
# The name, bytes, time, number of records and faults of a file, as the database gives them.
Remembered = tuple[str, int, int, int, str]


def is_of_a_record(error: Exception) -> bool:
    """Whether a failure may lie in what was to be written, not in the database. A key that is too
    large for an index is an OperationalError to PostgreSQL."""
    if isinstance(error, OperationalError):
        return str(getattr(error.__cause__, "sqlstate", "")).startswith("54")
    return isinstance(error, (DataError, IntegrityError))


class Writer:
    """Into one company's table."""

    no_extra: ClassVar[str | bytes]

    def __init__(self, company: Company) -> None:
        self.company, self.model = company, model_of(company)
        self.using = router.db_for_write(self.model)
        self.connection: BaseDatabaseWrapper = connections[self.using]
        quote = self.connection.ops.quote_name
        self.table, self.files = (quote(one._meta.db_table) for one in (self.model, SourceFile))
        self._is_ours = f"empresa = '{company.name}'"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """A transaction in which nobody else loads complaints of this company."""
        with transaction.atomic(using=self.using):
            self._lock()
            yield

    def savepoint(self) -> transaction.Atomic:
        return transaction.atomic(using=self.using)

    # --- What is there --------------------------------------------------------------------------

    def known(self, names: Sequence[str]) -> dict[str, Known]:
        """The files of these names that were read before, by name."""
        rows = self._found(self.files, KNOWN, "filename", names, self._is_ours)
        found = (
            Known._make((*same, tuple(json.loads(identities)), faults_of(faults)))
            for *same, identities, faults in rows
        )
        return {one.name: one for one in found}

    def remembered(self) -> dict[str, Remembered]:
        """All files of the company that were read before, by name: a hundred bytes or two each."""
        columns = "filename, size, mtime_ns, records, faults"
        sql = f"SELECT {columns} FROM {self.files} WHERE empresa = %s"
        with self.connection.cursor() as cursor:
            cursor.execute(sql, [self.company.name])
            return {row[0]: row for row in cursor.fetchall()}

    def stored(self, identities: Iterable[str]) -> dict[str, Stored]:
        """The rows of these complaints, by identity; those that are not there are left out."""
        rows = self._of(identities, STORED)
        found = (
            Stored(pk, radicado or f" {known_by}", content, (self._moment(at), file_name))
            for pk, radicado, known_by, content, at, file_name in rows
        )
        return {one.identity: one for one in found}

    def there(self, identities: Iterable[str]) -> set[str]:
        """Those of which there is a row."""
        rows = self._of(identities, ("numero_radicado", "hash_registro"))
        return {radicado or f" {known_by}" for radicado, known_by in rows}

    def _of(self, identities: Iterable[str], columns: Sequence[str]) -> list[tuple[Any, ...]]:
        radicados, hashes = set(), set()
        for one in identities:
            if one.startswith(" "):
                hashes.add(one[1:])
            else:
                radicados.add(one)
        return [
            *self._found(self.table, columns, "numero_radicado", radicados),
            *self._found(self.table, columns, "hash_registro", hashes, "numero_radicado IS NULL"),
        ]

    # --- What is written ------------------------------------------------------------------------

    def insert(self, records: Sequence[Record]) -> None:
        now = self._told(timezone.now())
        if records:
            self._insert([(self._case(), now, *self._row(one, now)) for one in records])

    def change(self, changes: Sequence[Change]) -> None:
        """Write newer extractions, and an event for each that says something else."""
        now = self._told(timezone.now())
        told = {one.id: one.record for one in changes if one.is_told}
        before = self._found(self.table, ("id", "case_id", *SAID), "id", told)
        if told:
            self._change(CHANGING, [(pk, *self._row(one, now)) for pk, one in told.items()])
        if seen := [self._seen(one.id, one.record) for one in changes if not one.is_told]:
            self._change(SEEN, seen)
        self._note(told, before)

    def _seen(self, pk: int, record: Record) -> Row:
        values = record.values[: len(OF_EXTRACTION)]
        return (pk, self._told(record.extracted_at), record.file_name, *values)

    def keep(self, files: Iterable[Known]) -> None:
        """What is known of these files from now on."""
        by_name = {one.name: one for one in files}
        if rows := [
            (*one[:5], _listed(one.identities), stored_of(one.faults)) for one in by_name.values()
        ]:
            self._keep(rows)

    def _row(self, record: Record, now: Any) -> Row:
        """The values of `CHANGING`."""
        return (
            record.numero_radicado,
            self._told(record.fecha) if record.fecha else None,
            self._told(record.extracted_at),
            record.hash_registro,
            record.content_hash,
            record.file_name,
            self._json(record.extra) if record.extra else self.no_extra,
            *record.values,
            now,
        )

    # --- Events ---------------------------------------------------------------------------------

    def _note(self, records: Mapping[int, Record], before: Iterable[Row]) -> None:
        """Events name the fields that changed; what they held stands in the files."""
        alike: dict[tuple[Any, ...], list[tuple[Any, int]]] = {}
        for pk, case_id, radicado, fecha, extra, *texts in before:
            record = records[pk]
            was: tuple[Any, ...] = (radicado, self._moment(fecha), json.loads(extra), *texts)
            is_now: tuple[Any, ...] = (
                *(record.numero_radicado, record.fecha or EPOCH, dict(record.extra)),
                *record.values[len(OF_EXTRACTION) :],
            )
            pairs = zip(SAID, was, is_now, strict=True)
            fields = tuple(name for name, old, new in pairs if old != new)
            states = (was[STATE][:STATE_LENGTH], is_now[STATE][:STATE_LENGTH])
            alike.setdefault((*states, fields), []).append((case_id, pk))
        for (old_state, new_state, fields), objects in alike.items():
            data, reason = {"fields": fields}, sentences.UPDATED_FROM
            Note.of(self.model, old_state, new_state, reason, data).write(objects)

    def _moment(self, stored: datetime | None) -> datetime:
        """As it comes from the database, which on SQLite knows no zones."""
        if stored is None:
            return EPOCH
        return stored if stored.tzinfo else stored.replace(tzinfo=UTC)

    # --- What the two do differently ------------------------------------------------------------

    def _lock(self) -> None:
        raise NotImplementedError

    def _found(
        self,
        table: str,
        columns: Sequence[str],
        key: str,
        values: Collection[str] | Collection[int],
        where: str = "TRUE",
    ) -> list[tuple[Any, ...]]:
        """The rows that have one of these values in a column in which each is there once."""
        raise NotImplementedError

    def _told(self, moment: datetime) -> Any:
        """A moment in UTC as the database takes it."""
        raise NotImplementedError

    def _case(self) -> Any:
        """A new case."""
        raise NotImplementedError

    def _json(self, value: Mapping[str, Any]) -> Any:
        raise NotImplementedError

    def _insert(self, rows: Sequence[Row]) -> None:
        """`COLUMNS` of new rows."""
        raise NotImplementedError

    def _change(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """Keys, and these columns of theirs."""
        raise NotImplementedError

    def _keep(self, rows: Sequence[Row]) -> None:
        """`KNOWN` of files that are there or not."""
        raise NotImplementedError


def faults_of(stored: str) -> tuple[Fault, ...]:
    """Of a file, as they are stored."""
    return () if stored == NO_FAULTS else tuple(Fault(**one) for one in json.loads(stored))


def stored_of(faults: Iterable[Fault]) -> str:
    return json.dumps([one._asdict() for one in faults]) if faults else NO_FAULTS


def _listed(texts: Iterable[str]) -> str:
    """As JSON, which takes `json.dumps` three times as long."""
    return f"[{', '.join(map(encode_basestring_ascii, texts))}]"
