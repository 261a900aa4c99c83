"""A company's files into its table: only what is new or has changed, unless all is asked for.

Files are read oldest extraction first, and written in batches of about a thousand, each in one
transaction with what is known of its files: wherever a load is killed, the next one goes on.

What a record becomes:

- its content is there: a **duplicate**;
- its `numero_radicado` is there (without one: its `hash_registro`), with other content: an
  **update**, if it was not extracted before what is there; else a duplicate too. So the order of
  files does not matter, and to load them all again changes nothing. Of records extracted at the
  same time the one of the greater file name counts, in one file the later one;
- else it is **inserted**.

A file that has the size and the time that it had is not opened: its records count as duplicates,
its faults as errors. They are told until the file changes: nobody has seen to them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from hashlib import sha256
from itertools import islice
from typing import TypeVar

from django.conf import settings
from django.db import DatabaseError

from postprocessing import folder, records, sentences
from postprocessing.companies import Company
from postprocessing.folder import Entry, FileFault
from postprocessing.records import Fault, Parsed, Record
from postprocessing.writing import (
    NO_FAULTS,
    Change,
    Known,
    Stored,
    Writer,
    faults_of,
    is_of_a_record,
    writer_of,
)

T = TypeVar("T")
BATCH = 1000  # files, or records
BATCH_BYTES = 4 * 2**20
LISTED = 1000  # faults that are told one by one, and warnings
TRIES = 2  # of a batch: another program may have written a row since it was looked for


@dataclass
class Loaded:
    """What became of a company's JSON files, and of their records. `errors` counts faults, of
    which the first are listed; so are warnings."""

    files: int = 0
    files_read: int = 0
    inserted: int = 0
    updated: int = 0
    duplicates: int = 0
    errors: int = 0
    faults: list[FileFault] = field(default_factory=list)
    warnings: list[FileFault] = field(default_factory=list)

    def add_faults(self, file: str, faults: Iterable[Fault]) -> None:
        for one in faults:
            self.errors += 1
            if len(self.faults) < LISTED:
                self.faults.append(FileFault(file, *one))

    def add_warnings(self, file: str, warnings: Iterable[Fault]) -> None:
        room = LISTED - len(self.warnings)
        self.warnings += [FileFault(file, *one) for one in islice(warnings, room)]


def _untold(done: int, of: int) -> None:
    return


def _never() -> bool:
    return False


def load(
    company: Company,
    *,
    full: bool = False,
    dry_run: bool = False,
    told: Callable[[int, int], None] = _untold,
    stopped: Callable[[], bool] = _never,
) -> Loaded:
    """Load what has changed since it was last read; `full`: every file. `told(done, of)` counts
    files. Where it is `stopped`, the rest is left to the next load.

    Two loads may run at once. Bad input raises nothing; a database that fails does.
    """
    load = _Load(company, full, dry_run, told, stopped)
    load.look_through(one for one in folder.listed(company.folder) if folder.is_json(one.name))
    load.read_all()
    return load.loaded


def load_files(company: Company, names: Iterable[str]) -> Loaded:
    """Load these files, whatever is known of them."""
    load = _Load(company, True, False, _untold, _never)
    load.look_up(dict.fromkeys(names))
    load.read_all()
    return load.loaded


# --- What a record becomes ----------------------------------------------------------------------


class Decision(StrEnum):
    INSERT = "insert"
    UPDATE = "update"
    SEEN_AGAIN = "seen again"  # a duplicate; where it was last seen is written down
    DUPLICATE = "duplicate"


def decided(record: Record, stored: Stored | None) -> Decision:
    if stored is None:
        return Decision.INSERT
    if record.content_hash == stored.content_hash:
        return Decision.SEEN_AGAIN if record.age > stored.age else Decision.DUPLICATE
    return Decision.DUPLICATE if record.age < stored.age else Decision.UPDATE


@dataclass
class Plan:
    """What is to be written, each row once. `later`: of complaints that are written here, what
    comes after a change of their content."""

    inserts: dict[str, Record] = field(default_factory=dict)
    changes: dict[str, Change] = field(default_factory=dict)
    duplicates: int = 0
    later: list[Record] = field(default_factory=list)

    @property
    def updated(self) -> int:
        return sum(one.is_told for one in self.changes.values())


def planned(found: Iterable[Record], stored: dict[str, Stored]) -> Plan:
    """`stored` is what is there, and afterwards what will be."""
    plan, waiting = Plan(), set()
    for record in found:
        identity = record.identity
        before = stored.get(identity)
        decision = decided(record, before)
        if identity in waiting:
            plan.later.append(record)
        elif decision is Decision.DUPLICATE:
            plan.duplicates += 1
        elif decision is Decision.UPDATE and (identity in plan.inserts or identity in plan.changes):
            waiting.add(identity)
            plan.later.append(record)
        else:
            _add(plan, decision, record, before.id if before else 0)
            pk = before.id if before else 0
            stored[identity] = Stored(pk, identity, record.content_hash, record.age)
    return plan


def _add(plan: Plan, decision: Decision, record: Record, pk: int) -> None:
    identity = record.identity
    plan.duplicates += decision is Decision.SEEN_AGAIN
    if decision is Decision.INSERT or identity in plan.inserts:
        plan.inserts[identity] = record
    elif decision is Decision.UPDATE:
        plan.changes[identity] = Change(pk, record, is_told=True)
    else:
        before = plan.changes.get(identity)
        plan.changes[identity] = Change(pk, record, is_told=bool(before and before.is_told))


@dataclass
class Outcome:
    """What became of records. `refused`: those that the database does not take, and why."""

    inserted: int = 0
    updated: int = 0
    duplicates: int = 0
    refused: list[tuple[Record, str]] = field(default_factory=list)

    def add(self, plan: Plan) -> None:
        self.inserted += len(plan.inserts)
        self.updated += plan.updated
        self.duplicates += plan.duplicates

    def join(self, other: Outcome) -> None:
        self.inserted += other.inserted
        self.updated += other.updated
        self.duplicates += other.duplicates
        self.refused += other.refused


# --- Reading ------------------------------------------------------------------------------------


@dataclass
class Read:
    """A file that was read, or could not be. `known`: what will be known of it; None: nothing, the
    next load tries again."""

    name: str
    bytes: int
    known: Known | None
    parsed: Parsed

    @cached_property
    def latest(self) -> list[Record]:
        """Of the records of one complaint the last one."""
        found = self.parsed.records
        if len(found) < 2:
            return found
        ordered = sorted(found, key=lambda one: (one.extracted_at, one.place))
        return list({one.identity: one for one in ordered}.values())

    @property
    def overtaken(self) -> int:
        """Records of which the file has a later one."""
        return len(self.parsed.records) - len(self.latest)

    def refuse(self, faults: Sequence[Fault]) -> None:
        """As the database did."""
        self.parsed.faults.extend(faults)
        if self.known:
            left = self.known.records - len(faults)
            self.known = self.known._replace(records=left, faults=tuple(self.parsed.faults))


def _read(company: Company, path: str, entry: Entry) -> Read:
    limit = settings.PQR_MAX_FILE_BYTES
    if entry.problem:
        return _not_read(entry.name, entry.problem)
    try:
        content = folder.read(path, entry.name, limit)
    except folder.TooLarge as error:
        faults = (Fault(0, str(error)),)
        known = Known(entry.name, error.size, error.mtime_ns, "", 0, (), faults)
        return Read(entry.name, 0, known, Parsed([], list(faults), []))
    except folder.Unreadable as error:
        return _not_read(entry.name, str(error))
    data, mtime_ns = content
    parsed = records.parse(data, entry.name, company, mtime_ns)
    known = Known(
        *(entry.name, len(data), mtime_ns, sha256(data).hexdigest()),
        *(len(parsed.records), tuple({one.identity for one in parsed.records})),
        tuple(parsed.faults),
    )
    return Read(entry.name, len(data), known, parsed)


def _not_read(name: str, reason: str) -> Read:
    return Read(name, 0, None, Parsed([], [Fault(0, reason)], []))


def read_in_batches(company: Company, entries: Iterable[Entry]) -> Iterator[list[Read]]:
    """The files, read: about a thousand records at a time, and no more bytes than few files may
    have."""
    batch: list[Read] = []
    count = size = 0
    path = str(company.folder)
    for entry in entries:
        batch.append(one := _read(company, path, entry))
        count += len(one.parsed.records)
        size += one.bytes
        if count >= BATCH or len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, count, size = [], 0, 0
    if batch:
        yield batch


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The next item is made, in a thread, while one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _chunks(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while chunk := list(islice(iterator, size)):
        yield chunk


# --- One load -----------------------------------------------------------------------------------


class _Load:
    def __init__(
        self,
        company: Company,
        full: bool,
        dry_run: bool,
        told: Callable[[int, int], None],
        stopped: Callable[[], bool],
    ) -> None:
        self.company, self.full, self.dry_run = company, full, dry_run
        self.told, self.stopped = told, stopped
        self.home = str(company.folder)  # a path takes longer to make than a file to read
        self.writer: Writer = writer_of(company)
        self.loaded = Loaded()
        self.entries: list[Entry] = []  # to be read
        self.done = 0
        self.foreseen: dict[str, Stored] = {}  # in a dry run: what would be there by now

    # --- Which files ----------------------------------------------------------------------------

    def look_through(self, entries: Iterable[Entry]) -> None:
        remembered = {} if self.full else self.writer.remembered()
        for chunk in _chunks(entries, BATCH):
            if self.stopped():
                return
            self.loaded.files += len(chunk)
            if self.full:
                self._leave_out_same(chunk)
                self.told(self.done, self.loaded.files)
                continue
            for entry in chunk:
                before = remembered.get(entry.name)
                if before and before[1:3] == entry[1:3] and entry.is_regular:
                    name, _size, _mtime_ns, count, faults = before
                    self._leave_out(name, count, () if faults == NO_FAULTS else faults_of(faults))
                else:
                    self.entries.append(entry)

    def _leave_out_same(self, entries: Sequence[Entry]) -> None:
        """Files with the bytes that they had, whose complaints are all there."""
        known = self.writer.known([one.name for one in entries])
        same = [one for one in entries if self._has_same_bytes(one, known.get(one.name))]
        there = self.writer.stored(
            identity for one in same for identity in known[one.name].identities
        ).keys()
        left_out = [known[one.name] for one in same if there >= set(known[one.name].identities)]
        for one in left_out:
            self._leave_out(one.name, one.records, one.faults)
        self.loaded.files_read += len(left_out)
        names = {one.name for one in left_out}
        self.entries += [one for one in entries if one.name not in names]

    def _has_same_bytes(self, entry: Entry, before: Known | None) -> bool:
        if not before or not before.is_still(entry):
            return False
        try:
            content = folder.read(self.home, entry.name, entry.size)
        except folder.Unreadable:
            return False
        return sha256(content.bytes).hexdigest() == before.sha256

    def _leave_out(self, name: str, count: int, faults: Iterable[Fault]) -> None:
        self.done += 1
        self.loaded.duplicates += count
        self.loaded.add_faults(name, faults)

    def look_up(self, names: Iterable[str]) -> None:
        for name in names:
            self.loaded.files += 1
            try:
                self.entries.append(folder.looked_up(self.company.folder, name))
            except folder.Unreadable as error:
                self.loaded.add_faults(name, [Fault(0, str(error))])

    # --- Their records --------------------------------------------------------------------------

    def read_all(self) -> None:
        self.told(self.done, self.loaded.files)
        self.entries.sort(key=self._by_age)
        batches = read_in_batches(self.company, self.entries)
        for batch in _ahead(batches) if self.writer.reads_ahead else batches:
            if self.stopped():
                return
            self._take(batch)
            self.done += len(batch)
            self.told(self.done, self.loaded.files)

    def _by_age(self, entry: Entry) -> tuple[str, str]:
        if stamp := records.stamp_in(entry.name):
            return stamp, entry.name
        moment = records.moment_of(entry.mtime_ns).astimezone(self.company.zone)
        return f"{moment:%Y%m%dT%H%M%S}", entry.name

    def _take(self, batch: list[Read]) -> None:
        found = sorted(
            (record for file in batch for record in file.latest),
            key=lambda one: (one.extracted_at, one.file_name, one.place),
        )
        if self.dry_run:
            outcome = self._foresee(found)
        else:
            with self.writer.alone():
                outcome = self._write(found)
                _refuse(batch, outcome.refused)
                self._keep(batch)
        self._count(batch, outcome)

    def _foresee(self, found: list[Record]) -> Outcome:
        missing = [one.identity for one in found if one.identity not in self.foreseen]
        self.foreseen.update(self.writer.stored(missing))
        outcome = Outcome()
        while found:
            plan = planned(found, self.foreseen)
            outcome.add(plan)
            found = plan.later
        return outcome

    def _write(self, found: list[Record]) -> Outcome:
        """All but those that the database refuses, which are halved out."""
        for _try in range(TRIES):
            try:
                with self.writer.savepoint():
                    return self._written(found)
            except DatabaseError as error:
                if not is_of_a_record(error):
                    raise
                why = str(error).strip().partition("\n")[0]
        if len(found) == 1:
            return Outcome(refused=[(found[0], sentences.NOT_WRITTEN % {"why": why})])
        half = len(found) // 2
        outcome = self._write(found[:half])
        outcome.join(self._write(found[half:]))
        return outcome

    def _written(self, found: list[Record]) -> Outcome:
        outcome = Outcome()
        while found:
            plan = planned(found, self.writer.stored(one.identity for one in found))
            self.writer.insert(list(plan.inserts.values()))
            self.writer.change(list(plan.changes.values()))
            outcome.add(plan)
            found = plan.later
        return outcome

    # --- What is told and kept ------------------------------------------------------------------

    def _keep(self, batch: Sequence[Read]) -> None:
        known = {one.name: one.known for one in batch if one.known}
        if self.full:
            before = self.writer.known(list(known))
            known = {name: one for name, one in known.items() if one != before.get(name)}
        self.writer.keep(known.values())

    def _count(self, batch: Sequence[Read], outcome: Outcome) -> None:
        loaded = self.loaded
        loaded.inserted += outcome.inserted
        loaded.updated += outcome.updated
        loaded.duplicates += outcome.duplicates
        for one in batch:
            loaded.files_read += one.known is not None
            loaded.duplicates += one.overtaken
            loaded.add_faults(one.name, one.parsed.faults)
            loaded.add_warnings(one.name, one.parsed.warnings)


def _refuse(batch: Iterable[Read], refused: Iterable[tuple[Record, str]]) -> None:
    """Write down at their files what the database did not take."""
    faults = defaultdict(list)
    for record, reason in refused:
        faults[record.file_name].append(Fault(record.place, reason))
    for one in batch:
        if found := faults.get(one.name):
            one.refuse(found)
