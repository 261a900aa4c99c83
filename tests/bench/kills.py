"""`kill -9` at random instants of a distribution at work: nothing lost, nobody looked up twice at
once, no device kept, and how long until the service is back by itself.

Real processes: the web, the demo's scrapers, the supervised clusters `brain` and `scrapers`. After
each kill somebody new has to be handed to a scraper; the killed cluster has to execute a canary
again, and each loop has to have a living session. The last of these is when the service is back.
"""

from __future__ import annotations

import math
import random
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import psutil
import requests
from django.conf import settings

from devices.models import Device, Worker
from orchestrator_site.clock import db_now
from orchestrator_site.demo import seeding
from orchestrator_site.demo.people import invented_curp
from orchestrator_site.demo.world import scraper_books
from orchestrator_site.models import Lease
from queues.models import DistributionConfig, NbcRecord, QueueEntry
from queues.starts import LET_END
from tests.bench.support.figure import Figure, Target, plain
from tests.machine import Machine, wait_for
from tests.postgres import free_port

KILLS, QUICK_KILLS = 50, 5
PEOPLE_A_KILL = 6
UP_WITHIN = 60.0  # seconds
BACK_WITHIN = 200.0
ENDED_WITHIN = 240.0
LONGEST_PAUSE = 3.0
LOOPS = {"brain": ("brain", "distribution"), "scrapers": ("scrapers",)}


@dataclass(frozen=True)
class Kill:
    """What was killed, and the seconds until the service was back."""

    who: str
    back: float


@dataclass
class Stage:
    """The machine at work."""

    random: random.Random
    supervisors: dict[str, psutil.Process] = field(default_factory=dict)
    people: int = 0

    def add_person(self, priority: int = 0) -> str:
        """Somebody new whom the scrapers will find; their CURP."""
        self.people += 1
        curp = invented_curp(self.people)
        NbcRecord.objects.create(curp=curp, data={"curp": curp}, priority=priority)
        return curp

    def main(self, cluster: str) -> psutil.Process:
        return max(self.supervisors[cluster].children(), key=lambda one: one.create_time())

    def members(self, cluster: str) -> list[psutil.Process]:
        """The sentinel, and what it forked: workers, pusher, monitor."""
        return list(self.main(cluster).children(recursive=True))


def run(quick: bool) -> list[Figure]:
    seed = random.randrange(10_000)
    with stage(seed) as here:
        kills = killed(here, QUICK_KILLS if quick else KILLS)
        deaf = [] if quick else [fell_deaf(here, cluster) for cluster in LOOPS]
        _when(lambda: not unended(), ENDED_WITHIN)
        note = f"seed {seed}: " + "; ".join(f"{one.who} {one.back:.1f} s" for one in kills)
        return [*_times(kills, deaf, note), *_faults()]


def few(*whom: str) -> dict[str, float]:
    """One kill of each: when the service was back, and what must be 0."""
    with stage(seed=1) as here:
        backs = {name: kill(here, name) for name in whom}
        return backs | {figure.name: figure.value for figure in _faults()}


@contextmanager
def stage(seed: int, **environment: str) -> Iterator[Stage]:
    """Everything up, each loop under way."""
    machine = Machine(
        Path(settings.DATA_DIR),
        DEMO_WORLD_URL=settings.DEMO_WORLD_URL,
        LOG_LEVEL="CRITICAL",
        **environment,
    )
    DistributionConfig.objects.filter(pk=DistributionConfig.current().pk).update(result_minutes=1)
    port = free_port()
    web = f"http://127.0.0.1:{port}"
    seeding.seed_distribution(web)
    here = Stage(random.Random(seed))
    with ExitStack() as running:
        running.enter_context(machine.running("web", "--port", str(port)))
        running.enter_context(machine.running("demoworld"))
        clusters = {
            name: running.enter_context(machine.running("runcluster", name)) for name in LOOPS
        }
        running.callback(_end, list(clusters.values()))
        here.supervisors = {name: psutil.Process(one.pid) for name, one in clusters.items()}
        for url in (f"{web}/healthz", f"{settings.DEMO_WORLD_URL}/_up"):
            wait_for(partial(_answers, url), url, UP_WITHIN)
        wait_for(lambda: all(map(_is_in_session, LOOPS)), "a session of each loop", UP_WITHIN)
        yield here


def killed(here: Stage, times: int) -> list[Kill]:
    """One after the other, each victim as often as the others, in random order."""
    order = list(VICTIMS) * math.ceil(times / len(VICTIMS))
    here.random.shuffle(order)
    return [Kill(name, kill(here, name)) for name in order[:times]]


def kill(here: Stage, name: str) -> float:
    """Kill it in the midst of work; the seconds until the service was back."""
    cluster, find = VICTIMS[name]
    for _person in range(PEOPLE_A_KILL):
        here.add_person()
    time.sleep(here.random.uniform(0, LONGEST_PAUSE))
    victim = wait_for(partial(find, here, cluster), name, UP_WITHIN)
    at = time.time()
    victim.kill()
    return _seconds_until_back(here, cluster, at)


def fell_deaf(here: Stage, cluster: str) -> float:
    """The same of a cluster whose processes are all there, and do nothing."""
    at = time.time()
    for member in here.members(cluster):
        member.send_signal(signal.SIGSTOP)
    return _seconds_until_back(here, cluster, at)


def unended() -> int:
    """People who are neither done nor about to be assigned."""
    resting = (*NbcRecord.FINAL, NbcRecord.Status.PENDING, NbcRecord.Status.AFTER_MIDNIGHT)
    return NbcRecord.objects.exclude(status__in=resting).count()


def lost() -> int:
    """Those of them for whom no clock runs any more that would end their task."""
    now, status = db_now(), QueueEntry.Status
    queued = QueueEntry.objects.filter(status=status.ASSIGNED)
    posting = QueueEntry.objects.filter(status=status.PROCESSING, lease_expires_at__gt=now)
    accepted = QueueEntry.objects.filter(status=status.ACCEPTED, result_due_at__gt=now)
    waited_for = {row.nbc_id for rows in (queued, posting, accepted) for row in rows}
    assigned = NbcRecord.objects.filter(status=NbcRecord.Status.P1)
    return assigned.exclude(pk__in=waited_for).count()


def _times(kills: list[Kill], deaf: list[float], note: str) -> Iterator[Figure]:
    backs = [one.back for one in kills]
    yield plain("kills.back_after_a_death", backs, "s", Target("value", "<=", 15), note)
    yield plain("kills.slowest_back", [max(backs)], "s", Target("value", "<=", 30))
    if deaf:
        yield plain("kills.slowest_back_of_deaf", [max(deaf)], "s", Target("value", "<=", 150))


def _faults() -> list[Figure]:
    live = QueueEntry.objects.filter(status__in=QueueEntry.LIVE)
    held = Device.objects.filter(available=False)
    kept = [
        one
        for one in held
        if not live.filter(pk=one.task_id).exists() or one.lease_expires_at < db_now()
    ]
    none = Target("value", "<=", 0)
    return [
        plain("kills.people", [NbcRecord.objects.count()], "people"),
        plain("kills.unended", [unended()], "people", none),
        plain("kills.lost", [lost()], "people", none),
        plain("kills.twice_at_once", [len(scraper_books.twice_at_once())], "calls", none),
        plain("kills.devices_kept", [len(kept)], "devices", none),
    ]


def _seconds_until_back(here: Stage, cluster: str, at: float) -> float:
    curp = here.add_person(priority=100)
    called = partial(scraper_books.calls, curp)
    wait_for(
        lambda: called() and _executes(cluster, at) and all(map(_is_in_session, LOOPS)),
        f"the service after a kill in {cluster}",
        BACK_WITHIN,
    )
    return time.time() - at


def _executes(cluster: str, since: float) -> bool:
    """Whether the cluster has executed a canary since then."""
    row = Worker.objects.get(kind="cluster", name__startswith=f"cluster {cluster}@")
    return row.doing == "executes" and row.heartbeat_at > datetime.fromtimestamp(since, UTC)


def _is_in_session(cluster: str) -> bool:
    return all(_holder(loop) for loop in LOOPS[cluster])


def _holder(loop: str) -> psutil.Process | None:
    """The living process that runs the loop."""
    lease = Lease.objects.filter(name__startswith=loop, expires_at__gt=db_now()).first()
    with suppress(psutil.NoSuchProcess):
        if lease and (holder := psutil.Process(int(lease.holder.rpartition(":")[2]))):
            return holder if holder.status() != psutil.STATUS_ZOMBIE else None
    return None


def _main(here: Stage, cluster: str) -> psutil.Process:
    return here.main(cluster)


def _member(here: Stage, cluster: str) -> psutil.Process:
    return here.random.choice(here.members(cluster))


VICTIMS: dict[str, tuple[str, Callable[[Stage, str], psutil.Process | None]]] = {
    "main of brain": ("brain", _main),
    "main of scrapers": ("scrapers", _main),
    "one of brain": ("brain", _member),
    "one of scrapers": ("scrapers", _member),
    "distributor": ("brain", lambda _here, _cluster: _holder("distribution")),
    "caller": ("scrapers", lambda _here, _cluster: _holder("scrapers")),
}


def _end(supervisors: list[subprocess.Popen[bytes]]) -> None:
    """By themselves: what a killed supervisor leaves would work on."""
    for supervisor in supervisors:
        supervisor.terminate()
    for supervisor in supervisors:
        supervisor.wait(LET_END + 15)


def _answers(url: str) -> bool:
    with suppress(requests.RequestException):
        return requests.get(url, timeout=2).ok
    return False


def _when(is_so: Callable[[], bool], seconds: float) -> None:
    until = time.monotonic() + seconds
    while not is_so() and time.monotonic() < until:
        time.sleep(0.5)
