"""The sealer: what people did and changed becomes entries of the audit, each with a hash over
itself and the entry before. `verify` recomputes them all.

What nobody can do unseen: change an entry, take one out, put one in, change the event or version
that it is of. To cut off the end of the chain leaves a chain that is whole: that is seen by
whoever kept a head (`NUMBER:HASH`) elsewhere.
"""

from __future__ import annotations

import hashlib
import heapq
import json
import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, timedelta
from itertools import islice
from typing import Any, NamedTuple

from django.core.cache import cache
from django.db import IntegrityError, transaction
from django.db.models import Max

from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.audit_sources import Found, source_of, sources
from orchestrator_site.clock import db_now
from orchestrator_site.models import AuditEntry, Event, Lease
from orchestrator_site.models.event import Note
from orchestrator_site.sessions import me

logger = logging.getLogger(__name__)
SEALER = "audit"
COLLECTED = "audit-collected"  # a key of the cache
STALE = timedelta(seconds=90)
LEASE = timedelta(seconds=60)
RENEW_EVERY = 10.0  # seconds
BATCH = 500  # entries a transaction
# What was committed later than what is sealed already; no transaction of ours takes as long.
LOOK_BACK = timedelta(hours=1)
GENESIS = "0" * 64  # the hash before the first
VERIFIED, BROKEN = "verified", "broken"
READ_AT_ONCE = 1000  # entries
HASHED = (
    *("number", "actor_kind", "actor", "action", "object_type", "object_id", "object_name"),
    *("before", "after", "reason", "source", "source_id", "previous"),
)


class Head(NamedTuple):
    """The last entry: to be kept where who could change the database cannot."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Raises ValueError."""
        number, _colon, digest = text.strip().partition(":")
        if not number.isdecimal() or len(digest) != 64 or set(digest) - set("0123456789abcdef"):
            raise ValueError("a head is NUMBER:HASH, as verifyaudit prints it")
        return cls(int(number), digest)


# --- Sealing --------------------------------------------------------------------------------------


def tick() -> int | None:
    """Seal what happened; None where another process does it at this moment."""
    with acting_as(ActorKind.SYSTEM, SEALER):
        return collect()


def collect_if_late(most: int) -> None:
    """As `collect`, where nobody has within a tick's minute: no cluster works."""
    if cache.add(COLLECTED, True, STALE.total_seconds()):
        collect(most)


def collect(most: int | None = None) -> int | None:
    """Make entries of what has none yet, at most so many; returns how many, or None while another
    process does it."""
    lease = Lease.acquire(SEALER, me(SEALER), LEASE)
    if lease is None:
        return None
    try:
        cache.set(COLLECTED, True, STALE.total_seconds())
        return sum(_sealed(lease, most))
    finally:
        lease.release()


def head() -> Head:
    """Number 0 where there is no entry yet."""
    last = AuditEntry.objects.values_list("number", "hash").first()
    return Head(*last) if last else Head(0, GENESIS)


def digest(entry: AuditEntry) -> str:
    """SHA-256 over the entry's fields and the hash before, as canonical JSON."""
    told: dict[str, Any] = {name: getattr(entry, name) for name in HASHED}
    told["at"] = entry.at.astimezone(UTC).isoformat(timespec="microseconds")
    told["case_id"] = str(entry.case_id) if entry.case_id else None
    text = json.dumps(told, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def _sealed(lease: Lease, most: int | None) -> Iterator[int]:
    renewed = time.monotonic()
    for batch in _batches(_unsealed(), most):
        try:
            yield _seal(batch)
        except IntegrityError:  # our lease ran out, and another goes on from here
            logger.warning("another process seals the audit")
            return
        if time.monotonic() - renewed >= RENEW_EVERY:
            renewed = time.monotonic()
            if not lease.renew(LEASE):
                return


def _unsealed() -> Iterator[Found]:
    """What no entry is of, of all sources, oldest first. Not what lies in the future: a host whose
    clock is wrong would move the time from which we look."""
    until = db_now()
    last = AuditEntry.objects.aggregate(at=Max("at"))["at"]
    since = last - LOOK_BACK if last else None
    streams = (source.unsealed(since, until) for source in sources())
    return heapq.merge(*streams, key=lambda found: found.order)


def _batches(found: Iterator[Found], most: int | None) -> Iterator[list[Found]]:
    found = islice(found, most)
    while batch := list(islice(found, BATCH)):
        yield batch


def _seal(batch: Iterable[Found]) -> int:
    with transaction.atomic():
        last, entries = head(), []
        for found in batch:
            entry = AuditEntry(number=last.number + 1, previous=last.hash, **vars(found))
            entry.hash = digest(entry)
            last = Head(entry.number, entry.hash)
            entries.append(entry)
        AuditEntry.objects.bulk_create(entries)
    return len(entries)


# --- Verifying ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Break:
    """The first link that does not hold. `kind`: gap, order, hash, source or head."""

    number: int
    kind: str
    text: str


@dataclass(frozen=True)
class Verdict:
    """`entries`: how many were looked at; `sources`: with how many events, versions and lines
    they were compared, of which the others are no more."""

    entries: int
    sources: int
    head: Head
    broken: Break | None


def verify(
    kept: Head | None = None, advance: Callable[[int], object] = lambda count: None
) -> Verdict:
    """Recompute every link up to the present head, and compare each entry with its source.

    `kept`: a head of before, which must still stand. `advance` is told how many more entries were
    gone through.
    """
    end = head()
    before, count, compared = Head(0, GENESIS), 0, 0
    broken: Break | None = None
    for entries in _in_chunks(end.number):
        wrong, looked_up = _source_breaks(entries)
        compared += looked_up
        for entry in entries:
            broken = _link_break(entry, before, kept) or wrong.get(entry.number)
            if broken:
                return Verdict(count, compared, end, broken)
            before, count = Head(entry.number, entry.hash), count + 1
        advance(len(entries))
    if kept is not None and kept.number > end.number:
        broken = Break(kept.number, "head", f"the chain ends at {end.number}: its end is gone")
    return Verdict(count, compared, end, broken)


def note(verdict: Verdict) -> None:
    """Write down, as an event of who asked, that it was verified and what came out."""
    broken = verdict.broken
    data = {"head": str(verdict.head), "entries": verdict.entries}
    told = f"{broken.number}: {broken.kind}: {broken.text}" if broken else ""
    state = BROKEN if broken else VERIFIED
    Note.of(AuditEntry, "", state, told, data).write([(None, verdict.head.number)])


def last_verified() -> Event | None:
    kind = AuditEntry._meta.label_lower
    events = Event.objects.filter(object_type=kind, new__in=(VERIFIED, BROKEN))
    return events.order_by("-id").first()


def _in_chunks(until: int) -> Iterator[list[AuditEntry]]:
    last = 0
    while True:
        rows = AuditEntry.objects.filter(number__gt=last, number__lte=until).order_by("number")
        if not (chunk := list(rows[:READ_AT_ONCE])):
            return
        yield chunk
        last = chunk[-1].number


def _link_break(entry: AuditEntry, before: Head, kept: Head | None) -> Break | None:
    number, expected = entry.number, before.number + 1
    if number != expected:
        gone = f"{expected}" if number == expected + 1 else f"{expected} to {number - 1}"
        return Break(expected, "gap", f"there is no entry {gone}")
    if entry.previous != before.hash:
        return Break(number, "order", f"it does not follow entry {before.number} as that is now")
    if entry.hash != digest(entry):
        return Break(number, "hash", "its fields are not what was sealed")
    if kept is not None and kept.number == number and kept.hash != entry.hash:
        return Break(number, "head", "it is not the entry whose hash was kept")
    return None


def _source_breaks(entries: Iterable[AuditEntry]) -> tuple[dict[int, Break], int]:
    """Of the entries that are not what their sources say; and how many sources are there."""
    by_source: dict[str, list[AuditEntry]] = {}
    for entry in entries:
        by_source.setdefault(entry.source, []).append(entry)
    wrong: dict[int, list[str]] = {}
    for name, some in by_source.items():
        if source := source_of(name):
            wrong |= source.differences(some)
    breaks = {
        number: Break(number, "source", f"what it was made of says otherwise: {', '.join(names)}")
        for number, names in wrong.items()
        if names
    }
    return breaks, len(wrong)
