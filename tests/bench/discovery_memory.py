"""What it costs in memory to look at an origin with very many candidates.

Each look happens in a fresh process; the figure is how much its resident memory grew at its peak
over what it was just before, sampled in a thread. Both the survey and the round see every row:
the organismo of the round has another format of case numbers, so that the round drops each case
and the origin stays as it is.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psutil
from django.conf import settings
from django.test.utils import override_settings
from django.utils import timezone

from brain import cycles
from brain.attachments import Gatherer
from brain.claimers import SqlClaimer
from brain.claiming import ClaimRound
from brain.models import Organismo
from brain.surveying import survey
from orchestrator_site.demo.origin import create_origin
from tests.bench.support import inside
from tests.bench.support.figure import Figure, Target, plain
from tests.bench.support.rows import add_candidates
from tests.factories import FlowFactory, OrganismoFactory

CANDIDATES, RUNS = 200_000, 5
QUICK_CANDIDATES, QUICK_RUNS = 20_000, 2
ACCEPTING, DROPPING = "accepting", "dropping"
EVERY = 0.005  # seconds between samples
MIB = 2**20


@dataclass
class Watch:
    """The growth of this process's resident memory at its peak, in MiB."""

    peak: float = 0.0
    seconds: float = 0.0


@contextmanager
def watched() -> Iterator[Watch]:
    process, watch, over = psutil.Process(), Watch(), threading.Event()
    before = process.memory_info().rss

    def sample() -> None:
        while not over.wait(EVERY):
            watch.peak = max(watch.peak, (process.memory_info().rss - before) / MIB)

    thread = threading.Thread(target=sample, daemon=True)
    thread.start()
    began = time.perf_counter()
    try:
        yield watch
    finally:
        watch.seconds = time.perf_counter() - began
        over.set()
        thread.join()
        watch.peak = max(watch.peak, (process.memory_info().rss - before) / MIB)


def run(quick: bool) -> list[Figure]:
    size, times = (QUICK_CANDIDATES, QUICK_RUNS) if quick else (CANDIDATES, RUNS)
    flow = FlowFactory()
    OrganismoFactory(site_id=ACCEPTING, flow_name=flow.name)
    OrganismoFactory(site_id=DROPPING, flow_name=flow.name, regex_expediente=r"^OTHER-\d+$")
    fill(size)
    return [
        taken("discovery_memory.survey", look, size, times, Target("value", "<", 64)),
        taken("discovery_memory.claim_round", drop_all, size, times, Target("value", "<", 64)),
        taken("discovery_memory.dry_run", dry, size, times),
    ]


def fill(size: int) -> None:
    with closing(sqlite3.connect(create_origin(settings.ORIGIN_PATH))) as database:
        add_candidates(database, 1, size)


def taken(
    name: str,
    function: Callable[[int], list[float]],
    size: int,
    times: int,
    target: Target | None = None,
) -> Figure:
    """The growth over `times` fresh processes; the time is told beside it."""
    both = [inside.call(__name__, function.__name__, size) for _ in range(times)]
    seconds = ", ".join(f"{elapsed:.1f} s" for _, elapsed in both)
    growth = [peak for peak, _ in both]
    return plain(name, growth, "MiB", target, f"{size:,} candidates in {seconds}")


def look(size: int) -> list[float]:
    """A whole survey, with the attachments looked for; nobody keeps what it finds."""
    organismo = Organismo.objects.get(site_id=ACCEPTING)
    with watched() as watch:
        gatherer = Gatherer(organismo, timezone.localdate())
        seen = sum(found.is_wanted for found in survey(organismo, gatherer))
    assert seen == size, seen
    return [watch.peak, watch.seconds]


def drop_all(size: int) -> list[float]:
    """An organismo's whole part of a cycle, which finds every case and takes none."""
    organismo = Organismo.objects.get(site_id=DROPPING)
    with watched() as watch:
        report = ClaimRound(organismo, SqlClaimer(organismo)).run(quota=size)
    assert (report.discarded, report.claimed, report.error) == (size, 0, ""), report
    return [watch.peak, watch.seconds]


@override_settings(BRAIN_MAX_CLAIMS=50)
def dry(size: int) -> list[float]:
    """What the page and the API show before anything is claimed: all cases, at once."""
    with watched() as watch:
        shown = list(cycles.dry_run([ACCEPTING]))
    assert len(shown[0].cases) == size, shown[0].error
    return [watch.peak, watch.seconds]
