"""People to look up from a file (see `queues.documents`), with a report for each of them."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from io import TextIOWrapper
from typing import IO, Any

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from orchestrator_site import waking
from orchestrator_site.models import Event
from queues import curp, documents, sentences
from queues.documents import Document, Malformed, Unit
from queues.models import NbcRecord

__all__ = ["Line", "Malformed", "Outcome", "Report", "import_people"]

COLUMNS = ("curp", "nbc_id", "_id", "priority")  # the rest is the person's data
BATCH = 500
LISTED = 1000  # refusals that a report keeps
ID_LENGTH = 64
HIGHEST_PRIORITY = 2**15 - 1
TWICE = {
    Unit.LINE: gettext_lazy("there already, on line %(line)d"),
    Unit.ELEMENT: gettext_lazy("there already, as element %(element)d"),
}


class Outcome(StrEnum):
    CREATED = "created"
    DUPLICATE = "duplicate"
    REFUSED = "refused"


@dataclass(frozen=True)
class Line:
    """What became of one line, or of one element of a list. `field`: where its fault is, empty
    where it is all of it."""

    number: int
    outcome: str
    nbc_id: str = ""
    field: str = ""
    reason: str = ""
    unit: str = Unit.LINE


@dataclass
class Report:
    """The lines counted by outcome, and the first of those that were refused."""

    dry_run: bool = False
    counts: Counter[str] = field(default_factory=Counter)
    refused: list[Line] = field(default_factory=list)

    def add(self, line: Line) -> None:
        self.counts[line.outcome] += 1
        if line.outcome == Outcome.REFUSED and len(self.refused) < LISTED:
            self.refused.append(line)

    def as_dict(self) -> dict[str, Any]:
        return {
            "dry_run": self.dry_run,
            **{outcome.value: self.counts[outcome] for outcome in Outcome},
            "refused_lines": [vars(line) for line in self.refused],
        }


class Refused(Exception):
    """A document that is nobody to look up; the text says why, `field` where."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(reason)
        self.field = field


def import_people(
    file: IO[bytes],
    source: str,
    kind: str = "",
    *,
    dry_run: bool = False,
    told: Callable[[Line], object] = lambda line: None,
) -> Report:
    """Create the people of a file; `told` hears of each line, in order. `source` is written down
    with them. Raises Malformed where nothing of the file can be used.

    A line with an nbc_id that is there already changes nothing; nor does one without an nbc_id
    whose person is waiting or under way. So the same file may come again.
    """
    report = Report(dry_run)
    text = TextIOWrapper(file, "utf-8-sig", "surrogateescape", newline="")
    try:
        found = documents.read(text, kind, columns=COLUMNS, required="curp")
        for batch in _batches(_judged(found)):
            for line in _put(batch, source, dry_run):
                report.add(line)
                told(line)
    finally:
        text.detach()  # the file is its owner's to close
    return report


# --- What a line says -------------------------------------------------------------------------


@dataclass(frozen=True)
class _Person:
    """A line that can be taken. Where it names no nbc_id its row gets a new one."""

    document: Document
    is_named: bool
    row: NbcRecord


def _judged(found: Iterable[Document]) -> Iterator[_Person | Line]:
    seen: dict[tuple[str, str], int] = {}
    for document in found:
        try:
            yield _person(document, seen)
        except Refused as error:
            nbc_id = document.values.get("nbc_id") or document.values.get("_id") or ""
            yield Line(
                document.place,
                Outcome.REFUSED,
                str(nbc_id)[:ID_LENGTH],
                error.field,
                str(error),
                document.unit,
            )


def _person(document: Document, seen: dict[tuple[str, str], int]) -> _Person:
    """`seen`: at which place each nbc_id and each CURP was first."""
    if document.problem:
        raise Refused("", document.problem)
    nbc_id = _nbc_id(document.values)
    row = person(nbc_id, document.values)
    _check_first(document, row.curp, nbc_id, seen)
    return _Person(document, bool(nbc_id), row)


def person(nbc_id: str, values: Mapping[str, Any]) -> NbcRecord:
    """The unsaved row of a document; without an nbc_id it gets a new one. Raises Refused."""
    number = _curp(values.get("curp"))
    data = {key: value for key, value in values.items() if key not in COLUMNS}
    row = NbcRecord(
        curp=number,
        priority=_priority(values.get("priority")),
        data={"curp": number, **data},
    )
    row.nbc_id = nbc_id or row.nbc_id
    return row


def _check_first(
    document: Document, number: str, nbc_id: str, seen: dict[tuple[str, str], int]
) -> None:
    """A person may be there twice under two nbc_ids, but not twice without one."""
    places = {"curp": seen.setdefault(("curp", number), document.place)}
    if nbc_id:
        places["nbc_id"] = seen.setdefault(("nbc_id", nbc_id), document.place)
    name = "nbc_id" if nbc_id else "curp"
    if places[name] != document.place:
        raise Refused(name, TWICE[document.unit] % {document.unit.value: places[name]})


def _curp(value: Any) -> str:
    if value in (None, ""):
        raise Refused("curp", _("missing"))
    if not isinstance(value, str):
        raise Refused("curp", _("must be a text"))
    try:
        return curp.check(value)
    except curp.InvalidCurp as error:
        raise Refused("curp", str(error)) from error


def _nbc_id(values: Mapping[str, Any]) -> str:
    """By either of its names; empty where there is none."""
    found = {name: _id(name, values.get(name)) for name in ("nbc_id", "_id")}
    if len(set(found.values()) - {""}) > 1:
        raise Refused("nbc_id", _("is not the same as _id"))
    return found["nbc_id"] or found["_id"]


def _id(name: str, value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise Refused(name, _("must be a text or a whole number"))
    text = str(value).strip()
    if len(text) > ID_LENGTH:
        raise Refused(name, _("longer than %(most)d characters") % {"most": ID_LENGTH})
    return text


def _priority(value: Any) -> int:
    if value in (None, ""):
        return 0
    number: Any = None
    with contextlib.suppress(ValueError):
        number = int(value) if isinstance(value, str) else value
    if type(number) is not int or abs(number) > HIGHEST_PRIORITY:
        told = _("must be a whole number from -%(most)d to %(most)d")
        raise Refused("priority", told % {"most": HIGHEST_PRIORITY})
    return number


# --- What is written --------------------------------------------------------------------------


def _batches(found: Iterator[_Person | Line]) -> Iterator[list[_Person | Line]]:
    batch: list[_Person | Line] = []
    for one in found:
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _put(batch: Sequence[_Person | Line], source: str, dry_run: bool) -> Iterator[Line]:
    people = [one for one in batch if isinstance(one, _Person)]
    with transaction.atomic():
        waiting = _waiting({one.row.curp for one in people if not one.is_named})
        new = [one.row for one in people if one.is_named or one.row.curp not in waiting]
        created = create(new, source)
        if dry_run:
            transaction.set_rollback(True)
    for one in batch:
        yield one if isinstance(one, Line) else _line(one, created)


def _waiting(curps: set[str]) -> set[str]:
    """Those of the CURPs whose person is waiting or under way."""
    if not curps:
        return set()
    there = NbcRecord.objects.filter(curp__in=curps).exclude(status__in=NbcRecord.FINAL)
    return set(there.values_list("curp", flat=True))


def create(rows: Sequence[NbcRecord], source: str) -> set[str]:
    """Insert those whose nbc_id is not there yet, whoever inserts at the same moment; returns the
    nbc_ids that this call made."""
    NbcRecord.objects.bulk_create(rows, ignore_conflicts=True)
    ours = {row.case_id for row in rows}
    there = NbcRecord.objects.filter(nbc_id__in=[row.nbc_id for row in rows])
    made = [row for row in there.only("nbc_id", "case_id") if row.case_id in ours]
    Event.record(made, "", NbcRecord.Status.PENDING, sentences.IMPORTED % {"source": source})
    if made:
        waking.notify(NbcRecord._meta.db_table)
    return {row.nbc_id for row in made}


def _line(person: _Person, created: set[str]) -> Line:
    nbc_id, place, unit = person.row.nbc_id, person.document.place, person.document.unit
    if nbc_id in created:
        return Line(place, Outcome.CREATED, nbc_id, unit=unit)
    if person.is_named:
        return Line(place, Outcome.DUPLICATE, nbc_id, "nbc_id", _("there already"), unit)
    told = _("this person waits, or is under way, already")
    return Line(place, Outcome.DUPLICATE, "", "curp", told, unit)
