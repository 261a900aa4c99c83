"""The loop that sends webhooks: many calls in flight, so that a slow address holds no other.

Threads call and know no database; the loop's own thread takes, renews and writes. A sender that
dies in a call leaves a lease that runs out: the message goes once more, under the same id.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from http.client import HTTPException, HTTPResponse
from typing import Any

from django.conf import settings
from django.db import transaction
from django.utils import translation

from devices.models import Worker
from orchestrator_site.addresses import AddressRefused
from orchestrator_site.clock import db_now
from orchestrator_site.encryption import Undecipherable
from orchestrator_site.rhythm import Rhythm
from queues import claims, connecting, sentences, webhooks
from queues.calling import Calls
from queues.errors import ErrorClass
from queues.models import WebhookAttempt, WebhookDelivery, WebhookEndpoint

logger = logging.getLogger(__name__)
IN_FLIGHT = 32
OF_ONE = 4  # of them to one address
OF_A_FAILING_ONE = 1
LOOK = 200  # messages at a time, in search of those that may go
CALL_SECONDS = 15.0  # all of a call but the look-up of the name
KEPT = 1024  # bytes of an answer
SWEEP_EVERY = 5.0  # seconds
BEAT_EVERY = 10.0
TIDY_EVERY = 60.0
FORGET_EVERY = 3600.0
RENEWALS = 4  # in the length of a lease
PATIENCE = 0.05  # seconds until a look for new messages, while calls are under way
GATHER = 0.02
SENT_BY = {
    "Content-Type": "application/json",
    "User-Agent": "Orchestrator-Webhooks/1",
}
Status = WebhookDelivery.Status


@dataclass(frozen=True)
class Answer:
    """What a call came to. `status` is None where no answer came, for which `error` says why."""

    at: datetime
    status: int | None = None
    body: str = ""
    error: str = ""
    error_class: str = ErrorClass.SITE
    seconds: float = 0.0

    @property
    def is_good(self) -> bool:
        return self.status is not None and 200 <= self.status < 300

    @property
    def told(self) -> str:
        return self.error or sentences.WEBHOOK_ANSWERED % {"status": self.status}


Answered = list[tuple[WebhookDelivery, Answer]]


class WebhookSender:
    """One loop over the messages of all organisations."""

    kind = "webhooks"

    def __init__(self, name: str) -> None:
        self.name = name
        self.row = Worker(name=name, kind=self.kind, host=socket.gethostname(), pid=os.getpid())
        self._calls: Calls[WebhookDelivery] = Calls()
        self._rhythm = Rhythm()

    def step(self, stopped: Callable[[], bool] = lambda: False) -> bool:
        """Take what is due, call, and write down what was answered; False: nothing to do."""
        self._keep_house()
        taken = [] if stopped() else self._take()
        if taken:
            self._send(taken)
        self._settle(PATIENCE)
        return bool(taken or self._calls)

    def close(self) -> None:
        """Calls under way end within their deadline; what does not is sent again by the next."""
        until = time.monotonic() + CALL_SECONDS
        while self._calls and (left := until - time.monotonic()) > 0:
            self._settle(left)
        self._calls.close()
        self.row.leave()

    def _keep_house(self) -> None:
        every = self._rhythm.every
        every(SWEEP_EVERY, "sweep", sweep)
        every(TIDY_EVERY, "tidy", webhooks.cancel_undeliverable)
        every(FORGET_EVERY, "forget", webhooks.forget_old)
        every(BEAT_EVERY, "beat", self._beat)
        every(settings.TASK_LEASE.total_seconds() / RENEWALS, "renew", self._renew)

    def _beat(self) -> None:
        self.row.beat(sentences.CALLS % {"count": len(self._calls)})

    def _renew(self) -> None:
        claims.renew_all(self._calls.keys, settings.TASK_LEASE)

    def _take(self) -> list[WebhookDelivery]:
        room = IN_FLIGHT - len(self._calls)
        keys = next_due(Counter(one.endpoint_id for one in self._calls.keys), room)
        if not keys:
            return []
        due: Any = WebhookDelivery.objects.filter(pk__in=keys)
        taken: list[WebhookDelivery] = due.take(self.name, settings.TASK_LEASE, len(keys))
        return taken

    def _send(self, taken: list[WebhookDelivery]) -> None:
        now = db_now()
        endpoints = _endpoints({one.endpoint_id for one in taken})
        for delivery in taken:
            endpoint = endpoints.get(delivery.endpoint_id)
            self._calls.ask(delivery, _call(delivery, endpoint, now))

    def _settle(self, patience: float) -> None:
        found = self._calls.answers(patience, GATHER)
        settle_all([(delivery, _answer_of(future)) for delivery, future in found])


def next_due(held: Counter[Any], room: int) -> list[Any]:
    """The keys of the messages that go next, at most `room`. `held`: calls under way by address,
    each of which may have a few; a message behind those of a full address does not wait."""
    picked: list[Any] = []
    full = {endpoint for endpoint, count in held.items() if count >= OF_ONE}
    while len(picked) < room:
        rows = _due(full, picked)
        for key, endpoint, failing_since in rows:
            if held[endpoint] >= (OF_A_FAILING_ONE if failing_since else OF_ONE):
                full.add(endpoint)
            elif len(picked) < room:
                held[endpoint] += 1
                picked.append(key)
        if len(rows) < LOOK:
            break
    return picked


def _due(full: Collection[Any], picked: Collection[Any]) -> list[tuple[Any, Any, datetime | None]]:
    due = WebhookDelivery.objects.due().filter(endpoint__enabled=True)
    others = due.exclude(endpoint__in=full).exclude(pk__in=picked)
    return list(others.values_list("pk", "endpoint_id", "endpoint__failing_since")[:LOOK])


def _endpoints(keys: Iterable[Any]) -> Mapping[Any, WebhookEndpoint]:
    """One by one: an address whose secret no key of ours reads keeps no other from being told."""
    found = {}
    for key in keys:
        try:
            found[key] = WebhookEndpoint.objects.get(pk=key)
        except (Undecipherable, WebhookEndpoint.DoesNotExist) as error:
            logger.error("webhook %s cannot be used: %s", key, error)
    return found


def _call(
    delivery: WebhookDelivery, endpoint: WebhookEndpoint | None, now: datetime
) -> Callable[[], Answer]:
    if endpoint is None:
        return partial(Answer, now, error=sentences.WEBHOOK_NO_SECRET)
    signed = webhooks.headers(delivery, endpoint, now)
    return partial(call, endpoint.url, webhooks.body(delivery), signed, now)


def call(url: str, body: bytes, signed: Mapping[str, str], now: datetime) -> Answer:
    """Send a message once, in any thread. Whatever network and receiver do is an answer."""
    started = time.monotonic()
    with translation.override("en"):  # it is stored
        answer = _called(url, body, signed, Answer(now), started + CALL_SECONDS)
    return replace(answer, seconds=round(time.monotonic() - started, 3))


def _called(
    url: str, body: bytes, signed: Mapping[str, str], answer: Answer, until: float
) -> Answer:
    try:
        connection = connecting.connected(url, webhooks.resolve(url), until)
    except (AddressRefused, OSError) as error:
        return _failed(answer, error)
    try:
        response = connecting.posted(connection, url, body, {**SENT_BY, **signed}, until)
        return replace(answer, status=response.status, body=_beginning(response))
    except (OSError, HTTPException, ValueError) as error:
        return _failed(answer, error)
    finally:
        connection.close()


def _failed(answer: Answer, error: Exception) -> Answer:
    is_late = isinstance(error, TimeoutError)
    told = str(error).replace("\0", "") or type(error).__name__
    late = sentences.WEBHOOK_LATE % {"seconds": CALL_SECONDS}
    return replace(
        answer,
        error=late if is_late else told,
        error_class=ErrorClass.TIMEOUT if is_late else ErrorClass.SITE,
    )


def _beginning(response: HTTPResponse) -> str:
    """Of the answer's body, as far as it comes: the status has said already what counts."""
    read = b""
    try:
        while len(read) < KEPT and (more := response.read1(KEPT - len(read))):
            read += more
    except (OSError, HTTPException, ValueError):
        pass
    return read.decode(errors="replace").replace("\0", "")


def _answer_of(future: Future[Answer]) -> Answer:
    """A fault of ours in a call: it may have been sent."""
    error = future.exception()
    if error is None:
        return future.result()
    logger.error("a webhook call failed", exc_info=error)
    return Answer(db_now(), error=f"{type(error).__name__}: {error}")


def settle_all(answered: Answered) -> None:
    """Write the attempts down, and what follows from them. Where the lease was lost another
    attempt decides; an address may have been deleted meanwhile, with all that is of it."""
    if not answered:
        return
    with transaction.atomic():
        rows = WebhookDelivery.objects.select_for_update().order_by("pk")
        there = set(
            rows.filter(pk__in=[one.pk for one, _ in answered]).values_list("pk", flat=True)
        )
        known = [(one, answer) for one, answer in answered if one.pk in there]
        _note_all(known)
        _deliver([(one, answer) for one, answer in known if answer.is_good])
        for delivery, answer in known:
            if not answer.is_good:
                _fail(delivery, answer)


def _deliver(answered: Answered) -> None:
    webhooks.work({one.endpoint_id for one, _ in answered})
    by_words: dict[str, list[WebhookDelivery]] = defaultdict(list)
    for delivery, answer in answered:
        by_words[answer.told].append(delivery)
    for told, deliveries in by_words.items():
        claims.finish_all(deliveries, Status.DELIVERED, told, error_class="", error_log="")


def _fail(delivery: WebhookDelivery, answer: Answer) -> bool:
    is_open = webhooks.fails(delivery.endpoint_id, answer.status)
    wait = webhooks.wait_after(delivery.attempts, delivery.max_attempts)
    why: dict[str, Any] = {"error_class": answer.error_class, "error_log": answer.told}
    if wait is None or not is_open:
        return claims.finish(delivery, Status.FAILED, answer.told, **why)
    return claims.give_back(delivery, answer.told, wait, **why)


def sweep() -> int:
    """Give back what senders held that fell silent; whether it arrived nobody knows."""
    lost: list[WebhookDelivery] = WebhookDelivery.objects.sweep()
    _note_all([(one, Answer(one.started_at or db_now(), error=one.error_log)) for one in lost])
    return len(lost)


def _note_all(answered: Answered) -> None:
    WebhookAttempt.objects.bulk_create(
        WebhookAttempt(
            delivery=delivery,
            number=delivery.attempts,
            at=answer.at,
            seconds=answer.seconds,
            status_code=answer.status,
            body=answer.body,
            error=answer.error,
        )
        for delivery, answer in answered
    )
