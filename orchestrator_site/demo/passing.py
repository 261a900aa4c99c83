"""One whole pass of the demo, in this process: the brain, the worker, the judgement."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import requests
from django.conf import settings

from brain import cycles
from brain.models import RecursosExp
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.demo import controlling, distributing, processing, seeding
from orchestrator_site.demo.bucket import free_port
from orchestrator_site.demo.cases import CASES
from orchestrator_site.demo.controlling import JobOutcome
from orchestrator_site.demo.distributing import PersonOutcome
from orchestrator_site.demo.judging import Outcome, judge_all
from orchestrator_site.demo.processing import PassOutcome
from orchestrator_site.sessions import me
from queues.models import TramiteTask
from queues.workers import TramiteWorker

Tell = Callable[[str, int, int], None]  # what, how many done, of how many


class NotUp(Exception):
    """A process that the pass needs did not come up."""


@dataclass(frozen=True)
class Passed:
    """What came of each case, each person, each pass over a company's complaints and each run of an
    organisation, and what must not be, whoever it happened to."""

    cases: list[Outcome]
    people: list[PersonOutcome]
    files: list[PassOutcome]
    jobs: list[JobOutcome]
    faults: list[str]


def run(tell: Tell = lambda what, done, of: None) -> Passed:
    """Appeals: claim, file, let a person interfere, claim and file again. Then people: distribute
    and look up. The application serves meanwhile: scrapers report to it. Then complaints: extract,
    load, upload, verify. Then organisations' runs."""
    seeding.seed()
    with world(), web() as address:
        _cycle(tell)
        _file_all(tell)
        _interfere()
        _cycle(tell)
        _file_all(tell)
        seeding.seed_distribution(address)
        people = distributing.run(tell)
        files = processing.run(tell)
        jobs = controlling.run(address, tell)
    return Passed(judge_all(), people, files, jobs, distributing.faults())


@contextmanager
def world() -> Iterator[None]:
    """The demo world in its own process, for the length of the block."""
    with _process("demoworld", up=f"{settings.DEMO_WORLD_URL}/_up"):
        yield


@contextmanager
def web() -> Iterator[str]:
    """The application, served by a process of its own; its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    with _process("web", "--port", str(port), up=f"{address}/healthz"):
        yield address


@contextmanager
def _process(*command: str, up: str) -> Iterator[None]:
    manage = str(Path(settings.BASE_DIR) / "manage.py")
    process = subprocess.Popen(
        [sys.executable, manage, *command],
        env=dict(settings.ENVIRON),
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_until_up(process, up)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_up(process: subprocess.Popen[bytes], address: str) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(address, timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise NotUp(f"{address} did not come up.")


def _cycle(tell: Tell) -> None:
    tell("claiming", 0, 1)
    with acting_as(ActorKind.BRAIN, me("brain")):
        cycles.run_cycle(progress=lambda organismo, report: tell(f"claimed: {organismo}", 0, 1))


def _file_all(tell: Tell) -> None:
    name = me("tramite")
    with acting_as(ActorKind.WORKER, name):
        worker = TramiteWorker(name)
        try:
            while left := _waiting():
                worker.step()
                total = TramiteTask.objects.exclude(status=TramiteTask.Status.HELD).count()
                tell("filing", total - left + 1, total)
        finally:
            worker.close()


def _waiting() -> int:
    status = TramiteTask.Status
    return TramiteTask.objects.filter(status__in=(status.PENDING, status.PROCESSING)).count()


def _interfere() -> None:
    """A person frees a case in the origin that is filed already."""
    freed = [case.pk for case in CASES if case.put_back]
    RecursosExp.objects.filter(pk__in=freed).update(TExp=2, Estado=0, UsuarioAsignado=None)
