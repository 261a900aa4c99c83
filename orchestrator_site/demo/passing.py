"""One whole pass of the demo, in this process: the brain, the worker, the judgement."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import requests
from django.conf import settings

from brain import cycles
from brain.models import RecursosExp
from orchestrator_site.actors import ActorKind, acting_as
from orchestrator_site.demo import seeding
from orchestrator_site.demo.cases import CASES
from orchestrator_site.demo.judging import Outcome, judge_all
from orchestrator_site.sessions import me
from queues.models import TramiteTask
from queues.workers import TramiteWorker

Tell = Callable[[str, int, int], None]  # what, how many done, of how many


class WorldDown(Exception):
    """The demo world did not come up."""


def run(tell: Tell = lambda what, done, of: None) -> list[Outcome]:
    """Seed, claim, file, let a person interfere, claim and file again; what came of each case."""
    seeding.seed()
    with world():
        _cycle(tell)
        _file_all(tell)
        _interfere()
        _cycle(tell)
        _file_all(tell)
    return judge_all()


@contextmanager
def world() -> Iterator[None]:
    """The demo world in its own process, for the length of the block."""
    manage = str(Path(settings.BASE_DIR) / "manage.py")
    process = subprocess.Popen(
        [sys.executable, manage, "demoworld"],
        env=dict(settings.ENVIRON),
        stdout=subprocess.DEVNULL,
    )
    try:
        _wait_until_up(process)
        yield
    finally:
        process.terminate()
        process.wait(10)


def _wait_until_up(process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            if requests.get(f"{settings.DEMO_WORLD_URL}/_up", timeout=2).ok:
                return
        except requests.RequestException:
            time.sleep(0.1)
    raise WorldDown(f"The demo world did not come up on {settings.DEMO_WORLD_URL}.")


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
