"""Hundreds of calls of one second each, from one worker process: they must not wait in line.

A scraper in a process of its own accepts each task after a second. Measured from the worker's
first step to the last row that says so.
"""

from __future__ import annotations

import os
import time

from brain import assigning
from queues.models import DistributionConfig, Generator, QueueEntry
from queues.posting import ScraperWorker
from tests.bench.support import inside, people, slow_scraper, tasks
from tests.bench.support.figure import Figure, Target, plain
from tests.factories import EndpointFactory

CALLS, SECONDS, RUNS, QUICK_RUNS = 500, 1.0, 5, 2
LONGEST = 2.5  # seconds


def run(quick: bool) -> list[Figure]:
    times = QUICK_RUNS if quick else RUNS
    with slow_scraper.running(SECONDS) as url:
        with inside.on_postgresql() as environment:
            environment["SCRAPER_ALLOWED_NETWORKS"] = "127.0.0.0/8"
            postgresql = inside.call(__name__, "posted", url, times, environment=environment)
        lite = {**os.environ, "SCRAPER_ALLOWED_NETWORKS": "127.0.0.0/8"}
        sqlite = inside.call(__name__, "posted", url, times, environment=lite)
    target, note = Target("value", "<", LONGEST), f"{CALLS} calls of {SECONDS:g} s"
    return [
        plain("scraper_inflight.postgresql", postgresql, "s", target, note),
        plain("scraper_inflight.sqlite", sqlite, "s", target, note),
    ]


def posted(url: str, times: int) -> list[float]:
    """The seconds of each run, by one worker that stays."""
    worker = ScraperWorker("bench", in_flight=CALLS)
    try:
        return [_posted(worker, url) for _run in range(times)]
    finally:
        worker.close()


def _posted(worker: ScraperWorker, url: str) -> float:
    prepare(url)
    began = time.perf_counter()
    while worker.step():
        pass
    seconds = time.perf_counter() - began
    accepted = QueueEntry.objects.filter(status=QueueEntry.Status.ACCEPTED, endpoint=url)
    assert accepted.count() == CALLS
    return seconds


def prepare(url: str) -> None:
    """Everybody is assigned, each to a device of its own."""
    people.nobody()
    row = Generator.objects.get(name="G_SISEC")
    if not row.endpoints.exists():
        EndpointFactory(generator=row, url=url)
    DistributionConfig.current()
    DistributionConfig.objects.update(batch_size=CALLS)
    people.add_devices(row, CALLS)
    people.add(CALLS)
    assert len(assigning.run_round().decisions) == CALLS
    tasks.settle()
