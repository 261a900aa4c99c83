"""What becomes of a record, by what is there of its complaint. Pure.

- Its content is there: a **duplicate**;
- its `numero_radicado` is there (without one: its `hash_registro`), with other content: an
  **update**, if it was not extracted before what is there; else a duplicate too. So the order of
  files does not matter, and to load them all again changes nothing. Of records extracted at the
  same time the one of the greater file name counts, in one file the later one;
- else it is **inserted**.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from postprocessing.records import Record


class Stored(NamedTuple):
    """What is there of a complaint. `id`: 0 where it is only about to be written."""

    id: int
    identity: str
    content_hash: str
    age: tuple[datetime, str]


class Change(NamedTuple):
    """A newer extraction of a row that is there. `is_told`: what the company says has changed."""

    id: int
    record: Record
    is_told: bool


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
    """`found` is in the order of extraction. `stored` is what is there, and afterwards what will
    be."""
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
            pk = before.id if before else 0
            _add(plan, decision, record, identity, pk)
            stored[identity] = Stored(pk, identity, record.content_hash, record.age)
    return plan


def _add(plan: Plan, decision: Decision, record: Record, identity: str, pk: int) -> None:
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
