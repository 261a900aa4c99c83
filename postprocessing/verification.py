"""Is anything missing? A company's files, the rows of its table and the objects of its bucket,
compared with one another.

Neither the registry nor what is known of files is believed: every JSON file is read and each of
its records looked for in the table, and the bucket is listed. Where uploads are simulated there is
no bucket, and files and rows are all that is compared.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from django.db import transaction
from django.db.models import Count

from orchestrator_site.clock import db_now
from orchestrator_site.logs import redact
from postprocessing import folder, keys, objects, reader, sentences, transfers
from postprocessing.companies import Company
from postprocessing.deciding import Decision, decided
from postprocessing.folder import Entry
from postprocessing.models import Difference, Verification, model_of
from postprocessing.objects import ObjectError, ObjectInfo
from postprocessing.reading import Read
from postprocessing.records import Fault
from postprocessing.registry import Registry
from postprocessing.transfers import Content
from postprocessing.writer import writer_of

KEPT = 10_000  # differences of one verification that are listed one by one; all are counted
AT_ONCE = 1000
LISTED = 5  # faults of a file that are told
MD5 = re.compile(r"[0-9a-f]{32}")
Kind = Difference.Kind
Tell = Callable[[str, int, int | None], None]


class _Registered(NamedTuple):
    """What the registry says of a file."""

    key: str
    is_there: bool
    content: Content


def _md5() -> Any:
    return hashlib.md5(usedforsecurity=False)


def _untold(what: str, done: int, of: int | None) -> None:
    return


def verify(company: Company, told: Tell = _untold, *, deep: bool = False) -> Verification:
    """Compare, and keep what was found. `deep` reads every file, and compares it with the MD5
    that the bucket has of its object; else an object is known by its size.

    Changes nothing but its own rows. A bucket that cannot be listed is told in `error`.
    """
    began = time.monotonic()
    work = _Comparison(company, told, deep)
    work.compare_rows()
    try:
        work.compare_objects()
    except ObjectError as error:
        work.row.error = redact(str(error))
    work.row.seconds = round(time.monotonic() - began, 3)
    work.row.found = dict(work.counts)
    with transaction.atomic():
        work.row.save()
        Difference.objects.bulk_create(work.differences, batch_size=AT_ONCE)
    return work.row


class _Comparison:
    def __init__(self, company: Company, told: Tell, deep: bool) -> None:
        self.company, self.told, self.deep = company, told, deep
        self.model = model_of(company)
        self.row = Verification(empresa=company.name, at=db_now())
        self.differences: list[Difference] = []
        self.counts: Counter[str] = Counter()
        self.files = {one.name: one for one in folder.listed(company.folder)}
        self.row.files = len(self.files)

    def _differ(self, kind: Kind, filename: str, detail: str = "", key: str = "") -> None:
        self.counts[kind.value] += 1
        if len(self.differences) < KEPT:
            self.differences.append(
                Difference(
                    verification=self.row, kind=kind, filename=filename, s3_key=key, detail=detail
                )
            )

    # --- Files and rows -------------------------------------------------------------------------

    def compare_rows(self) -> None:
        for entry in self.files.values():
            if entry.problem:
                self._differ(Kind.UNREADABLE, entry.name, entry.problem)
        data = [one for one in self.files.values() if folder.is_json(one.name)]
        self.row.json_files = len(data)
        regular = [one for one in data if one.is_regular]
        done = 0
        for batch in reader.read_in_batches(self.company, regular):
            self._look_for(batch)
            done += len(batch)
            self.told(sentences.COMPARING_ROWS, done, len(regular))
        self.row.rows = self.model.objects.count()
        self._rows_without_files()

    def _look_for(self, batch: list[Read]) -> None:
        writer = writer_of(self.company)
        stored = writer.stored(one.identity for file in batch for one in file.latest)
        known = writer.known([file.name for file in batch])
        for file in batch:
            decisions = Counter(decided(one, stored.get(one.identity)) for one in file.latest)
            before = known.get(file.name)
            was_loaded = before is not None and before.is_still(self.files[file.name])
            self._judge(file, decisions, was_loaded)

    def _judge(self, file: Read, decisions: Counter[Decision], was_loaded: bool) -> None:
        missing, changed = decisions[Decision.INSERT], decisions[Decision.UPDATE]
        if missing:
            kind = Kind.NO_ROW if was_loaded else Kind.NOT_LOADED
            self._differ(kind, file.name, sentences.RECORDS_MISSING % {"count": missing})
        if changed:
            self._differ(Kind.CHANGED, file.name, sentences.RECORDS_DIFFER % {"count": changed})
        if file.parsed.faults:
            told = map(_told_of, file.parsed.faults[:LISTED])
            self._differ(Kind.REFUSED, file.name, "\n".join(told))
        self.row.files_loaded += not (missing or changed or file.parsed.faults)

    def _rows_without_files(self) -> None:
        named: Any = self.model.objects.order_by().values_list("file_name").annotate(Count("pk"))
        for name, count in named.iterator(chunk_size=AT_ONCE):
            if name not in self.files:
                self._differ(Kind.NO_FILE, name, sentences.ROWS_LEFT % {"count": count})

    # --- Files and objects ----------------------------------------------------------------------

    def compare_objects(self) -> None:
        store = objects.store()
        self.row.is_simulated = store.is_simulated
        try:
            if not store.is_simulated:
                self._compare_objects(Registry(self.company, store), self._listed(store))
        finally:
            store.close()

    def _listed(self, store: objects.ObjectStore) -> dict[str, ObjectInfo]:
        found: dict[str, ObjectInfo] = {}
        for one in store.listed(keys.base_of(self.company)):
            found[one.key] = one
            if len(found) % AT_ONCE == 0:
                self.told(sentences.LISTING_OBJECTS, len(found), None)
        self.row.objects_listed = len(found)
        return found

    def _compare_objects(self, registry: Registry, listed: dict[str, ObjectInfo]) -> None:
        registered = dict(self._registered(registry))
        owned = {one.key for one in registered.values()}
        expected = self._expected(registry, registered.keys())
        regular = [one for one in self.files.values() if one.is_regular]
        for done, entry in enumerate(regular, start=1):
            row = registered.get(entry.name)
            if row:
                self._compare(entry, row, listed.get(row.key))
            else:
                self._without_row(entry, listed.get(expected[entry.name]), expected[entry.name])
            if done % AT_ONCE == 0 or done == len(regular):
                self.told(sentences.COMPARING_OBJECTS, done, len(regular))
        self._of_no_file(registered, listed)
        for key in listed.keys() - owned - set(expected.values()):
            self._differ(Kind.STRAY_OBJECT, "", key=key)

    def _registered(self, registry: Registry) -> Iterator[tuple[str, _Registered]]:
        for row in registry.rows().iterator(chunk_size=AT_ONCE):
            content = Content(row.file_size, row.mtime_ns, row.file_hash)
            yield row.filename, _Registered(row.s3_key, registry.says_there(row), content)

    def _expected(self, registry: Registry, known: Iterable[str]) -> dict[str, str]:
        """The keys that files would get which the registry does not know."""
        names = [one for one in self.files.keys() - known if self.files[one].is_regular]
        found: dict[str, str] = {}
        for start in range(0, len(names), AT_ONCE):
            entries = [self.files[name] for name in names[start : start + AT_ONCE]]
            made = registry.made([(one, Content(one.size, one.mtime_ns, "")) for one in entries])
            found |= {name: one.row.s3_key for name, one in made.items()}
        return found

    def _compare(self, entry: Entry, row: _Registered, there: ObjectInfo | None) -> None:
        if there is None:
            self._differ(
                Kind.OBJECT_GONE if row.is_there else Kind.NOT_UPLOADED, entry.name, key=row.key
            )
        elif detail := self._unlike(entry, row.content, there):
            self._differ(Kind.OBJECT_DIFFERS, entry.name, detail, row.key)
        elif not row.is_there:
            self._differ(Kind.NOT_REGISTERED, entry.name, key=row.key)
        else:
            self.row.objects_there += 1

    def _without_row(self, entry: Entry, there: ObjectInfo | None, key: str) -> None:
        if there is None:
            self._differ(Kind.NOT_UPLOADED, entry.name, key=key)
        elif detail := self._unlike(entry, None, there):
            self._differ(Kind.OBJECT_DIFFERS, entry.name, detail, key)
        else:
            self._differ(Kind.NOT_REGISTERED, entry.name, key=key)

    def _unlike(self, entry: Entry, known: Content | None, there: ObjectInfo) -> str:
        """How the object is not the file's; "" where it is."""
        if there.size != entry.size:
            return sentences.OTHER_SIZE % {"object": there.size, "file": entry.size}
        is_touched = known is not None and known.mtime_ns != entry.mtime_ns
        try:
            if is_touched and transfers.content_of(self.company.folder, entry.name)[2] != known[2]:  # type: ignore[index]
                return sentences.FILE_CHANGED
            if self.deep and MD5.fullmatch(there.etag) and self._md5(entry.name) != there.etag:
                return sentences.OTHER_CONTENT
        except folder.Unreadable as error:
            return str(error)
        return ""

    def _md5(self, name: str) -> str:
        with folder.opened(self.company.folder, name) as file:
            found = hashlib.file_digest(file, _md5)  # type: ignore[arg-type]
            return found.hexdigest()

    def _of_no_file(
        self, registered: dict[str, _Registered], listed: dict[str, ObjectInfo]
    ) -> None:
        for name, row in registered.items():
            if name not in self.files and row.is_there and row.key not in listed:
                self._differ(Kind.OBJECT_GONE, name, sentences.NOT_THERE, row.key)


def _told_of(fault: Fault) -> str:
    if not fault.record:
        return fault.reason
    return sentences.OF_A_RECORD % {"number": fault.record, "reason": fault.reason}
