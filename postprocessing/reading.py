"""Files read, and what is made of them: about a thousand records at a time. Knows no database."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from hashlib import sha256
from typing import NamedTuple

from django.conf import settings

from postprocessing import folder, records
from postprocessing.companies import Company
from postprocessing.folder import Entry
from postprocessing.records import Fault, Parsed, Record

BATCH = 1000  # files, or records
BATCH_BYTES = 4 * 2**20


class Known(NamedTuple):
    """A file as it was when it was last read. `records`: those that are in the table."""

    name: str
    size: int
    mtime_ns: int
    sha256: str
    records: int
    identities: tuple[str, ...]  # what their complaints are known by
    faults: tuple[Fault, ...]

    def is_still(self, entry: Entry) -> bool:
        """Whether it need not be read."""
        return self.mtime_ns == entry.mtime_ns and self.size == entry.size and entry.is_regular


class Stamp(NamedTuple):
    """By what a file is known to be the same. `sha256`: "" where it was not read."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass
class Read:
    """A file that was read, or could not be. `stamp`: None where nothing is to be known of it: the
    next load tries again."""

    name: str
    stamp: Stamp | None
    parsed: Parsed
    refused: int = 0  # of its records, by the database

    @property
    def latest(self) -> list[Record]:
        """Of the records of one complaint the last one."""
        return self.parsed.records if len(self.parsed.records) < 2 else self._last_of_each

    @cached_property
    def _last_of_each(self) -> list[Record]:
        ordered = sorted(self.parsed.records, key=lambda one: (one.extracted_at, one.place))
        return list({one.identity: one for one in ordered}.values())

    @property
    def overtaken(self) -> int:
        """Records of which the file has a later one."""
        return len(self.parsed.records) - len(self.latest)

    @property
    def known(self) -> Known | None:
        """What will be known of it."""
        if self.stamp is None:
            return None
        found = self.parsed.records
        return Known(
            self.name,
            *self.stamp,
            len(found) - self.refused,
            tuple(dict.fromkeys([one.identity for one in found])),
            tuple(self.parsed.faults),
        )

    def refuse(self, faults: Sequence[Fault]) -> None:
        """As the database did."""
        self.parsed.faults.extend(faults)
        self.refused += len(faults)


class Source(NamedTuple):
    """Where files are read: `home` is the company's folder, `limit` the bytes that one may have."""

    home: str
    limit: int
    company: Company


def source_of(company: Company) -> Source:
    return Source(str(company.folder), settings.PQR_MAX_FILE_BYTES, company)


def read_in_batches(company: Company, entries: Iterable[Entry]) -> Iterator[list[Read]]:
    """The files, read: about a thousand records at a time, and no more bytes than few files may
    have."""
    return batches(source_of(company), entries)


def batches(source: Source, entries: Iterable[Entry]) -> Iterator[list[Read]]:
    batch: list[Read] = []
    count = size = 0
    for entry in entries:
        batch.append(one := _read(source, entry))
        count += len(one.parsed.records)
        size += one.stamp.size if one.stamp and one.stamp.sha256 else 0
        if count >= BATCH or len(batch) >= BATCH or size >= BATCH_BYTES:
            yield batch
            batch, count, size = [], 0, 0
    if batch:
        yield batch


def _read(source: Source, entry: Entry) -> Read:
    if entry.problem:
        return _not_read(entry.name, entry.problem)
    try:
        data, mtime_ns = folder.read(source.home, entry.name, source.limit)
    except folder.TooLarge as error:
        return _not_read(entry.name, str(error), Stamp(error.size, error.mtime_ns, ""))
    except folder.Unreadable as error:
        return _not_read(entry.name, str(error))
    stamp = Stamp(len(data), mtime_ns, sha256(data).hexdigest())
    return Read(entry.name, stamp, records.parse(data, entry.name, source.company, mtime_ns))


def _not_read(name: str, reason: str, stamp: Stamp | None = None) -> Read:
    return Read(name, stamp, Parsed([], [Fault(0, reason)], []))
