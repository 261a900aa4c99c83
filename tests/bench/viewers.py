"""The overview on many screens: a real web process on PostgreSQL, asked every two seconds by each.

As browsers do it: with a session, on a connection that stays open, with the ETag of what they show.
Queries are the transactions that the database counts, whoever's: outside of a block a statement is
one, and so is the look of Django at whether its connection still answers.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import psycopg
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.contrib.auth.models import Group, User
from django.contrib.sessions.backends.db import SessionStore

from queues.models import Generator
from tests.bench.support import inside, tasks
from tests.bench.support.figure import Figure, Target, plain
from tests.factories import DeviceFactory, EndpointFactory, NbcRecordFactory
from tests.machine import ROOT, wait_for
from tests.postgres import free_port

VIEWERS, EVERY, SECONDS = 200, 2.0, 30.0
QUICK_VIEWERS, QUICK_SECONDS = 50, 10.0
APPEALS = 2000
LET_IN = 12.0  # seconds: by then sessions have told of what letting everybody in has cost
MOST_QUERIES, MOST_CPU = 2, 3
PATH = "/admin/live/overview/"
TICKS = os.sysconf("SC_CLK_TCK")


def run(quick: bool) -> list[Figure]:
    viewers, seconds = (QUICK_VIEWERS, QUICK_SECONDS) if quick else (VIEWERS, SECONDS)
    with inside.on_postgresql() as environment:
        cookies = inside.call(__name__, "prepare", viewers, environment=environment)
        with _serving(environment) as (process, port):
            looking = [environment, process.pid, port, seconds]
            alone = _measured(cookies[:1], *looking)
            all_of_them = _measured(cookies, *looking)
    cpu = all_of_them["cpu"] / alone["cpu"]
    answered = all_of_them["seconds"]
    note = f"{viewers} viewers, {len(answered)} answers, {all_of_them['unchanged']} of them 304"
    times = f"median {statistics.median(answered) * 1000:.1f} ms, worst {max(answered) * 1000:.0f}"
    return [
        plain(
            "viewers.queries",
            (all_of_them["queries"] / seconds,),
            "/s",
            Target("value", "<=", MOST_QUERIES),
            f"{note}; {times}; one viewer {alone['queries'] / seconds:.2f}/s",
        ),
        Figure(
            name="viewers.cpu",
            value=all_of_them["cpu"] / seconds * 1000,
            unit="ms/s",
            runs=(all_of_them["cpu"] / seconds * 1000,),
            baseline=alone["cpu"] / seconds * 1000,
            ratio=cpu,
            target=Target("ratio", "<=", MOST_CPU),
            note=f"{viewers} viewers to one",
        ),
    ]


def prepare(viewers: int) -> list[str]:
    """A state to be looked at, and the session of each viewer."""
    tasks.fresh(APPEALS)
    for row in Generator.objects.all():
        EndpointFactory(generator=row)
        DeviceFactory.create_batch(50, fleet=row.fleet, process=row.process)
    NbcRecordFactory.create_batch(200)
    viewer = Group.objects.get(name="viewer")
    return [_session(number, viewer) for number in range(viewers)]


def _session(number: int, role: Group) -> str:
    user = User.objects.create_user(f"viewer-{number}", is_staff=True)
    user.groups.add(role)
    session = SessionStore()
    session[SESSION_KEY] = str(user.pk)
    session[BACKEND_SESSION_KEY] = settings.AUTHENTICATION_BACKENDS[-1]
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.create()
    return f"{settings.SESSION_COOKIE_NAME}={session.session_key}"


@contextmanager
def _serving(environment: Mapping[str, str]) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    port = free_port()
    command = [sys.executable, str(Path(ROOT) / "manage.py"), "web", "--port", str(port)]
    process = subprocess.Popen(command, env={**environment}, cwd=ROOT, stdout=subprocess.DEVNULL)

    def is_up() -> bool:
        try:
            return _asked(HTTPConnection("127.0.0.1", port, timeout=30), "/healthz", {})[0] == 200
        except OSError:
            return False

    try:
        wait_for(is_up, "the web process")
        yield process, port
    finally:
        process.kill()
        process.wait()


def _measured(
    cookies: list[str], environment: Mapping[str, str], pid: int, port: int, seconds: float
) -> dict[str, Any]:
    """Everybody looks for a while, after all have been let in."""
    start = threading.Barrier(len(cookies) + 1)
    found: list[tuple[float, int]] = []
    threads = [
        threading.Thread(
            target=_look, args=(cookie, port, place / len(cookies), seconds, start, found)
        )
        for place, cookie in enumerate(cookies)
    ]
    for thread in threads:
        thread.start()
    start.wait()
    time.sleep(LET_IN)
    with psycopg.connect(environment["DATABASE_URL"], autocommit=True) as database:
        queries, cpu = -_transactions(database), -_cpu(pid)
        time.sleep(seconds)
        queries, cpu = queries + _transactions(database), cpu + _cpu(pid)
    for thread in threads:
        thread.join()
    assert all(status in (200, 304) for _seconds, status in found), found[-3:]
    return {
        "queries": queries,
        "cpu": cpu,
        "seconds": [took for took, _status in found],
        "unchanged": sum(status == 304 for _took, status in found),
    }


def _look(
    cookie: str, port: int, place: float, seconds: float, start: threading.Barrier, found: Any
) -> None:
    connected = HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"Cookie": cookie}
    _status, tag = _asked(connected, PATH, headers)
    start.wait()
    began = time.monotonic()
    time.sleep(place * EVERY)
    while time.monotonic() - began < LET_IN + seconds + 1:
        asked = time.monotonic()
        status, tag = _asked(connected, PATH, {**headers, "If-None-Match": tag})
        found.append((time.monotonic() - asked, status))
        time.sleep(max(0.0, EVERY - (time.monotonic() - asked)))


def _asked(connected: HTTPConnection, path: str, headers: Mapping[str, str]) -> tuple[int, str]:
    connected.request("GET", path, headers=dict(headers))
    answer = connected.getresponse()
    answer.read()
    return answer.status, answer.getheader("ETag", "")


def _cpu(pid: int) -> float:
    """Seconds that the process has worked, in all of its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _transactions(database: psycopg.Connection[Any]) -> int:
    """So far. Sessions tell of theirs once a second."""
    row = database.execute(
        "SELECT xact_commit + xact_rollback FROM pg_stat_database"
        " WHERE datname = current_database()"
    ).fetchone()
    assert row
    return int(row[0])
