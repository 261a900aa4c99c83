"""Taking, renewing, finishing and giving back: one implementation for every kind of task.

The attempt is committed before the work starts. Whoever holds the lease token may finish; a
worker that comes back after its lease was swept changes nothing.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.exceptions import EmptyResultSet
from django.db import connections, models
from django.db.models import F, Q
from django.db.models.functions import Now

from orchestrator_site import waking
from orchestrator_site.models.event import Note
from orchestrator_site.status import Columns, Update
from queues import policy, sentences
from queues.errors import ErrorClass

if TYPE_CHECKING:
    from queues.models.base import LeasedTask

logger = logging.getLogger(__name__)
Guard = Mapping[str, Any]
Compiled = tuple[str, Sequence[Any]]
NO_LEASE: Mapping[str, Any] = {"lease_token": None, "lease_expires_at": None}


class DatabaseNow(Now):
    """The database's clock, which leases are measured by, within the statement; or some time
    `later`."""

    def __init__(self, later: timedelta = timedelta(0)) -> None:
        super().__init__()
        self.later = later

    def as_postgresql(self, *args: Any, **context: Any) -> Any:
        if not self.later:
            return "STATEMENT_TIMESTAMP()", ()
        return "(STATEMENT_TIMESTAMP() + %s)", (self.later,)

    def as_sqlite(self, *args: Any, **context: Any) -> Any:
        # It knows milliseconds only: to the end of this one, or what was just queued is not due.
        now = "STRFTIME('%%Y-%%m-%%d %%H:%%M:%%f999', 'NOW'{})"
        if not self.later:
            return now.format(""), ()
        return now.format(", %s"), (f"{self.later.total_seconds():+.3f} seconds",)


class Literal(models.Value):
    """A value of this code's own, in the text of the statement.

    What is in a parameter, PostgreSQL does not know when it plans ahead: it could not choose the
    index of the waiting ones.
    """

    def as_sql(self, *args: Any, **context: Any) -> Any:
        if isinstance(self.value, int):
            return str(self.value), ()
        assert self.value.isidentifier(), self.value
        return f"'{self.value}'", ()


class LeasedTaskQuerySet(models.QuerySet[Any]):
    """Which tasks: the waiting, the ones whose worker fell silent."""

    def waiting(self) -> LeasedTaskQuerySet:
        return self.filter(status=Literal(str(self.model.WAITING)))

    def due(self) -> LeasedTaskQuerySet:
        """Waiting tasks whose time has come, in the order in which they go."""
        due = self.waiting().filter(available_at__lte=DatabaseNow())
        return due.order_by(F("priority").desc(), "available_at", "id")

    def orphaned(self) -> LeasedTaskQuerySet:
        """Running tasks whose lease ran out."""
        return self.filter(status=self.model.RUNNING, lease_expires_at__lt=DatabaseNow())

    def take(self, worker: str, ttl: timedelta, limit: int = 1) -> list[Any]:
        """Lease up to `limit` due tasks of this queryset to `worker`, attempt counted."""
        model: Any = self.model
        told = sentences.TAKEN % {"worker": worker}
        note = Note.of(model, model.WAITING, model.RUNNING, told)
        return self._lease(worker, limit, _leasing(model, self.db_to_write, ttl), note)

    def hand_over(self, limit: int = 1) -> list[Any]:
        """Count the attempt of up to `limit` due tasks of this queryset and make its token, for a
        transport that knows who takes them: they go on waiting. Its model has `published_at`."""
        model: Any = self.model
        return self._lease("", limit, _handing_over(model, self.db_to_write))

    @property
    def db_to_write(self) -> str:
        self._for_write = True
        return self.db

    def _lease(
        self, worker: str, limit: int, update: Compiled, note: Note | None = None
    ) -> list[Any]:
        """Carry `update` out on due tasks; before its parameters go worker and token."""
        model: Any = self.model
        using = self.db_to_write
        try:
            due, which = self._due_keys(limit)
        except EmptyResultSet:  # filters that no row can pass
            return []
        text, constant = update
        lease = Update(
            model,
            using,
            f"WITH due(key) AS MATERIALIZED ({due}) {text}",
            [*which, worker, _new_token(model, using), *constant],
        )
        names = _attributes(model)
        columns = Columns.of(model, using, names)
        taken = [model.from_db(using, names, row) for row in lease.run(columns, note)]
        return sorted(taken, key=lambda task: (-task.priority, task.available_at, task.pk))

    def _due_keys(self, limit: int) -> Compiled:
        query = self.query
        if query.where or query.is_sliced or query.combinator or query.distinct:
            return _locking(self.due(), limit)
        model: Any = self.model
        return _due_of_all(model, self.db, limit)

    def sweep(self) -> list[Any]:
        """Settle the tasks of workers that fell silent; returns those moved."""
        return [task for task in self.orphaned() if lose_lease(task)]


def renew(task: LeasedTask, ttl: timedelta) -> bool:
    """Extend the lease; False when it is no longer this worker's."""
    return bool(renew_all([task], ttl))


def renew_all(tasks: Iterable[LeasedTask], ttl: timedelta) -> set[int]:
    """Extend the leases; returns the keys of the tasks that are still held."""
    return {
        task.pk
        for group in _by_lease(tasks)
        for task in group[0].change_all(group, _held(group), lease_expires_at=DatabaseNow(ttl))
    }


def begin_irrevocable(task: LeasedTask) -> bool:
    """Store the intent before the step that cannot be undone; False: do not take it."""
    return bool(begin_irrevocable_all([task]))


def begin_irrevocable_all(tasks: Iterable[LeasedTask], **changes: Any) -> list[LeasedTask]:
    """Store the intent of several; returns those whose step may be taken."""
    permitted: list[LeasedTask] = []
    for group in _by_lease(tasks):
        running = group[0].RUNNING
        note = Note.of(type(group[0]), running, running, sentences.IRREVOCABLE_BEGUN)
        leased = _held(group) & Q(lease_expires_at__gt=DatabaseNow())
        permitted += group[0].change_all(group, leased, note, intent_at=DatabaseNow(), **changes)
    return permitted


def finish(
    task: LeasedTask, to: str, reason: str = "", *, guard: Guard | None = None, **changes: Any
) -> bool:
    """End the work with status `to`; False without the current lease."""
    return bool(finish_all([task], to, reason, guard=guard, **changes))


def finish_all(
    tasks: Iterable[LeasedTask],
    to: str,
    reason: str = "",
    *,
    guard: Guard | None = None,
    **changes: Any,
) -> list[LeasedTask]:
    """End the work of several with the same status; returns those of a current lease."""
    finished: list[LeasedTask] = []
    for group in _by_lease(tasks):
        finished += group[0].move_all(
            group,
            to,
            reason,
            guard={"lease_token": group[0].lease_token, **(guard or {})},
            **NO_LEASE,
            processed_at=DatabaseNow(),
            **changes,
        )
    return finished


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
    moved = task.move(
        task.WAITING,
        reason,
        guard={"lease_token": task.lease_token, **(guard or {})},
        **NO_LEASE,
        worker="",
        available_at=DatabaseNow(delay),
        **changes,
    )
    if moved and not delay:
        waking.notify(task._meta.db_table)
    return moved


def lose_lease(task: LeasedTask) -> bool:
    """Settle one task whose worker fell silent."""
    logger.warning("lease lost: %s %s of %s", task._meta.label_lower, task.pk, task.worker)
    # The expiry is in the guard: a worker that renewed after we looked keeps its task.
    as_seen = {"lease_expires_at": task.lease_expires_at}
    message = sentences.LEASE_LOST % {"worker": task.worker}
    return fail(task, ErrorClass.INFRASTRUCTURE, message, guard=as_seen)


def _by_lease(tasks: Iterable[LeasedTask]) -> Iterable[list[LeasedTask]]:
    """Tasks taken together share a token, and can be changed in one statement."""
    groups: dict[uuid.UUID | None, list[LeasedTask]] = {}
    for task in tasks:
        groups.setdefault(task.lease_token, []).append(task)
    return groups.values()


def _held(group: Sequence[LeasedTask]) -> Q:
    """Still leased under the token of this group."""
    first = group[0]
    return Q(status=first.RUNNING, lease_token=first.lease_token)


def _locking(due: LeasedTaskQuerySet, limit: int) -> Compiled:
    """A SELECT of the keys of the first ones, which passes over those that another is taking.

    SQLite has no such lock: there the statement itself is the only writer.
    """
    connection = connections[due.db]
    sql, params = due.values("pk")[:limit].query.get_compiler(due.db).as_sql()
    if connection.features.has_select_for_update_skip_locked:
        table = connection.ops.quote_name(due.model._meta.db_table)
        sql = f"{sql} {connection.ops.for_update_sql(skip_locked=True, of=(table,))}"
    return sql, params


# --- What every take of a kind of task has in common: compiling it costs more than sending it. ---


@lru_cache
def _due_of_all(model: type[LeasedTask], using: str, limit: int) -> Compiled:
    return _locking(LeasedTaskQuerySet(model, using=using).due(), limit)


@lru_cache
def _leasing(model: type[LeasedTask], using: str, ttl: timedelta) -> Compiled:
    """The UPDATE that leases what `due` names."""
    running = {
        "status": Literal(str(model.RUNNING)),
        "lease_expires_at": DatabaseNow(ttl),
        "started_at": DatabaseNow(),
    }
    return _of_due(model, using, running)


@lru_cache
def _handing_over(model: type[LeasedTask], using: str) -> Compiled:
    return _of_due(model, using, {"published_at": DatabaseNow()})


def _of_due(model: type[LeasedTask], using: str, changes: Mapping[str, Any]) -> Compiled:
    """The UPDATE of what `due` names, whose attempt is counted."""
    connection = connections[using]
    # An array is looked up in the index; a join with what is due may read the whole table.
    keys = "= ANY(ARRAY({}))" if connection.vendor == "postgresql" else "IN ({})"
    is_due = f"{connection.ops.quote_name(str(model._meta.pk.column))} {keys}"
    update = Update.of(
        model,
        (is_due.format("SELECT key FROM due"), ()),
        {
            "worker": "",
            "lease_token": uuid.UUID(int=0),
            "attempts": F("attempts") + Literal(1),
            **changes,
        },
    )
    _worker, _token, *constant = update.params
    return update.sql, constant


@cache
def _attributes(model: type[LeasedTask]) -> tuple[str, ...]:
    return tuple(field.attname for field in model._meta.concrete_fields)


def _new_token(model: type[LeasedTask], using: str) -> Any:
    return model._meta.get_field("lease_token").get_db_prep_save(uuid.uuid4(), connections[using])
