"""Waking a loop: by PostgreSQL's NOTIFY, by nothing elsewhere."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
from django.db import connection, transaction

from orchestrator_site import sessions, waking
from orchestrator_site.sessions import run_leased
from orchestrator_site.stopping import Stop
from orchestrator_site.waking import Bell

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.database]
LONG = 10.0  # seconds; nothing here may take as long


@pytest.fixture
def bell() -> Iterator[Bell]:
    """One that listens."""
    with Bell("A queue", Stop()) as bell:
        bell.wait(0)
        yield bell


@pytest.fixture
def listens(bell: Bell) -> None:
    if connection.vendor != "postgresql":
        pytest.skip("only PostgreSQL notifies")


def seconds(work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def later(work: Callable[[], object], delay: float = 0.2) -> threading.Timer:
    timer = threading.Timer(delay, work)
    timer.start()
    return timer


@pytest.mark.usefixtures("listens")
def test_what_is_notified_ends_the_wait(bell: Bell) -> None:
    def enqueue() -> None:
        try:
            waking.notify(bell.channel)
        finally:
            connection.close()

    timer = later(enqueue)
    assert seconds(lambda: bell.wait(LONG)) < LONG / 2
    timer.join()
    assert not bell.wait(0.05), "it rang once"


@pytest.mark.usefixtures("listens")
def test_what_rang_while_it_worked_is_heard_afterwards_and_once(bell: Bell) -> None:
    for _number in range(5):
        waking.notify(bell.channel)
    time.sleep(0.5)  # it works meanwhile: PostgreSQL tells the one after the other
    assert bell.wait(LONG)
    assert not bell.wait(0.05)


@pytest.mark.usefixtures("listens")
def test_another_channel_is_not_heard(bell: Bell) -> None:
    waking.notify("another")
    assert not bell.wait(0.1)


@pytest.mark.usefixtures("listens")
def test_it_rings_on_commit_alone(bell: Bell) -> None:
    with transaction.atomic():
        waking.notify(bell.channel)
        transaction.set_rollback(True)
    assert not bell.wait(0.1)
    with transaction.atomic():
        waking.notify(bell.channel)
        assert not bell.wait(0.1)
    assert bell.wait(LONG)


@pytest.mark.usefixtures("listens")
def test_a_lost_connection_is_made_anew_and_what_was_missed_is_looked_for(bell: Bell) -> None:
    assert bell._line
    lost = bell._line.connection.info.backend_pid
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_terminate_backend(%s)", [lost])
    waking.notify(bell.channel)  # nobody hears it
    assert not bell.wait(0.1), "the loss is told in the log, and slept over"
    assert bell.wait(LONG), "there may be work"
    assert not bell.wait(0.1)
    waking.notify(bell.channel)
    assert bell.wait(LONG)


@pytest.mark.usefixtures("listens")
def test_a_stop_ends_the_wait(bell: Bell) -> None:
    timer = later(bell.stop.request)
    assert seconds(lambda: bell.wait(LONG)) < LONG / 2
    timer.join()


@pytest.mark.usefixtures("listens")
def test_it_leaves_no_connection_behind(bell: Bell) -> None:
    assert bell._line
    pid = bell._line.connection.info.backend_pid
    bell.close()
    bell.close()

    def is_there() -> bool:
        with connection.cursor() as cursor:
            cursor.execute("SELECT count(*) FROM pg_stat_activity WHERE pid = %s", [pid])
            return bool(cursor.fetchone()[0])

    until = time.monotonic() + LONG
    while is_there() and time.monotonic() < until:
        time.sleep(0.05)
    assert not is_there()


def test_without_a_channel_it_sleeps_until_a_stop() -> None:
    stop = Stop()
    with Bell("", stop) as bell:
        assert seconds(lambda: bell.wait(0.1)) >= 0.1
        assert not bell.wait(0)
        later(stop.request)
        assert seconds(lambda: bell.wait(LONG)) < LONG / 2


def test_to_notify_is_harmless_where_nobody_listens() -> None:
    waking.notify("nobody")


def test_an_idle_session_is_woken_or_looks_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """On PostgreSQL long before it would look; elsewhere it does look."""
    notifies = connection.vendor == "postgresql"
    monkeypatch.setattr(sessions, "IDLE", LONG if notifies else 0.1)
    stop = Stop()
    turns: list[float] = []

    def step(stopped: Callable[[], bool]) -> bool:
        turns.append(time.monotonic())
        if len(turns) == 2:  # the first look, and the one after it began to listen
            later(notify)
        if len(turns) == 3:
            stop.request()
        return False

    def notify() -> None:
        waking.notify("a queue")
        connection.close()

    minute = timedelta(minutes=1)
    assert run_leased("loop", step, stop, duration=minute, channel="a queue")
    assert len(turns) == 3
    assert turns[-1] - turns[0] < LONG / 2
