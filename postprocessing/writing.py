"""How complaints, and what is known of their files, get into the database: in bulk.

PostgreSQL takes new rows by COPY and everything else as arrays, SQLite takes them by
`executemany`. Both are given the same texts, and end with the same rows.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from json.encoder import encode_basestring_ascii
from typing import Any, ClassVar
from zlib import crc32

from django.db import DataError, IntegrityError, OperationalError, connections, router, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.utils import timezone
from uuid_utils import uuid7

from orchestrator_site.models.event import Note
from postprocessing import sentences
from postprocessing.companies import Company
from postprocessing.deciding import Change, Stored
from postprocessing.models import SourceFile, model_of
from postprocessing.reading import Known
from postprocessing.records import EPOCH, OF_EXTRACTION, SEPARATOR, TEXTS, Fault, Record

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
LOCK = crc32(b"postprocessing.loading") >> 1  # positive in 32 bits
Row = Sequence[Any]
# What PostgreSQL's binary form is: of a moment the microseconds since 2000, of a UUID its bytes, of
# `jsonb` its text after a number of version. psycopg need not be told more than how to send these.
POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
JSONB = b"\x01"
BINARY = {
    **dict.fromkeys(("id", "created_at", "updated_at", "fecha", "extraction_timestamp"), "int8"),
    **dict.fromkeys(("loaded_at", "size", "mtime_ns"), "int8"),
    "records": "int4",
    **dict.fromkeys(("case_id", "extra", "identities", "faults"), "bytea"),
}


# The name, bytes, time, number of records and faults of a file, as the database gives them.
Remembered = tuple[str, int, int, int, str]


def writer_of(company: Company) -> Writer:
    vendor = connections[router.db_for_write(model_of(company))].vendor
    return (PostgresWriter if vendor == "postgresql" else SqliteWriter)(company)


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


class PostgresWriter(Writer):
    no_extra = JSONB + b"{}"

    def _lock(self) -> None:
        self._sent("SELECT pg_advisory_xact_lock(%s, hashtext(%s))", [LOCK, self.company.name])

    def _found(
        self,
        table: str,
        columns: Sequence[str],
        key: str,
        values: Collection[str] | Collection[int],
        where: str = "TRUE",
    ) -> list[tuple[Any, ...]]:
        """By one search of the index for each, and planned anew each time: a plan that was made
        when the table was small would read all of it, once for each."""
        if not values:
            return []
        kind = "bigint" if key == "id" else "text"
        one = f"SELECT {', '.join(columns)} FROM {table} WHERE {key} = wanted.key AND {where}"
        sql = (
            f"SELECT found.* FROM unnest(%s::{kind}[]) AS wanted (key)"
            f" CROSS JOIN LATERAL ({one} LIMIT 1) AS found"
        )
        with self.connection.wrap_database_errors, self.connection.cursor() as cursor:
            bare = cursor.cursor  # Django's own does not take `prepare`
            return bare.execute(sql, [array_of(list(values))], prepare=False).fetchall()

    def _told(self, moment: datetime) -> int:
        return (moment - POSTGRES_EPOCH) // MICROSECOND

    def _case(self) -> bytes:
        return uuid7().bytes

    def _json(self, value: Mapping[str, Any]) -> bytes:
        return JSONB + json.dumps(value, ensure_ascii=False).encode()

    def _insert(self, rows: Sequence[Row]) -> None:
        self._copy(self.table, COLUMNS, rows)

    def _change(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        name, all_columns = f"changed_{self.company.name}_{len(columns)}", ("id", *columns)
        self._sent(
            f"CREATE TEMPORARY TABLE IF NOT EXISTS {name} ON COMMIT DELETE ROWS"
            f" AS SELECT {', '.join(all_columns)} FROM {self.table} WITH NO DATA"
        )
        self._sent(f"DELETE FROM {name}")  # of an earlier change in this transaction
        self._copy(name, all_columns, rows)
        assigned = ", ".join(f"{column} = new.{column}" for column in columns)
        where = f"{self.table}.id = new.id"
        self._sent(f"UPDATE {self.table} SET {assigned} FROM {name} new WHERE {where}")

    def _keep(self, rows: Sequence[Row]) -> None:
        """Nobody else adds files meanwhile: each is there already, or is not."""
        names = [row[0] for row in rows]
        before = self._found(self.files, ("filename",), "filename", names, self._is_ours)
        there = {name for (name,) in before}
        self._keep_again([row for row in rows if row[0] in there])
        now = self._told(timezone.now())
        new = [
            (self.company.name, now, *row[:5], JSONB + row[5].encode(), JSONB + row[6].encode())
            for row in rows
            if row[0] not in there
        ]
        self._copy(self.files, OF_FILE, new)

    def _keep_again(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        kinds = ("text", "bigint", "bigint", "text", "int", "jsonb", "jsonb")
        arrays = ", ".join(f"%s::{kind}[]" for kind in kinds)
        assigned = ", ".join(f"{name} = new.{name}" for name in KNOWN[1:])
        sql = (
            f"UPDATE {self.files} SET loaded_at = %s, {assigned}"
            f" FROM unnest({arrays}) AS new ({', '.join(KNOWN)})"
            f" WHERE {self.files}.filename = new.filename AND {self._is_ours}"
        )
        values = [array_of(column) for column in zip(*rows, strict=True)]
        self._sent(sql, [timezone.now(), *values])

    def _copy(self, table: str, columns: Sequence[str], rows: Sequence[Row]) -> None:
        """In binary: half the time of text on our side, and less than that on PostgreSQL's."""
        if not rows:
            return
        sql = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT BINARY)"
        with (
            self.connection.wrap_database_errors,
            self.connection.cursor() as cursor,
            cursor.copy(sql) as copy,
        ):
            copy.set_types([BINARY.get(name, "text") for name in columns])
            for row in rows:
                copy.write_row(row)

    def _sent(self, sql: str, params: Sequence[Any] = ()) -> None:
        with self.connection.cursor() as cursor:
            cursor.execute(sql, params)


class SqliteWriter(Writer):
    no_extra = "{}"

    def _lock(self) -> None:
        """Transactions are begun as writers: there is one at a time."""

    def _found(
        self,
        table: str,
        columns: Sequence[str],
        key: str,
        values: Collection[str] | Collection[int],
        where: str = "TRUE",
    ) -> list[tuple[Any, ...]]:
        among = f"{key} IN (SELECT value FROM json_each(%s))"
        sql = f"SELECT {', '.join(columns)} FROM {table} WHERE {among} AND {where}"
        with self.connection.cursor() as cursor:
            cursor.execute(sql, [json.dumps(list(values))])
            return cursor.fetchall()

    def _told(self, moment: datetime) -> str:
        return str(moment.replace(tzinfo=None))

    def _case(self) -> str:
        return uuid7().hex

    def _json(self, value: Mapping[str, Any]) -> str:
        return json.dumps(value, ensure_ascii=False)

    def _insert(self, rows: Sequence[Row]) -> None:
        marks = ", ".join(["%s"] * len(COLUMNS))
        self._sent(f"INSERT INTO {self.table} ({', '.join(COLUMNS)}) VALUES ({marks})", rows)

    def _change(self, columns: Sequence[str], rows: Sequence[Row]) -> None:
        assigned = ", ".join(f"{name} = %s" for name in columns)
        turned = [(*new, pk) for pk, *new in rows]
        self._sent(f"UPDATE {self.table} SET {assigned} WHERE id = %s", turned)

    def _keep(self, rows: Sequence[Row]) -> None:
        marks = ", ".join(["%s"] * len(OF_FILE))
        sql = (
            f"INSERT INTO {self.files} ({', '.join(OF_FILE)}) VALUES ({marks})"
            f" ON CONFLICT (empresa, filename) DO UPDATE SET {_replaced(OF_FILE[1:])}"
        )
        common = (self.company.name, self._told(timezone.now()))
        self._sent(sql, [(*common, *row) for row in rows])

    def _sent(self, sql: str, rows: Sequence[Row]) -> None:
        with self.connection.cursor() as cursor:
            cursor.executemany(sql, rows)


def _replaced(columns: Iterable[str]) -> str:
    return ", ".join(f"{name} = excluded.{name}" for name in columns)


def faults_of(stored: str) -> tuple[Fault, ...]:
    """Of a file, as they are stored."""
    return () if stored == NO_FAULTS else tuple(Fault(**one) for one in json.loads(stored))


def stored_of(faults: Iterable[Fault]) -> str:
    return json.dumps([one._asdict() for one in faults]) if faults else NO_FAULTS


def _listed(texts: Iterable[str]) -> str:
    """As JSON, which takes `json.dumps` three times as long."""
    return f"[{', '.join(map(encode_basestring_ascii, texts))}]"


def array_of(values: Sequence[Any]) -> str:
    """The values as PostgreSQL's text of an array. They are put together first, and then quoted all
    at once: one by one takes five times as long."""
    texts = list(map(str, values))
    whole = SEPARATOR.join(texts)
    if whole.count(SEPARATOR) != len(texts) - 1:
        return "{" + ",".join(f'"{_in_quotes(one)}"' for one in texts) + "}"
    return '{"' + _in_quotes(whole).replace(SEPARATOR, '","') + '"}'


def _in_quotes(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
