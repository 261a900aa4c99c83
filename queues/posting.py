"""The worker that hands people's tasks to scrapers: hundreds of calls in flight from one process.

Threads call and know no database; the worker's own thread takes, renews and writes, many rows in
one statement.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from datetime import datetime
from functools import partial
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import prefetch_related_objects

from devices.models import Worker
from orchestrator_site.clock import db_now
from orchestrator_site.rhythm import Rhythm
from queues import capacity, claims, endings, sentences, settling
from queues.calling import Calls
from queues.mirror.logs import about, within
from queues.models import DistributionConfig, Endpoint, Generator, QueueEntry
from queues.scrapers import router
from queues.scrapers.client import Answer, AnswerKind, Call
from queues.scrapers.router import Routed

logger = logging.getLogger(__name__)
SWEEP_EVERY = 5.0  # seconds
BEAT_EVERY = 10.0
REPORT_EVERY = 15.0
RENEWALS = 4  # in the length of a lease
PATIENCE = 0.05  # seconds until a look for new tasks, while calls are under way
GATHER = 0.05  # seconds in which answers are gathered, to be written together
LEAVING = 3.0  # seconds for the calls in flight when the worker is asked to end
Status = QueueEntry.Status
Answered = list[tuple[QueueEntry, Routed]]


class ScraperWorker:
    """One loop over the tasks of all generators that our workers work, or of one."""

    kind = "scrapers"

    def __init__(self, name: str, generator: str = "", in_flight: int | None = None) -> None:
        self.name = name
        self.generator = generator
        self.most = in_flight or settings.SCRAPER_IN_FLIGHT
        self.row = Worker(name=name, kind=self.kind, host=socket.gethostname(), pid=os.getpid())
        self._calls: Calls[QueueEntry] = Calls()
        self._rhythm = Rhythm()

    def step(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Take what is assigned, call, and write down what was answered; False: nothing to do."""
        self._keep_house()
        taken = [] if stopped() else self._take()
        if taken:
            self._call(taken)
        self._write(self._answered(PATIENCE))
        return bool(taken or self._calls)

    def close(self) -> None:
        """Calls that are not answered soon go on without us: their results are waited for."""
        until = time.monotonic() + LEAVING
        while self._calls and (left := until - time.monotonic()) > 0:
            self._write(self._answered(left))
        _accept(self._calls.keys, sentences.WORKER_LEFT)
        self._calls.close()
        self.row.leave()

    def _keep_house(self) -> None:
        every = self._rhythm.every
        every(SWEEP_EVERY, "sweep", settling.sweep)
        every(SWEEP_EVERY, "silent", settling.end_silent)
        every(BEAT_EVERY, "beat", self._beat)
        every(REPORT_EVERY, "report", lambda: capacity.report_all(self.generator))
        every(settings.TASK_LEASE.total_seconds() / RENEWALS, "renew", self._renew)

    def _beat(self) -> None:
        self.row.beat(sentences.CALLS % {"count": len(self._calls)})

    def _renew(self) -> None:
        """A call whose lease has passed on is not broken off: its end is refused."""
        claims.renew_all(self._calls.keys, settings.TASK_LEASE)

    def _take(self) -> list[QueueEntry]:
        room = self.most - len(self._calls)
        if not room:
            return []
        rows = QueueEntry.objects.filter(generator__worked_by=Generator.WorkedBy.OURS)
        if self.generator:
            rows = rows.filter(generator__name=self.generator)
        return rows.take(self.name, settings.TASK_LEASE, room)

    def _call(self, taken: list[QueueEntry]) -> None:
        """The intent is stored first: from there on a call may have been heard."""
        now = db_now()
        permitted = _begun(taken, now)
        prefetch_related_objects(permitted, "nbc")
        endpoints = _endpoints({one.generator_id for one in permitted})
        for entry in permitted:
            serving = endpoints[entry.generator_id]
            route = partial(router.route, serving, entry.device_instance, _call_of(entry), now=now)
            self._calls.ask(entry, partial(within, entry, route))

    def _answered(self, patience: float) -> Answered:
        """What was answered, after a moment in which others may be."""
        found = self._calls.answers(patience, GATHER)
        return [(entry, _result(entry, future)) for entry, future in found]

    def _write(self, answered: Answered) -> None:
        if not answered:
            return
        _note_endpoints(routed for _entry, routed in answered)
        accepted = [one for one in answered if one[1].outcome == router.ASSIGNED]
        for endpoint, entries in _by_endpoint(accepted).items():
            _accept(entries, sentences.ACCEPTED, endpoint=endpoint, answered_at=db_now())
        for entry, routed in answered:
            if routed.outcome != router.ASSIGNED:
                settle_answer(entry, routed)


def _begun(taken: list[QueueEntry], now: datetime) -> list[QueueEntry]:
    """Those that may be called: whose lease still holds."""
    due = now + DistributionConfig.current().minutes("result")
    permitted: Any = claims.begin_irrevocable_all(taken, called_at=now, result_due_at=due)
    return list(permitted)


def _accept(entries: list[QueueEntry], told: str, **changes: Any) -> None:
    """Leave them to the scraper, which has them or may: those whose lease is still ours."""
    ours = {"lease_token__in": {one.lease_token for one in entries}}
    QueueEntry.move_all(entries, Status.ACCEPTED, told, guard=ours, **claims.NO_LEASE, **changes)


def settle_answer(entry: QueueEntry, routed: Routed) -> bool:
    """Whatever an endpoint answered but "accepted", each by its rule."""
    answer, now = routed.answer, db_now()
    guard = {"lease_token": entry.lease_token}
    changes: dict[str, Any] = {
        "endpoint": routed.endpoint.url if routed.endpoint else "",
        "answered_at": now,
    }
    if answer.kind is AnswerKind.UNANSWERED:
        told = sentences.UNANSWERED % {"error": answer.message}
        return entry.move(
            Status.ACCEPTED, told, guard=guard, **claims.NO_LEASE, message=told, **changes
        )
    return settling.settle(entry, _ending(entry, answer, now), guard=guard, **changes)


def _ending(entry: QueueEntry, answer: Answer, now: datetime) -> endings.Ending:
    if answer.kind is AnswerKind.BUSY:
        return endings.busy(answer.message, answer.retry_after, now)
    if answer.kind is AnswerKind.BAD_REQUEST:
        return endings.bad_request(answer.message, settling.tries(entry), now)
    if answer.kind is AnswerKind.UNKNOWN:
        return endings.unknown(answer.message, settling.tries(entry), now)
    return endings.unreachable(answer.message, now)


def _endpoints(names: set[str]) -> dict[str, list[router.Endpoint]]:
    found: dict[str, list[router.Endpoint]] = {name: [] for name in names}
    for row in Endpoint.objects.filter(generator__name__in=names).select_related("generator"):
        found[row.generator.name].append(
            router.Endpoint(
                row.pk, row.url, row.instance, row.enabled, row.failures, row.open_until
            )
        )
    return found


def _call_of(entry: QueueEntry) -> Call:
    return Call(
        curp=entry.curp,
        nbc_id=str(entry.nbc.nbc_id),
        device_id=entry.device,
        taskid=entry.taskid,
        queue_document_id=entry.document_id,
    )


def _result(entry: QueueEntry, future: Future[Routed]) -> Routed:
    """A fault of ours in a call: it may have been sent."""
    error = future.exception()
    if error is None:
        return future.result()
    with about(entry):
        logger.error("a call failed", exc_info=error)
    told = f"{type(error).__name__}: {error}"
    return Routed(Answer(AnswerKind.UNANSWERED, message=told))


def _by_endpoint(answered: Answered) -> dict[str, list[QueueEntry]]:
    found: dict[str, list[QueueEntry]] = defaultdict(list)
    for entry, routed in answered:
        found[routed.endpoint.url if routed.endpoint else ""].append(entry)
    return found


def _note_endpoints(routes: Iterable[Routed]) -> None:
    """Keep each endpoint's breaker: the calls of one writing count once, by the last of them."""
    last: dict[int, Answer] = {}
    for routed in routes:
        last.update(dict(routed.tried))
    now = db_now()
    with transaction.atomic():  # other workers count too
        for row in Endpoint.objects.select_for_update().filter(pk__in=last).order_by("pk"):
            _note(row, last[row.pk], now)


def _note(row: Endpoint, answer: Answer, now: datetime) -> None:
    if answer.kind not in router.NOT_SENT:
        row.failures, row.open_until = router.after_success()
        row.last_answer_at = now
    elif row.is_usable(now):  # others that were under way when it opened do not open it further
        row.failures, row.open_until = router.after_failure(row.failures, now)
        row.last_error = answer.message[:500]
    row.save(update_fields=["failures", "open_until", "last_answer_at", "last_error"])
