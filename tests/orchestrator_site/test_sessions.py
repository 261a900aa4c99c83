"""Loops as leased sessions: one holder, handed over, and lost for good."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from orchestrator_site import sessions
from orchestrator_site.models import Lease
from orchestrator_site.models import lease as lease_module
from orchestrator_site.sessions import me, run_leased
from orchestrator_site.stopping import Stop

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Watch = Callable[[], bool]
MINUTE = timedelta(minutes=1)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


class Clock:
    """The process's and the database's clock, moved by hand."""

    seconds = 1000.0

    def monotonic(self) -> float:
        return self.seconds

    def db_now(self) -> datetime:
        return BEGAN + timedelta(seconds=self.seconds)

    def pass_by(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(sessions, "time", clock)
    monkeypatch.setattr(lease_module, "db_now", clock.db_now)
    monkeypatch.setattr(sessions, "IDLE", 0.01)
    monkeypatch.setattr(sessions, "close_old_connections", lambda: None)
    return clock


def take_over(clock: Clock) -> None:
    """Another session comes once the lease has run out: this one was asleep for so long."""
    clock.pass_by(sessions.LEASE.total_seconds() + 1)
    assert Lease.acquire("loop", "successor", MINUTE)


def is_free() -> bool:
    return Lease.objects.get(name="loop").expires_at is None


def test_a_lost_lease_stays_lost(clock: Clock) -> None:
    heard: list[bool] = []

    def step(watch: Watch) -> bool:
        assert not watch()
        take_over(clock)
        heard.extend([watch(), watch()])
        clock.pass_by(sessions.RENEW_EVERY)
        heard.append(watch())
        return True

    assert run_leased("loop", step, Stop(), duration=10 * MINUTE)
    assert heard == [True] * 3
    assert Lease.objects.get().holder == "successor", "its lease is not released by the loser"


def test_a_session_that_lost_its_lease_begins_nothing_more(clock: Clock) -> None:
    steps: list[int] = []

    def step(watch: Watch) -> bool:
        steps.append(len(steps))
        take_over(clock)
        return True

    assert run_leased("loop", step, Stop(), duration=10 * MINUTE)
    assert steps == [0]


def test_work_that_goes_on_after_the_session_s_time_keeps_its_lease(clock: Clock) -> None:
    """Within the grace it may go on; after it, it is asked to stop, and is alone until it has."""
    heard: list[bool] = []

    def step(watch: Watch) -> bool:
        for _half_a_minute in range(5):
            clock.pass_by(30)
            heard.append(watch())
            assert Lease.acquire("loop", "another session", MINUTE) is None
        return True

    assert run_leased("loop", step, Stop(), duration=timedelta(seconds=40))
    assert heard == [False, False, False, True, True], "the grace ends after 100 seconds"
    assert is_free()


def test_a_session_ends_after_its_time_and_hands_over(clock: Clock) -> None:
    begun: list[float] = []

    def step(watch: Watch) -> bool:
        begun.append(clock.seconds - 1000)
        clock.pass_by(25)
        return True

    assert run_leased("loop", step, Stop(), duration=MINUTE)
    assert begun == [0, 25, 50]
    assert is_free()
    successor = Lease.acquire("loop", "successor", MINUTE)
    assert successor
    assert successor.epoch == 2


def test_a_second_session_is_at_once_turned_away(clock: Clock) -> None:
    turned: list[Any] = []

    def step(watch: Watch) -> bool:
        turned.append(run_leased("loop", never, Stop(), duration=MINUTE))
        turned.append(run_leased("another loop", once, Stop(), duration=MINUTE))
        return True

    def never(watch: Watch) -> bool:
        raise AssertionError("two at once")

    def once(watch: Watch) -> bool:
        clock.pass_by(60)
        return True

    assert run_leased("loop", step, Stop(), duration=MINUTE)
    assert turned == [False, True]


def test_a_session_that_breaks_gives_its_lease_back() -> None:
    def step(watch: Watch) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_leased("loop", step, Stop(), duration=MINUTE)
    assert is_free()


def test_the_supervisor_s_note_ends_a_session(tmp_path: Path) -> None:
    note = tmp_path / "loop.stop"
    stop = Stop(note)
    heard: list[bool] = []

    def step(watch: Watch) -> bool:
        heard.append(watch())
        if len(heard) == 3:
            note.touch()
        return False

    assert run_leased("loop", step, stop, duration=MINUTE)
    assert heard == [False] * 3
    assert is_free()
    assert run_leased("loop", step, stop, duration=MINUTE), "it had the lease, and did nothing"
    assert len(heard) == 3
    note.unlink()
    assert not stop()


def test_an_idle_session_notices_a_request_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sessions, "IDLE", 60)
    stop = Stop()

    def step(watch: Watch) -> bool:
        stop.request()
        return False

    began = time.monotonic()
    assert run_leased("loop", step, stop, duration=MINUTE)
    assert time.monotonic() - began < 5


def test_a_session_is_known_by_its_host_and_process(clock: Clock) -> None:
    def step(watch: Watch) -> bool:
        assert Lease.objects.get().holder == me("loop")
        assert me("loop").startswith("loop@")
        clock.pass_by(60)
        return True

    assert run_leased("loop", step, Stop(), duration=MINUTE)
