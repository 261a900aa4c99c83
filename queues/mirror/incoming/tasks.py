"""What old workers and scrapers write into the documents of tasks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any

from django.db.models import QuerySet

from orchestrator_site.clock import db_now
from queues import results, sentences
from queues.mirror.incoming.comparing import is_unlike, marked, write_back, write_differing
from queues.mirror.incoming.refusing import Refusals, Unreadable, shown
from queues.mirror.incoming.values import flag, whole
from queues.mirror.kinds import (
    MINI,
    NBC,
    WORKS,
    nbc_document,
    object_id,
    queue_document,
    work_document,
)
from queues.models import DistributionConfig, Generator, QueueEntry, RegistroWork
from queues.results import MovedOn, Report

AT_ONCE = 200
LATE = timedelta(hours=1)  # after its end without a result, in which a task's may still come
KNOWN = ("Assigned", "Processing", "Complete")
COMPLETE = "Complete"
Status = QueueEntry.Status
# What is large in them is neither read nor compared.
ENTRIES = QueueEntry.objects.select_related("nbc").defer(
    "task_data", "result", "error_log", "nbc__data", "nbc__result", "nbc__blocker"
)
Said = Mapping[str, Any]  # a document, or {} where there is none


def results_of_living() -> int:
    """Of tasks that are not done here: those begun, those ended, and what is written back."""
    living = ENTRIES.filter(status__in=QueueEntry.LIVE)
    return sum(_take_in(generator, entries) for generator, entries in _portions(living))


def late_results() -> int:
    """Of tasks that ended without one: it counts no more, and is overwritten. Nothing is taken
    in, so the answer is 0."""
    ended = ENTRIES.filter(
        status=Status.COMPLETE,
        processed_at__gte=db_now() - LATE,
        called_at__isnull=False,
        result={},
    )
    for generator, entries in _portions(ended):
        _refuse_late(generator, entries)
    return 0


def _portions(rows: QuerySet[QueueEntry]) -> Iterator[tuple[Generator, list[QueueEntry]]]:
    for generator in Generator.objects.all():
        entries = list(rows.filter(generator=generator))
        for entry in entries:
            entry.generator, entry.task_data, entry.nbc.data = generator, {}, {}
        for start in range(0, len(entries), AT_ONCE):
            yield generator, entries[start : start + AT_ONCE]


def _refusals(generator: Generator) -> Refusals:
    return Refusals((MINI, generator.queue_collection))


def _said(refusals: Refusals, entries: Sequence[QueueEntry]) -> dict[str, Said]:
    """The tasks' documents by their ids."""
    wanted = {"_id": {"$in": [object_id(one.document_id) for one in entries]}}
    found = refusals.documents(wanted, {"task_data": 0})
    return {str(one["_id"]): one for one in found}


# --- Living tasks ---------------------------------------------------------------------------------


def _take_in(generator: Generator, entries: Sequence[QueueEntry]) -> int:
    refusals = _refusals(generator)
    said = _said(refusals, entries)
    wanted = {"rw_id": {"$in": [one.rw_id for one in entries]}}
    works: dict[Any, Said] = {one["rw_id"]: one for one in Refusals(WORKS).documents(wanted)}
    taken = 0
    for entry in entries:
        if document := said.get(entry.document_id):
            news = _News(entry, document, works.get(entry.rw_id, {}))
            taken += refusals.judge(document, news.take_in)
    _write_back(entries, said, works)
    return taken


class _News:
    """A task, and what its document and its work record say of it."""

    def __init__(self, entry: QueueEntry, said: Said, work: Said) -> None:
        self.entry, self.said, self.work = entry, said, work

    def take_in(self) -> bool:
        """True where something was news. Raises Unreadable and InvalidReport."""
        status = self.said.get("Status")
        if status not in KNOWN:
            raise Unreadable(sentences.UNKNOWN_STATUS % {"value": shown(status)})
        if COMPLETE in (status, self.work.get("Status")):
            return end(self.entry, report_of(self.said, self.work))
        is_begun = status == "Processing" and _is_left_to_mongo(self.entry)
        return is_begun and _begin(self.entry)


def _is_left_to_mongo(entry: QueueEntry) -> bool:
    """Worked from there, or so until a moment ago: while it rests, none of ours takes it."""
    return entry.generator.is_worked_from_mongo or entry.available_at > db_now()


def _begin(entry: QueueEntry) -> bool:
    """An old worker took it: its result is waited for as for one of ours."""
    if entry.status != Status.ASSIGNED:
        return False
    now = db_now()
    due = now + DistributionConfig.current().minutes("result")
    told = sentences.TAKEN_IN_MONGO
    return entry.move(Status.ACCEPTED, told, called_at=now, answered_at=now, result_due_at=due)


def end(entry: QueueEntry, report: Report) -> bool:
    """False where it changes nothing. An old worker may have taken and finished the task between
    two looks; one of ours that is just about to call is left to it."""
    _begin(entry)
    if not entry.called_at:
        return False
    try:
        return results.take_in(entry.document_id, report)
    except MovedOn:
        return False


def report_of(said: Said, work: Said) -> Report:
    """Of whichever says that the task is complete; where neither has a condition, by its
    success. Raises Unreadable and InvalidReport."""
    told = [said, work] if said.get("Status") == COMPLETE else [work, said]
    conditions = [one["Condition"] for one in told if one.get("Condition") is not None]
    condition = whole(conditions[0]) if conditions else _by_success(said)
    if type(condition) is not int:
        raise Unreadable(sentences.CONDITION_NO_NUMBER % {"value": shown(condition)})
    message = next((one["Message"] for one in told if one.get("Message")), "")
    if not isinstance(message, str):
        raise Unreadable(sentences.MESSAGE_NO_TEXT % {"value": shown(message)})
    return Report(condition, message)


def _by_success(said: Said) -> int:
    success = flag(said, "success")
    if success is None:
        raise Unreadable(sentences.COMPLETE_WITHOUT)
    return int(QueueEntry.Condition.FOUND if success else QueueEntry.Condition.ERROR)


def _write_back(
    entries: Sequence[QueueEntry], said: Mapping[str, Said], works: Mapping[Any, Said]
) -> None:
    """An assignment is ours to say: the task, its work record and the person's status."""
    write_differing("queue", {one.document_id: queue_document(one) for one in entries}, said)
    rows = RegistroWork.objects.filter(rw_id__in=[one.rw_id for one in entries])
    write_differing("work", {row.rw_id: work_document(row) for row in rows}, works)
    people = {one.nbc.nbc_id: nbc_document(one.nbc) for one in entries}
    wanted = {"_id": {"$in": [object_id(nbc_id) for nbc_id in people]}}
    there = Refusals(NBC).documents(wanted, {"imss": 1})
    write_differing("nbc", people, {str(one["_id"]): one for one in there})


# --- Those that ended without a result ------------------------------------------------------------


def _refuse_late(generator: Generator, entries: Sequence[QueueEntry]) -> None:
    refusals = _refusals(generator)
    said = _said(refusals, entries)
    unlike = {
        one.document_id: one
        for one in entries
        if (document := said.get(one.document_id)) and is_unlike(queue_document(one), document)
    }
    for key in unlike.keys() - marked("queue", unlike):
        if said[key].get("Status") == COMPLETE:
            refusals.judge(said[key], _Late(unlike[key], said[key]).refuse)
    write_back("queue", unlike)


class _Late:
    def __init__(self, entry: QueueEntry, said: Said) -> None:
        self.entry, self.said = entry, said

    def refuse(self) -> bool:
        """It is written down among the task's events."""
        return end(self.entry, report_of(self.said, {}))
