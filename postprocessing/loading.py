"""A company's files into its table: only what is new or has changed, unless all is asked for.

Files are read oldest extraction first, and written in batches of about a thousand, each in one
transaction with what is known of its files: wherever a load is killed, the next one goes on.

A file that has the size and the time that it had is not opened: its records count as duplicates,
its faults as errors. They are told until the file changes: nobody has seen to them.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from hashlib import sha256
from itertools import islice
from typing import TypeVar

from django.db import DatabaseError

from postprocessing import folder, reader, reading, records, sentences
from postprocessing.companies import Company
from postprocessing.deciding import Outcome, Stored, planned
from postprocessing.folder import Entry, FileFault
from postprocessing.reading import Known, Read
from postprocessing.records import Fault, Record
from postprocessing.writer import writer_of
from postprocessing.writing import (
    NO_FAULTS,
    Remembered,
    Writer,
    faults_of,
    is_of_a_record,
)

T = TypeVar("T")
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
        for chunk in _chunks(entries, reading.BATCH):
            if self.stopped():
                return
            self.loaded.files += len(chunk)
            if self.full:
                self._leave_out_same(chunk)
                self.told(self.done, self.loaded.files)
            else:
                self._leave_out_unchanged(chunk, remembered)

    def _leave_out_unchanged(
        self, entries: Iterable[Entry], remembered: Mapping[str, Remembered]
    ) -> None:
        """By size and time. Nearly all files of nearly all loads come by here."""
        for entry in entries:
            name, size, mtime_ns, is_regular = entry
            before = remembered.get(name)
            if not before or before[1] != size or before[2] != mtime_ns or not is_regular:
                self.entries.append(entry)
            else:
                self._leave_out(name, before[3], before[4])

    def _leave_out_same(self, entries: Sequence[Entry]) -> None:
        """Files with the bytes that they had, whose complaints are all there."""
        remembered = self.writer.known([one.name for one in entries])
        same = [
            before
            for one in entries
            if (before := remembered.get(one.name)) and self._has_same_bytes(one, before)
        ]
        there = self.writer.there(identity for one in same for identity in one.identities)
        left_out = [one for one in same if there.issuperset(one.identities)]
        for one in left_out:
            self._leave_out(one.name, one.records, one.faults)
        self.loaded.files_read += len(left_out)
        names = {one.name for one in left_out}
        self.entries += [one for one in entries if one.name not in names]

    def _has_same_bytes(self, entry: Entry, before: Known) -> bool:
        if not before.is_still(entry):
            return False
        try:
            content = folder.read(self.home, entry.name, entry.size)
        except folder.Unreadable:
            return False
        return sha256(content.bytes).hexdigest() == before.sha256

    def _leave_out(self, name: str, count: int, faults: str | Sequence[Fault]) -> None:
        """`faults`: also as they are stored."""
        self.done += 1
        self.loaded.duplicates += count
        if faults and faults != NO_FAULTS:
            told = faults_of(faults) if isinstance(faults, str) else faults
            self.loaded.add_faults(name, told)

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
        with closing(reader.read_in_batches(self.company, self.entries)) as batches:
            for batch in batches:
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
        known = {one.name: one for file in batch if (one := file.known)}
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
            loaded.files_read += one.stamp is not None
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
