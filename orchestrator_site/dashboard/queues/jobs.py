"""Runs of organisations' flows: `jobs`."""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from django.conf import settings
from django.contrib.auth.models import User
from django.db.models import F, Q, QuerySet, Subquery
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from redis.exceptions import RedisError

from devices.models.worker import ALIVE, Worker
from orchestrator_site import sentences
from orchestrator_site.dashboard.queues.kinds import (
    Kind,
    Line,
    Run,
    as_uuid,
    keys,
    later,
    line,
    run,
)
from orchestrator_site.models import Organisation
from queues import blockers, live
from queues.admin.jobs import plain_names
from queues.models import Job

logger = logging.getLogger(__name__)
Status = Job.Status
ORGANISATIONS = 500  # in the filter
LINES_OF = 20  # jobs under way whose last line is read


class Jobs(Kind):
    name = "jobs"
    title = gettext_lazy("Queue of jobs")
    model = Job
    permission = "queues.view_job"
    states = (
        Status.HELD,
        Status.QUEUED,
        Status.RUNNING,
        Status.IN_DOUBT,
        Status.DONE,
        Status.ERROR,
        Status.CANCELLED,
    )
    waiting = (Status.QUEUED, Status.HELD, Status.IN_DOUBT)
    party = gettext_lazy("Organisation")
    party_field = "organisation_id"
    is_organisations = True
    payload = ("inputs", "metadata")
    known_by = gettext_lazy("job id, user, or text of inputs and metadata")
    wait = gettext_lazy("from being asked for to being taken by a worker")
    when_empty = gettext_lazy("Jobs are asked for over the API: POST /api/v1/run.")

    def rows(self) -> QuerySet[Any]:
        rows = super().rows().select_related("organisation", "user")
        return rows.defer("script", "inputs", "metadata", "result")

    def parties(self) -> list[tuple[str, str]]:
        rows = Organisation.objects.order_by("name").values_list("pk", "name")[:ORGANISATIONS]
        return [(str(key), name) for key, name in rows]

    def meant(self, text: str) -> list[int]:
        """A job's id, or the address of whose session it runs with."""
        if (case := as_uuid(text)) is not None:
            return keys(Job.objects.filter(case_id=case))
        if "@" not in text:
            return []
        users = User.objects.filter(username=text).values("pk")[:1]
        return keys(Job.objects.filter(user_id=Subquery(users)))

    def shows(self, row: Any, text: str) -> bool:
        """Not by an input that may be secret: nobody is to find that out by searching."""
        plain = plain_names(row)
        told = {name: value for name, value in row.inputs.items() if name in plain}
        shown = json.dumps([told, row.metadata], ensure_ascii=False)
        return text.lower() in shown.lower()

    def lines(self, rows: Sequence[Any], now: datetime) -> list[Line]:
        is_waiting = any(row.status == Status.QUEUED for row in rows)
        is_worked = not is_waiting or _is_worked(now)
        return [
            line(row, _does(row), row.case_id, row.organisation.name, _told(row, now, is_worked))
            for row in rows
        ]

    def under_way(self) -> QuerySet[Any]:
        return self.rows().filter(status=Status.RUNNING).order_by("started_at", "pk")

    def runs(self, tasks: Sequence[Any], now: datetime) -> list[Run]:
        return [
            run(
                task,
                now,
                name=_does(task),
                party=task.organisation.name,
                step=_last_line(task) if place < LINES_OF else "",
                due_at=_due_at(task),
            )
            for place, task in enumerate(tasks)
        ]

    def ended(self) -> tuple[QuerySet[Any], Q, Any]:
        rows = Job.objects.filter(status__in=(Status.DONE, Status.ERROR)).order_by()
        return rows, Q(status=Status.DONE), F("started_at") - F("created_at")


def _does(job: Job) -> str:
    return f"{job.provider_name} · {job.flow_name} {job.flow_version}"


def _told(job: Job, now: datetime, is_worked: bool) -> str:
    """What it waits for, or what was said of it last."""
    if job.status == Status.HELD:
        text = _("waits for a session of %(user)s at %(provider)s")
        return text % {"user": job.user.get_username(), "provider": job.provider_name}
    if job.status == Status.IN_DOUBT:
        return _("may have had its effect: look at the site, then decide")
    said = sentences.told(job.error_log)
    if job.status != Status.QUEUED:
        return said
    waits = _waits(job, now, is_worked)
    return f"{waits}. {said}" if said else waits


def _waits(job: Job, now: datetime, is_worked: bool) -> str:
    if job.available_at > now:
        return blockers.not_before(job.available_at, now)
    if job.published_at is not None:
        return _("given to the isolated workers: waits for a free one")
    if not is_worked:
        return _("no worker takes jobs now: start the cluster “workers”, or manage.py runworker")
    return _("waits for its organisation's turn and a worker")


def _is_worked(now: datetime) -> bool:
    """With Redis isolated workers take them, of which the database does not know."""
    alive = Worker.objects.filter(kind="jobs", heartbeat_at__gt=now - ALIVE)
    return bool(settings.REDIS_URL) or alive.exists()


def _due_at(job: Job) -> datetime | None:
    ends = (later(job.started_at, settings.JOB_DEADLINE), job.deadline_at)
    return min((at for at in ends if at is not None), default=None)


def _last_line(job: Job) -> str:
    """What it wrote last: that is where it is."""
    try:
        lines = live.lines(job, after=-1)
    except RedisError:
        logger.exception("the lines of job %s cannot be read", job.case_id)
        return ""
    if job.intent_at is not None:
        return _("the irrevocable step has begun")
    return lines[-1][:200] if lines else ""
