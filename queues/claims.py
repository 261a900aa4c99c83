"""Taking, renewing, finishing and giving back: one implementation for every kind of task.

The attempt is committed before the work starts. Whoever holds the lease token may finish; a
worker that comes back after its lease was swept changes nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.db import models, transaction
from django.db.models import F

from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import policy
from queues.errors import ErrorClass

if TYPE_CHECKING:
    from queues.models.base import LeasedTask

logger = logging.getLogger(__name__)
Guard = Mapping[str, Any]
NO_LEASE: Mapping[str, Any] = {"lease_token": None, "lease_expires_at": None}


class LeasedTaskQuerySet(models.QuerySet[Any]):
    """Which tasks: the waiting, the ones whose worker fell silent."""

    def waiting(self) -> LeasedTaskQuerySet:
        return self.filter(status=self.model.WAITING)

    def due(self) -> LeasedTaskQuerySet:
        """Waiting tasks whose time has come, in the order in which they go."""
        due = self.waiting().filter(available_at__lte=db_now(self.db))
        return due.order_by(F("priority").desc(), "available_at", "id")

    def orphaned(self) -> LeasedTaskQuerySet:
        """Running tasks whose lease ran out."""
        return self.filter(status=self.model.RUNNING, lease_expires_at__lt=db_now(self.db))

    def take(self, worker: str, ttl: timedelta, limit: int = 1) -> list[Any]:
        """Lease up to `limit` due tasks of this queryset to `worker`, attempt counted."""
        with transaction.atomic(using=self.db):
            # SQLite ignores the lock: there the transaction itself is the only writer.
            rows = list(self.due().select_for_update(skip_locked=True)[:limit])
            now = db_now(self.db)
            taken = self.model.move_all(
                rows,
                self.model.RUNNING,
                f"taken by {worker}",
                worker=worker,
                attempts=F("attempts") + 1,
                lease_token=uuid.uuid4(),
                lease_expires_at=now + ttl,
                started_at=now,
            )
        for task in taken:
            task.attempts += 1
        return taken

    def sweep(self) -> list[Any]:
        """Settle the tasks of workers that fell silent; returns those moved."""
        return [task for task in self.orphaned() if lose_lease(task)]


def renew(task: LeasedTask, ttl: timedelta) -> bool:
    """Extend the lease; False when it is no longer this worker's."""
    until = db_now() + ttl
    return bool(_held(task).update(lease_expires_at=until))


def begin_irrevocable(task: LeasedTask) -> bool:
    """Store the intent before the step that cannot be undone; False: do not take it."""
    now = db_now()
    with transaction.atomic():
        if not _held(task).filter(lease_expires_at__gt=now).update(intent_at=now):
            return False
        Event.record([task], task.status, task.status, "irrevocable step begun")
    task.intent_at = now
    return True


def finish(
    task: LeasedTask, to: str, reason: str = "", *, guard: Guard | None = None, **changes: Any
) -> bool:
    """End the work with status `to`; False without the current lease."""
    return task.move(
        to,
        reason,
        guard={"lease_token": task.lease_token, **(guard or {})},
        **NO_LEASE,
        processed_at=db_now(),
        **changes,
    )


def fail(
    task: LeasedTask,
    error_class: str,
    message: str,
    *,
    confirmed: bool = False,
    guard: Guard | None = None,
    **changes: Any,
) -> bool:
    """End an attempt that went wrong; what comes next follows from the error's class."""
    verdict = policy.after_failure(
        error_class,
        attempts=task.attempts,
        max_attempts=task.max_attempts,
        begun=task.intent_at is not None,
        confirmed=confirmed,
    )
    changes |= {"error_class": error_class, "error_log": message}
    if verdict.next is policy.Next.RETRY:
        delay = verdict.delay * settings.TASK_RETRY_FACTOR
        return give_back(task, message, delay, guard=guard, **changes)
    return finish(task, task.ENDINGS[verdict.next], message, guard=guard, **changes)


def give_back(
    task: LeasedTask,
    reason: str,
    delay: timedelta,
    *,
    guard: Guard | None = None,
    **changes: Any,
) -> bool:
    """Put the task back into the queue, not before `delay` from now."""
    return task.move(
        task.WAITING,
        reason,
        guard={"lease_token": task.lease_token, **(guard or {})},
        **NO_LEASE,
        worker="",
        available_at=db_now() + delay,
        **changes,
    )


def lose_lease(task: LeasedTask) -> bool:
    """Settle one task whose worker fell silent."""
    logger.warning("lease lost: %s %s of %s", task._meta.label_lower, task.pk, task.worker)
    # The expiry is in the guard: a worker that renewed after we looked keeps its task.
    as_seen = {"lease_expires_at": task.lease_expires_at}
    message = f"lease lost by {task.worker}"
    return fail(task, ErrorClass.INFRASTRUCTURE, message, guard=as_seen)


def _held(task: LeasedTask) -> models.QuerySet[Any]:
    rows: models.QuerySet[Any] = type(task)._default_manager.all()
    return rows.filter(pk=task.pk, status=task.RUNNING, lease_token=task.lease_token)
