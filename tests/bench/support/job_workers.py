"""Workers that do nothing with a job but what must be done: verify it, say that it began, end it.

Two processes on one Redis, ours as isolated workers would (five jobs at a time), and RQ's own.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable

import redis
import rq

from queues.browser.reports import Report
from queues.browser.signing import Keyring, opened
from queues.browser.transport import Transport
from tests import redis as redis_server
from tests.bench.support import crew
from tests.queues.envelopes import RING, envelope

PROCESSES = 2
CAPACITY = 5
ORGANISATIONS = 10
MOST_AGE = 3600.0  # seconds
OVER = "bench:over"  # in Redis, once the workers are to go home


def ours(url: str, count: int) -> float:
    """Jobs a second of two workers, all of them waiting in Redis when they begin."""
    redis_server.empty(url)
    transport = Transport(url)
    transport.push([envelope(number % ORGANISATIONS) for number in range(count)])
    transport.client.set(OVER, 1)
    each = [[url, f"w{number}"] for number in range(PROCESSES)]
    seconds, _nothing = crew.at_work(__name__, "working", each)
    finished = [one.job_id for one in _reported(transport) if one.kind == "finished"]
    assert len(finished) == len(set(finished)) == count, len(finished)
    return count / seconds


def working(url: str, name: str, secret: str = "") -> Callable[[], None]:
    """`secret`: what the envelopes are signed with, where it is not the tests' own."""
    transport = Transport(url)
    transport.enter(name)
    keys = Keyring.of([secret]) if secret else RING

    def work() -> None:
        ended: list[tuple[str, Report]] = []
        while True:
            raws = transport.finish_and_take(name, ended, CAPACITY)
            if not raws and transport.client.exists(OVER):
                return
            ended = _executed(transport, name, keys, raws)
            if not raws:
                time.sleep(0.002)

    return work


def _executed(
    transport: Transport, name: str, keys: Keyring, raws: list[str]
) -> list[tuple[str, Report]]:
    """Verified and begun; a job of these has nothing more to do."""
    envelopes = {raw: opened(raw, keys, MOST_AGE) for raw in raws}
    begun = transport.started_all(name, list(envelopes.values())) if raws else []
    assert len(begun) == len(raws)
    return [
        (raw, Report.of("finished", one, name, status="done")) for raw, one in envelopes.items()
    ]


def _reported(transport: Transport) -> list[Report]:
    found: list[Report] = []
    while read := transport.reports("bench", 1000):
        found += [report for _entry, report in read]
    return found


def rq_rate(url: str, count: int) -> float:
    """The same of RQ's SimpleWorker, which runs a job in its own process."""
    redis_server.empty(url)
    queue = rq.Queue(connection=redis.Redis.from_url(url))
    jobs = [rq.Queue.prepare_data(math.sqrt, args=(number,)) for number in range(count)]
    queue.enqueue_many(jobs)
    seconds, _nothing = crew.at_work(__name__, "rq_working", [[url]] * PROCESSES)
    done = queue.finished_job_registry.get_job_count(cleanup=False)
    assert (done, len(queue)) == (count, 0), done
    return count / seconds


def rq_working(url: str) -> Callable[[], None]:
    logging.disable(logging.INFO)
    connection = redis.Redis.from_url(url)
    worker = rq.SimpleWorker([rq.Queue(connection=connection)], connection=connection)
    return lambda: worker.work(burst=True, logging_level="ERROR") and None
