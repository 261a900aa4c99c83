"""The case of a person to look up: its tasks on devices, the calls, the decisions, the result."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from brain.models import Decision
from orchestrator_site.dashboard.case import mirrored, waiting
from orchestrator_site.dashboard.case.facts import Section, State, Table, row_link
from orchestrator_site.dashboard.case.hops import Hop, judged
from orchestrator_site.dashboard.case.told import Asked, Told
from orchestrator_site.sentences import told
from queues import blockers
from queues.models import NbcRecord, QueueEntry, RegistroWork

SEE_PEOPLE, SEE_TASKS = "queues.view_nbcrecord", "queues.view_queueentry"
SEE_DECISIONS, SEE_WORKS = "brain.view_decision", "queues.view_registrowork"
MOST = 50  # tasks of one person
Person, Task = NbcRecord.Status, QueueEntry.Status


def tell(asked: Asked) -> Told:
    may = asked.may
    person = NbcRecord.objects.get(pk=asked.keys["queues.nbcrecord"][0])
    tasks = _tasks(person, may)
    live = next((one for one in reversed(tasks) if one.status in QueueEntry.LIVE), None)
    shown = live or (tasks[-1] if tasks and person.status in NbcRecord.FINAL else None)
    now = timezone.now()
    return Told(
        kind="person",
        kind_title=_("Person"),
        title=person.curp,
        state=State.of(person),
        waits=waiting.of_person(person, live, now) if may(SEE_TASKS) else "",
        hops=_hops(person, shown) if may(SEE_TASKS) else (),
        sections=[
            _of_person(person),
            *_of_tasks(tasks),
            *_of_calls(tasks),
            *(_of_decisions(tasks) if may(SEE_DECISIONS) else ()),
            *(_of_works(person) if may(SEE_WORKS) else ()),
        ],
        rows=[row_link(person), *(row_link(one) for one in tasks[-1:])],
    )


def _tasks(person: NbcRecord, may: Callable[[str], bool]) -> list[QueueEntry]:
    """The latest of them, the oldest first, with their decisions."""
    if not may(SEE_TASKS):
        return []
    rows = QueueEntry.objects.filter(nbc=person).select_related("generator", "decision")
    return list(rows.defer("task_data").order_by("-id")[:MOST])[::-1]


# --- The way --------------------------------------------------------------------------------------


def _hops(person: NbcRecord, task: QueueEntry | None) -> list[Hop]:
    is_over = person.status in NbcRecord.FINAL
    is_lost = person.status == Person.P1 and task is None
    hops = [Hop("imported", _("Imported"), True, person.created_at), *_of_one(task, is_lost)]
    result = person.status in NbcRecord.DONE
    ended = task.processed_at if task and result else None
    hops += [Hop("result", _("Result"), result, ended, told(person.message) if result else "")]
    hops += [mirrored.hop(_documents(person, task), result)]
    dropped = person.status == Person.CANCELLED
    return judged(hops, is_over=is_over, is_dropped=dropped)


def _of_one(task: QueueEntry | None, is_lost: bool) -> list[Hop]:
    """The hops of its task. A result may come before the call is answered, and a worker in Mongo
    tells of no call at all."""
    if task is None:
        titles = (_("Assigned"), _("Device leased"), _("Posted"), _("Accepted"))
        names = ("assigned", "device", "posted", "accepted")
        hops = [Hop(name, title) for name, title in zip(names, titles, strict=True)]
        return [Hop("assigned", _("Assigned"), is_broken=True), *hops[1:]] if is_lost else hops
    by_mongo = task.called_at is None and task.generator.is_worked_from_mongo
    told_of = _("a worker in Mongo") if by_mongo else task.endpoint or task.worker
    began = task.status != Task.ASSIGNED
    posted = task.called_at is not None or (by_mongo and began)
    reported = task.condition is not None and posted and task.success is not None
    accepted = posted and (task.status == Task.ACCEPTED or bool(task.result) or bool(task.success))
    answered = task.answered_at if accepted else None
    said = _("by its result") if reported and not answered else ""
    return [
        Hop("assigned", _("Assigned"), True, task.created_at, task.generator_id),
        Hop("device", _("Device leased"), bool(task.device), task.created_at, task.device),
        Hop("posted", _("Posted"), posted, task.called_at, told_of),
        Hop("accepted", _("Accepted"), accepted or reported, answered, said),
    ]


def _documents(person: NbcRecord, task: QueueEntry | None) -> list[tuple[str, str]]:
    """What the mirror calls its rows."""
    found = [("nbc", person.nbc_id)]
    if task:
        found += [("queue", task.document_id), ("work", task.rw_id)]
    return found


# --- The parts ------------------------------------------------------------------------------------


def _of_person(person: NbcRecord) -> Section:
    is_over = person.status in NbcRecord.FINAL
    facts: dict[str, tuple[str, Any]] = {
        "curp": ("CURP", person.curp),
        "nbc_id": (_("NBC id"), person.nbc_id),
        "status": (_("status"), State.of(person)),
        "message": (_("message"), told(person.message)),
        "result": (_("result"), person.result),
        "attempts": (_("attempts"), person.attempts),
        "bad_requests": (_("refused as bad request"), person.bad_requests or None),
        "priority": (_("priority"), person.priority or None),
        "available_at": (_("not before"), None if is_over else person.available_at),
        "rw_id": (_("work record"), person.rw_id),
        "created_at": (_("created"), person.created_at),
        "data": (_("record"), person.data),
    }
    return Section("person", _("Person"), facts)


def _of_tasks(tasks: Sequence[QueueEntry]) -> list[Section]:
    heads = {
        "task": _("task"),
        "status": _("status"),
        "generator": _("generator"),
        "device": _("device"),
        "created": _("created"),
        "ended": _("ended"),
        "condition": _("condition"),
        "message": _("message"),
    }
    rows = [
        {
            "task": row_link(one, one.pk),
            "status": State.of(one),
            "generator": one.generator_id,
            "device": one.device,
            "created": one.created_at,
            "ended": one.processed_at,
            "condition": one.get_condition_display() if one.condition else None,
            "message": told(one.message),
        }
        for one in tasks
    ]
    empty = _("It was never assigned to a device.")
    return [Section("tasks", _("Tasks"), {}, {"tasks": Table(heads, rows)}, empty=empty)]


def _of_calls(tasks: Sequence[QueueEntry]) -> list[Section]:
    """The HTTP calls to scrapers."""
    heads = {
        "task": _("task"),
        "endpoint": _("endpoint"),
        "worker": _("worker"),
        "called": _("called"),
        "answered": _("answered"),
        "seconds": _("seconds"),
        "due": _("result due"),
        "error": _("error class"),
    }
    rows = [
        {
            "task": row_link(one, one.pk),
            "endpoint": one.endpoint,
            "worker": one.worker,
            "called": one.called_at,
            "answered": one.answered_at,
            "seconds": _seconds(one),
            "due": one.result_due_at,
            "error": one.get_error_class_display(),
        }
        for one in tasks
        if one.called_at
    ]
    return [Section("calls", _("Calls to scrapers"), {}, {"calls": Table(heads, rows)})]


def _seconds(task: QueueEntry) -> float | None:
    if not (task.called_at and task.answered_at):
        return None
    return round((task.answered_at - task.called_at).total_seconds(), 2)


def _of_decisions(tasks: Sequence[QueueEntry]) -> list[Section]:
    heads = {
        "at": _("at"),
        "decision": _("decision"),
        "went_to": _("generator"),
        "device": _("device"),
        "batch": _("batch"),
        "passed": _("passed over"),
    }
    found = [decision for one in tasks if (decision := _decision(one))]
    rows = [
        {
            "at": one.created_at,
            "decision": row_link(one, _("Why here")),
            "went_to": one.generator_id,
            "device": one.device,
            "batch": one.batch_id,
            "passed": _passed(one),
        }
        for one in found
    ]
    return [Section("decisions", _("Decisions"), {}, {"decisions": Table(heads, rows)})]


def _decision(task: QueueEntry) -> Decision | None:
    """A task that no distributor made has none."""
    try:
        return task.decision
    except Decision.DoesNotExist:
        return None


def _passed(decision: Decision) -> str:
    """Why others were passed over, in words."""
    slots = {one["name"]: one["slots"] for one in decision.choice.get("contenders", ())}
    passed = [[name, why, slots.get(name, 0)] for name, why in decision.choice.get("passed", ())]
    return blockers.describe({"kind": "nobody", "passed": passed})


def _of_works(person: NbcRecord) -> list[Section]:
    heads = {
        "rw_id": _("work record"),
        "condition": _("condition"),
        "began": _("began"),
        "ended": _("ended"),
        "message": _("message"),
    }
    rows = [
        {
            "rw_id": row_link(one, one.rw_id),
            "condition": one.condition,
            "began": one.i_date,
            "ended": one.f_date,
            "message": told(one.message),
        }
        for one in RegistroWork.objects.filter(nbc=person).order_by("-id")[:MOST]
    ]
    return [Section("works", _("Work records"), {}, {"works": Table(heads, rows[::-1])})]
