"""Appeals to file: `tramite_queue`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db.models import F, Q, QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from brain.models import Claim, Organismo
from devices.models.worker import ALIVE, Worker
from orchestrator_site import sentences
from orchestrator_site.dashboard.queues.kinds import (
    KEYS,
    Kind,
    Line,
    Run,
    as_number,
    as_uuid,
    keys,
    later,
    line,
    run,
)
from queues import blockers
from queues.models import TramiteTask

Status = TramiteTask.Status


class Appeals(Kind):
    name = "appeals"
    title = gettext_lazy("Queue of appeals")
    model = TramiteTask
    permission = "queues.view_tramitetask"
    states = (
        Status.HELD,
        Status.PENDING,
        Status.PROCESSING,
        Status.IN_DOUBT,
        Status.COMPLETED,
        Status.COMPLETED_WITH_ERRORS,
        Status.FAILED,
        Status.CANCELLED,
    )
    waiting = (Status.PENDING, Status.HELD, Status.IN_DOUBT)
    party = gettext_lazy("Organismo")
    party_field = "site_id"
    payload = ("payload",)
    known_by = gettext_lazy("expediente, idRecurso, case id, or text of the payload")
    wait = gettext_lazy("from being queued to being taken by a worker")
    when_empty = gettext_lazy("The brain puts appeals here as soon as it has claimed their cases.")

    def rows(self) -> QuerySet[Any]:
        return super().rows().defer("script", "attachments", "result")

    def parties(self) -> list[tuple[str, str]]:
        names = Organismo.objects.order_by("site_id").values_list("site_id", flat=True)
        return [(name, name) for name in names]

    def meant(self, text: str) -> list[int]:
        """An idRecurso, a case, or what claims are known by."""
        if (case := as_uuid(text)) is not None:
            return keys(self.rows().filter(case_id=case))
        if (number := as_number(text)) is not None:
            return keys(self.rows().filter(resource_id=number))
        claims = Claim.objects.called(text).order_by("-id").values("resource_id")[:KEYS]
        return keys(self.rows().filter(resource_id__in=claims))

    def lines(self, rows: Sequence[Any], now: datetime) -> list[Line]:
        is_waiting = any(row.status == Status.PENDING for row in rows)
        is_worked = not is_waiting or _is_worked(now)
        return [
            line(row, row.expediente or row.resource_id, row.resource_id, row.site_id, told)
            for row in rows
            for told in [_told(row, now, is_worked)]
        ]

    def under_way(self) -> QuerySet[Any]:
        return self.rows().filter(status=Status.PROCESSING).order_by("started_at", "pk")

    def runs(self, tasks: Sequence[Any], now: datetime) -> list[Run]:
        return [
            run(
                task,
                now,
                name=task.expediente or task.resource_id,
                party=task.site_id,
                step=_step(task),
                due_at=later(task.started_at, settings.TASK_DEADLINE),
            )
            for task in tasks
        ]

    def ended(self) -> tuple[QuerySet[Any], Q, Any]:
        over = (*TramiteTask.SENT, Status.FAILED)
        rows = TramiteTask.objects.filter(status__in=over).order_by()
        return rows, Q(status__in=TramiteTask.SENT), F("started_at") - F("created_at")


def _told(task: TramiteTask, now: datetime, is_worked: bool) -> str:
    """What it waits for, or what was said of it last."""
    if task.status == Status.HELD:
        return sentences.told(task.hold_reason) or _("held by a person")
    if task.status == Status.IN_DOUBT:
        return _("may have been sent: look at the site, then decide")
    said = sentences.told(task.error_log)
    if task.status != Status.PENDING:
        return said
    waits = _waits(task, now, is_worked)
    return f"{waits}. {said}" if said else waits


def _waits(task: TramiteTask, now: datetime, is_worked: bool) -> str:
    if task.available_at > now:
        return blockers.not_before(task.available_at, now)
    if not is_worked:
        return _("no worker files appeals now: start the cluster “workers”, or manage.py runworker")
    return _("waits for a worker")


def _is_worked(now: datetime) -> bool:
    return Worker.objects.filter(kind="tramite", heartbeat_at__gt=now - ALIVE).exists()


def _step(task: TramiteTask) -> str:
    flow = f"{task.flow_name} {task.flow_version}".strip()
    if task.intent_at is None:
        return _("%(flow)s: nothing was sent yet") % {"flow": flow}
    return _("%(flow)s: the irrevocable step has begun") % {"flow": flow}
