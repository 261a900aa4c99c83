"""Organisations with 10,000 waiting jobs each, and one that asks for one: who goes before it.

Two workers take five at a time and start them one by one. Counted is what began between the
asking and the beginning of the one: what the workers had taken before, and one rotation.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from queues.browser import operations
from queues.browser.reports import Report
from queues.browser.signing import Envelope
from queues.browser.transport import RESULTS, Transport
from tests import redis as redis_server
from tests.bench.support import crew, job_workers
from tests.bench.support.figure import Figure, Target
from tests.queues.envelopes import envelope

WAITING, RUNS = 10_000, 5
QUICK_WAITING, QUICK_RUNS = 2_000, 2
RING = "sri:ring"
BEFORE = 0.3  # seconds that the workers are at it when the one job comes
IN_HAND = job_workers.PROCESSES * job_workers.CAPACITY


def run(quick: bool) -> list[Figure]:
    waiting, times = (QUICK_WAITING, QUICK_RUNS) if quick else (WAITING, RUNS)
    figures: list[Figure] = []
    with redis_server.running() as url:
        for name, others in (("beside_one", 1), ("beside_nine", 9)):
            many = [envelope(f"big-{number % others}") for number in range(waiting)]
            figures += _figures(name, [_asked(url, many) for _ in range(times)], others)
    return figures


def _figures(name: str, runs: list[tuple[int, float]], others: int) -> list[Figure]:
    """The worst of the runs."""
    before, waits = [run[0] for run in runs], [run[1] for run in runs]
    target = Target("value", "<=", IN_HAND + others)
    note = f"{IN_HAND} in the workers' hands, {others} in a rotation"
    return [
        Figure(f"dispatch_fair.{name}", max(before), "jobs", before, target=target, note=note),
        Figure(f"dispatch_fair.{name}.wait", max(waits), "ms", waits),
    ]


def _asked(url: str, many: list[Envelope]) -> tuple[int, float]:
    """How many jobs began before the one, and the milliseconds that it waited."""
    redis_server.empty(url)
    transport = Transport(url)
    transport.push(many)
    roles = [["working", url, f"w{number}"] for number in range(job_workers.PROCESSES)]
    _seconds, answers = crew.at_work(__name__, "role", [*roles, ["asking", url, "one"]])
    asked, job_id = answers[-1]
    found: Any = transport.client.xrange(RESULTS, min=f"({asked}")
    began = [(entry, Report.parsed(said["report"])) for entry, said in found]
    starts = [(entry, one.job_id) for entry, one in began if one.kind == "started"]
    place, entry = next((n, entry) for n, (entry, job) in enumerate(starts) if job == job_id)
    assert len(starts) < len(many)  # others still waited
    return place, _milliseconds(entry) - _milliseconds(asked)


def role(name: str, url: str, about: str) -> Callable[[], Any]:
    return {"working": job_workers.working, "asking": _asking}[name](url, about)


def _asking(url: str, org: str) -> Callable[[], tuple[str, str]]:
    """Answers with the place in the stream where it asked, and the job's id."""
    transport, one = Transport(url), envelope(org)

    def ask() -> tuple[str, str]:
        time.sleep(BEFORE)
        stream = _given_at(transport, one)
        while '"queued"' in _status(transport, one):
            time.sleep(0.001)
        transport.client.set(job_workers.OVER, 1)
        transport.client.delete(RING)
        return stream["last-generated-id"], one.job_id

    return ask


def _given_at(transport: Transport, one: Envelope) -> Any:
    """Give the job as `push` does, and say how far the reports were at that moment: in one step,
    or what begins meanwhile would look like having gone before it."""
    name, words = operations.giving("LPUSH", one)
    with transport.client.pipeline(transaction=True) as at_once:
        at_once.xinfo_stream(RESULTS)
        at_once.evalsha(operations.SHA, 0, name, len(words), *words)
        stream, _given = at_once.execute()
    return stream


def _status(transport: Transport, job: Envelope) -> str:
    return str(transport.client.get(f"sri:job:{job.job_id}:status"))


def _milliseconds(entry: str) -> int:
    return int(entry.partition("-")[0])
