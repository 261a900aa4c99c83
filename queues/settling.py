"""The end of a person's task: entry, device, work record, person and window, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any

from django.db import transaction
from django.db.models import Exists, F, OuterRef

from devices.models import Device, PersonWindow
from orchestrator_site.clock import db_now
from orchestrator_site.models import Event
from queues import claims, endings, sentences
from queues.endings import Ending, Tries
from queues.errors import ErrorClass
from queues.mirror.logs import about
from queues.models import DistributionConfig, NbcRecord, QueueEntry, RegistroWork
from queues.policy import Next, after_failure

logger = logging.getLogger(__name__)
Status = QueueEntry.Status
EndingOf = Callable[[QueueEntry], Ending]


def tries(entry: QueueEntry) -> Tries:
    nbc = entry.nbc
    return Tries(nbc.attempts, DistributionConfig.current().max_attempts, nbc.bad_requests)


def settle(
    entry: QueueEntry,
    ending: Ending,
    *,
    guard: Mapping[str, Any] | None = None,
    **changes: Any,
) -> bool:
    """End the task as `ending` says and free all that it held; False where it had moved on.

    Whoever moves the entry does the rest, so nothing is freed or counted twice.
    """
    if entry.status not in QueueEntry.LIVE:
        return False
    now = db_now()
    with transaction.atomic():
        moved = entry.move(
            Status.COMPLETE,
            ending.message,
            guard=guard,
            data={"condition": ending.condition},
            **claims.NO_LEASE,
            success=ending.success,
            condition=ending.condition,
            message=ending.message,
            error_class=ending.error_class,
            processed_at=now,
            **changes,
        )
        if moved:
            _free_device(entry, ending, now)
            _close_work(entry, ending, now)
            _move_person(entry, ending, changes.get("result"))
            if not ending.success:
                PersonWindow.close(entry.curp, entry.rw_id, now)
    if moved:
        with about(entry):
            logger.info("task %s of case %s: %s", entry.pk, entry.case_id, ending.message)
    return moved


def sweep() -> int:
    """Settle the tasks of workers that fell silent; returns how many moved.

    What may have been posted waits for its result. What was not goes back to the queue with its
    device, while it has attempts left.
    """
    return sum(lose_lease(entry) for entry in QueueEntry.objects.orphaned())


def lose_lease(entry: QueueEntry) -> bool:
    message = sentences.LEASE_LOST % {"worker": entry.worker}
    # The expiry is in the guard: a worker that renewed after we looked keeps its task.
    as_seen = {"lease_token": entry.lease_token, "lease_expires_at": entry.lease_expires_at}
    verdict = after_failure(
        ErrorClass.INFRASTRUCTURE,
        attempts=entry.attempts,
        max_attempts=entry.max_attempts,
        begun=entry.intent_at is not None,
        confirmed=False,
    )
    if verdict.next is Next.RETRY:
        return claims.give_back(entry, message, verdict.delay, guard=as_seen)
    if verdict.next is Next.FAILED:
        return settle(entry, endings.given_up(message, tries(entry), db_now()), guard=as_seen)
    return entry.move(Status.ACCEPTED, message, guard=as_seen, **claims.NO_LEASE)


def end_silent() -> int:
    """Give back the tasks whose result did not come in time."""
    now = db_now()
    late = QueueEntry.objects.filter(status=Status.ACCEPTED, result_due_at__lte=now)
    return _settle_each(late, lambda entry: endings.silent(tries(entry), now))


def end_stale() -> int:
    """End the tasks of people whose window is over where the same CURP waits to be assigned."""
    now = db_now()
    waiting = NbcRecord.objects.due(now).order_by().filter(curp=OuterRef("curp"))
    shut = PersonWindow.objects.filter(curp=OuterRef("curp"), until__gt=now)
    old = QueueEntry.objects.filter(Exists(waiting), ~Exists(shut), status__in=QueueEntry.LIVE)
    return _settle_each(old, _if_called(lambda entry: endings.stale(tries(entry), now)))


def release(device: Device, reason: str) -> bool:
    """Take a device back from whatever holds it. The task's late result will be refused."""
    return _take_back(device, reason, lambda entry: endings.released(reason, db_now()))


def release_stuck(device: Device, reason: str) -> bool:
    """The same because it hung: an attempt of the person's, and a failure of the device's."""
    ending = _if_called(lambda entry: endings.stuck(reason, tries(entry), db_now()))
    return _take_back(device, reason, ending)


def _if_called(ending: EndingOf) -> EndingOf:
    """`ending` where its scraper was called: workers that stand still are no fault of others."""

    def judged(entry: QueueEntry) -> Ending:
        found = ending(entry)
        return found if entry.called_at else endings.uncalled(found.message, db_now())

    return judged


def _settle_each(rows: Any, ending: EndingOf) -> int:
    entries: Iterable[QueueEntry] = list(rows.select_related("nbc"))
    return sum(settle(entry, ending(entry)) for entry in entries)


def _take_back(device: Device, reason: str, ending: EndingOf) -> bool:
    """By way of its task where it has one, so that nothing is left half held."""
    entry = QueueEntry.objects.filter(pk=device.task_id or 0).select_related("nbc").first()
    # Its worker moves it too: what counts is that it still lives, not where we saw it.
    while entry and entry.status in QueueEntry.LIVE:
        if settle(entry, ending(entry)):
            Event.record([device], "held", "free", reason, {"task_id": entry.pk})
            return True
        entry.refresh_from_db()
    return device.release(reason)


def _free_device(entry: QueueEntry, ending: Ending, now: datetime) -> None:
    device = Device.objects.select_for_update().filter(task_id=entry.pk).first()
    if device is None:
        return
    Device.objects.release([entry.pk], now)
    if ending.success:
        device.note_success(sentences.ENDED_WELL % {"id": entry.pk})
    elif ending.blames_device:
        config = DistributionConfig.current()
        most, pause = config.quarantine_failures, config.minutes("probe")
        device.note_failure(ending.message, most, pause, now)


def _close_work(entry: QueueEntry, ending: Ending, now: datetime) -> None:
    RegistroWork.objects.filter(rw_id=entry.rw_id).update(
        condition=ending.condition,
        message=ending.message,
        f_date=now,
    )


def _move_person(entry: QueueEntry, ending: Ending, result: Any) -> None:
    """A person who has moved on (cancelled, assigned anew) is left alone."""
    nbc: NbcRecord = entry.nbc
    if nbc.status != NbcRecord.Status.P1:
        return
    changes: dict[str, Any] = {"message": ending.message}
    if ending.available_at:
        changes["available_at"] = ending.available_at
    if result:
        changes["result"] = result
    if not ending.counts:
        changes["attempts"] = F("attempts") - 1
    if ending.bad_request:
        changes["bad_requests"] = F("bad_requests") + 1
    nbc.move(ending.person, ending.message, guard={"rw_id": entry.rw_id}, **changes)
