"""Lists and single rows of the API under 32 clients, against a bare view with the same bytes.

On the server that `manage.py web` is, on PostgreSQL, with connections that stay open. Each client
has a key of its own, and asks for one address after another: those of the API and, in turns with
them, those of views that return the same bytes without looking at anything.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests
from django.conf import settings
from django.contrib.auth.models import Group, User

from orchestrator_site import roles
from orchestrator_site.models import ApiKey, Event
from queues.models import Job, QueueEntry, TramiteTask
from tests.bench.support import asking, inside, million
from tests.bench.support.figure import Figure, Target, compared
from tests.machine import ROOT, wait_for
from tests.postgres import free_port

CLIENTS, ROWS, RUNS, TIMES = 32, 10_000, 5, 25
QUICK_RUNS, QUICK_TIMES = 2, 10
BOUND = 3.0


def run(quick: bool) -> list[Figure]:
    with inside.on_postgresql() as environment:
        return inside.call(__name__, "measured", quick, environment=environment)


def measured(quick: bool) -> list[Figure]:
    runs, times = (QUICK_RUNS, QUICK_TIMES) if quick else (RUNS, TIMES)
    million.fill(ROWS)
    keys = [_key(number) for number in range(CLIENTS)]
    paths = _paths()
    with _server() as port:
        for name, path in paths.items():
            _keep(port, keys[0], name, path)
        pairs = [one for name, path in paths.items() for one in (path, f"/bare/{name}")]
        asking.asked(port, keys, pairs, 2)  # what only the first use costs
        found = [asking.asked(port, keys, pairs, times) for _run in range(runs)]
    return [_figure(name, path, found) for name, path in paths.items()]


def _figure(name: str, path: str, found: list[dict[str, list[float]]]) -> Figure:
    ours, bare = ([1000 * _p99(run[one]) for run in found] for one in (path, f"/bare/{name}"))
    target = Target("ratio", "<=", BOUND)
    return compared(f"api_page.{name}", ours, bare, "ms p99", target, f"{CLIENTS} clients")


def _p99(seconds: list[float]) -> float:
    return statistics.quantiles(seconds, n=100)[98]


def _paths() -> dict[str, str]:
    rows: dict[str, tuple[str, Any]] = {
        "tramites": ("tramites", TramiteTask.objects.latest("pk").pk),
        "queue-entries": ("queue-entries", QueueEntry.objects.latest("pk").document_id),
        "jobs": ("jobs", Job.objects.latest("pk").case_id),
        "events": ("events", Event.objects.latest("pk").pk),
    }
    lists = {f"{name}-list": f"/api/v1/{route}/" for name, (route, _key) in rows.items()}
    details = {f"{name}-row": f"/api/v1/{route}/{key}/" for name, (route, key) in rows.items()}
    return {**lists, **details}


def _key(number: int) -> str:
    user = User.objects.create_user(f"client-{number}", is_staff=True)
    user.groups.add(Group.objects.get(name=roles.VIEWER))
    row = ApiKey(name="bench", user=user)
    key = row.issue()
    row.save()
    return key


def _keep(port: int, key: str, name: str, path: str) -> None:
    """The bytes that the bare view is to return."""
    headers = {"Authorization": f"Bearer {key}"}
    answer = requests.get(f"http://127.0.0.1:{port}{path}", headers=headers, timeout=60)
    assert answer.status_code == 200, answer.text
    (Path(settings.DATA_DIR) / f"{name}.json").write_bytes(answer.content)


@contextmanager
def _server() -> Iterator[int]:
    port = free_port()
    command = [sys.executable, "manage.py", "web", "--port", str(port)]
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.bench.support.bare_settings",
        "API_THROTTLE": "100000/min",
    }
    quiet: dict[str, Any] = {
        "stdout": subprocess.DEVNULL,
        "stderr": subprocess.DEVNULL,
    }  # of queues that are long
    with subprocess.Popen(command, cwd=ROOT, env=environment, **quiet) as server:
        try:
            wait_for(lambda: _is_up(port), "the server")
            yield port
        finally:
            server.kill()


def _is_up(port: int) -> bool:
    try:
        return requests.get(f"http://127.0.0.1:{port}/healthz", timeout=1).ok
    except requests.RequestException:
        return False
