"""People to look up, and their tasks on devices: `nueva_base_central` and `imss_queue`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.db.models import Exists, F, OuterRef, Q, QuerySet
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from brain.assigning import DISTRIBUTION
from orchestrator_site import sentences
from orchestrator_site.dashboard.queues.kinds import (
    KEYS,
    Kind,
    Line,
    Run,
    as_number,
    keys,
    line,
    run,
)
from orchestrator_site.models import Pause
from queues import blockers
from queues.models import Generator, NbcRecord, QueueEntry

Status = NbcRecord.Status
Task = QueueEntry.Status
HELD_BY = (Task.PROCESSING, Task.ACCEPTED)


class Lookups(Kind):
    """Its rows are people, since these wait; what is under way and what ended are their tasks."""

    name = "lookups"
    title = gettext_lazy("Queue of lookups")
    model = NbcRecord
    permission = "queues.view_nbcrecord"
    states = (
        Status.PENDING,
        Status.AFTER_MIDNIGHT,
        Status.P1,
        Status.FAILED,
        Status.FOUND,
        Status.SUBDELEGACION,
        Status.NOT_FOUND,
        Status.CANCELLED,
    )
    waiting = (Status.PENDING, Status.AFTER_MIDNIGHT)
    party = gettext_lazy("Generator")
    payload = ("data",)
    known_by = gettext_lazy("CURP, NBC id, rw_id, case id, task, or text of the record")
    wait = gettext_lazy("from being assigned to being called")
    when_empty = gettext_lazy(
        "People come in by import (manage.py importnbc FILE) or over the API (POST /api/v1/nbc/)."
    )

    def parties(self) -> list[tuple[str, str]]:
        names = Generator.objects.order_by("rotation_order").values_list("name", flat=True)
        return [(name, name) for name in names]

    def of_party(self, value: str) -> Q:
        """Who was given to the generator, now or before."""
        return Q(Exists(_tasks().filter(generator_id=value)))

    def with_error(self, value: str) -> Q:
        return Q(Exists(_tasks().filter(error_class=value)))

    def meant(self, text: str) -> list[int]:
        """A CURP or its beginning, an NBC id, an rw_id, a case, or the number of a task."""
        found = keys(NbcRecord.objects.called(text))
        number = as_number(text)
        if found or number is None:
            return found
        tasks = QueueEntry.objects.filter(pk=number).order_by()
        return list(tasks.values_list("nbc_id", flat=True)[:KEYS])

    def lines(self, rows: Sequence[Any], now: datetime) -> list[Line]:
        tasks = _live_tasks(rows)
        is_paused = any(row.status == Status.PENDING for row in rows) and _is_paused()
        found = []
        for row in rows:
            task = tasks.get(row.pk)
            told = _of_task(task, now) if task else _told(row, now, is_paused)
            found.append(line(row, row.curp, row.nbc_id, task.generator_id if task else "", told))
        return found

    def under_way(self) -> QuerySet[Any]:
        tasks = QueueEntry.objects.filter(status__in=HELD_BY).defer("task_data", "result")
        return tasks.order_by("started_at", "pk")

    def runs(self, tasks: Sequence[Any], now: datetime) -> list[Run]:
        return [
            run(
                task,
                now,
                name=task.curp,
                party=task.generator_id,
                step=task.get_status_display(),
                due_at=task.result_due_at,
                device=task.device,
                since=task.called_at or task.started_at or task.created_at,
            )
            for task in tasks
        ]

    def ended(self) -> tuple[QuerySet[Any], Q, Any]:
        rows = QueueEntry.objects.filter(status=Task.COMPLETE).order_by()
        return rows, Q(success=True), F("called_at") - F("created_at")


def _tasks() -> QuerySet[QueueEntry]:
    return QueueEntry.objects.filter(nbc_id=OuterRef("pk")).order_by()


def _live_tasks(people: Sequence[NbcRecord]) -> dict[int, QueueEntry]:
    """By person the task under way, of those who are assigned."""
    assigned = [one.pk for one in people if one.status == Status.P1]
    if not assigned:
        return {}
    tasks = QueueEntry.objects.filter(nbc_id__in=assigned, status__in=QueueEntry.LIVE)
    shown = tasks.select_related("generator").defer("task_data", "result").order_by("pk")
    return {task.nbc_id: task for task in shown}


def _is_paused() -> bool:
    return Pause.of(DISTRIBUTION) is not None


def _told(person: NbcRecord, now: datetime, is_paused: bool) -> str:
    """What the person waits for, or what was said last."""
    said = sentences.told(person.message)
    if person.status not in Lookups.waiting:
        return said
    waits = blockers.of(person, now) or _("nobody has looked yet: the next round will")
    if is_paused and person.status == Status.PENDING:
        waits = _("distribution is paused")
    return f"{waits}. {said}" if said else waits


def _of_task(task: QueueEntry, now: datetime) -> str:
    if task.status == Task.PROCESSING:
        return _("is being posted for device %(device)s") % {"device": task.device}
    if task.status == Task.ACCEPTED and task.result_due_at:
        due = date_format(timezone.localtime(task.result_due_at), "H:i")
        text = _("the scraper has it on %(device)s: result due by %(time)s")
        return text % {"device": task.device, "time": due}
    waits = blockers.of_task(task, now)
    return _("on device %(device)s: %(waits)s") % {"device": task.device, "waits": waits}
