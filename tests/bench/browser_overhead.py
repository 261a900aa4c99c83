"""What the worker costs over a bare Playwright script that files the same appeals.

Ours: a task taken, filed and settled by `TramiteWorker.step`, with the lease, the permit, the
evidence (log, pictures, trace, receipt) and its storage. Bare: the same pages, fields, upload and
download in a script of its own process. Both keep one browser and open a context an appeal; they
take turns, appeal by appeal, and who goes first changes too. The world is a third process.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from django.conf import settings
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from orchestrator_site.demo import flows
from orchestrator_site.demo.origin import create_origin
from orchestrator_site.demo.passing import world
from orchestrator_site.demo.world import books
from orchestrator_site.demo.world.pdf import pdf
from queues.browser import scripts
from queues.models import TramiteTask
from queues.workers import TramiteWorker
from tests.bench.support.figure import Figure, Target, compared
from tests.factories import TramiteTaskFactory

APPEALS, RUNS = 10, 7
QUICK_APPEALS, QUICK_RUNS = 4, 3
WARM_UP = 3
SCRIPT = scripts.canonical(flows.XALOC)
PAPER = pdf(tuple(f"Recurso contra la denuncia, línea {number}" for number in range(40)))
MOTIVOS = {
    "asunto": "Recurso contra la denuncia del expediente",
    "expone": "Que no está conforme con los hechos que se le imputan. " * 8,
    "solicita": "Que se archive el expediente sin más trámite. " * 4,
}


@dataclass
class Bare:
    """The script's process."""

    process: subprocess.Popen[str]
    files: list[str]

    def file(self, payload: dict[str, Any]) -> float:
        assert self.process.stdin and self.process.stdout
        appeal = {"url": link(payload["expediente"]), "payload": payload, "files": self.files}
        print(json.dumps(appeal), file=self.process.stdin, flush=True)
        return float(self.process.stdout.readline())


@dataclass
class Ours:
    """The worker, and the task that it is given."""

    worker: TramiteWorker
    attachments: list[dict[str, Any]] = field(default_factory=list)

    def file(self, payload: dict[str, Any]) -> float:
        task = TramiteTaskFactory(
            payload=payload,
            url_directa=link(payload["expediente"]),
            attachments=self.attachments,
            flow_name="xaloc_girona",
            script=SCRIPT,
            script_hash=scripts.sha256(SCRIPT),
        )
        began = time.perf_counter()
        assert self.worker.step()
        seconds = time.perf_counter() - began
        task.refresh_from_db()
        assert task.status == TramiteTask.Status.COMPLETED, (task.status, task.error_log)
        return seconds


def run(quick: bool) -> list[Figure]:
    appeals, times = (QUICK_APPEALS, QUICK_RUNS) if quick else (APPEALS, RUNS)
    create_origin(settings.ORIGIN_PATH)
    with world(), bare() as theirs, worker() as ours:
        payloads = map(payload, itertools.count(1))
        taken_turns(ours.file, theirs.file, payloads, WARM_UP)
        runs = [taken_turns(ours.file, theirs.file, payloads, appeals) for _ in range(times)]
        filed = (WARM_UP + appeals * times) * 2
        assert len(books.filings("xaloc")) == filed, "not every appeal reached the site"
    return [
        compared(
            "browser_overhead",
            [seconds / appeals * 1000 for seconds, _ in runs],
            [seconds / appeals * 1000 for _, seconds in runs],
            "ms",
            Target("ratio", "<=", 1.25),
            f"an appeal, {appeals} a run",
        )
    ]


def taken_turns(
    ours: Callable[[dict[str, Any]], float],
    bare: Callable[[dict[str, Any]], float],
    payloads: Iterator[dict[str, Any]],
    appeals: int,
) -> tuple[float, float]:
    """Seconds that each side took for as many appeals."""
    seconds = {ours: 0.0, bare: 0.0}
    for number in range(appeals):
        for side in (ours, bare) if number % 2 else (bare, ours):
            seconds[side] += side(next(payloads))
    return seconds[ours], seconds[bare]


def payload(number: int) -> dict[str, Any]:
    return {
        "expediente": f"2026/{number:06d}-MUL",
        "numclient": 500 + number,
        "sujeto_recurso": "Ana Inventada Pérez",
        "motivos": MOTIVOS,
    }


def link(expediente: str) -> str:
    return f"{settings.DEMO_WORLD_URL}/sede/xaloc/?Expedient={expediente}"


@contextmanager
def worker() -> Iterator[Ours]:
    stored = {
        "name": "recurso.pdf",
        "path": default_storage.save("attachments/recurso.pdf", ContentFile(PAPER)),
        "size": len(PAPER),
        "sha256": hashlib.sha256(PAPER).hexdigest(),
    }
    started = TramiteWorker("bench")
    try:
        yield Ours(started, [stored])
    finally:
        started.close()


@contextmanager
def bare() -> Iterator[Bare]:
    with TemporaryDirectory(prefix="bare-") as folder:
        paper = Path(folder) / "recurso.pdf"
        paper.write_bytes(PAPER)
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.bench.support.bare", folder],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=dict(os.environ),
            cwd=settings.BASE_DIR,
        )
        try:
            yield Bare(process, [str(paper)])
        finally:
            process.communicate()
