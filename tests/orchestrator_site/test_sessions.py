"""Loops as leased sessions: one holder, handed over, and lost for good."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from orchestrator_site import sessions
from orchestrator_site.models import Lease
from orchestrator_site.sessions import me, run_leased
from orchestrator_site.stopping import Stop

pytestmark = [pytest.mark.django_db, pytest.mark.database]
Watch = Callable[[], bool]
MINUTE = timedelta(minutes=1)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A session's times, shortened; the test keeps its connection."""
    monkeypatch.setattr(sessions, "LEASE", timedelta(seconds=0.5))
    monkeypatch.setattr(sessions, "RENEW_EVERY", 0.05)
    monkeypatch.setattr(sessions, "IDLE", 0.01)
    monkeypatch.setattr(sessions, "GRACE", 0.8)
    monkeypatch.setattr(sessions, "close_old_connections", lambda: None)
    yield


def take_over() -> None:
    Lease.objects.update(expires_at=timezone.now() - MINUTE)
    assert Lease.acquire("loop", "successor", MINUTE)


def is_free() -> bool:
    return Lease.objects.get(name="loop").expires_at is None


def test_a_lost_lease_stays_lost() -> None:
    heard: list[bool] = []

    def step(watch: Watch) -> bool:
        assert not watch()
        take_over()
        time.sleep(0.06)
        heard.append(watch())
        Lease.objects.update(holder=me("loop"), epoch=1)  # even if it looked like ours again
        heard.extend([watch(), watch()])
        time.sleep(0.06)
        heard.append(watch())
        Lease.objects.update(holder="successor", epoch=2)
        return True

    assert run_leased("loop", step, Stop(), duration=MINUTE)
    assert heard == [True] * 4
    assert Lease.objects.get().holder == "successor", "its lease is not released by the loser"


def test_a_session_that_lost_its_lease_begins_nothing_more() -> None:
    steps: list[int] = []

    def step(watch: Watch) -> bool:
        steps.append(len(steps))
        take_over()
        time.sleep(0.06)
        return True

    assert run_leased("loop", step, Stop(), duration=MINUTE)
    assert steps == [0]


def test_work_begun_at_the_end_of_a_session_keeps_its_lease() -> None:
    others: list[Lease | None] = []

    def step(watch: Watch) -> bool:
        for _beat in range(14):  # longer than the lease, its duration long over
            time.sleep(0.05)
            assert not watch(), "within the grace"
            others.append(Lease.acquire("loop", "another session", MINUTE))
        return True

    assert run_leased("loop", step, Stop(), duration=timedelta(seconds=0.01))
    assert others == [None] * 14
    assert is_free()


def test_after_the_grace_the_work_is_asked_to_stop_and_keeps_the_lease_until_it_does() -> None:
    stopped: list[bool] = []

    def step(watch: Watch) -> bool:
        until = time.monotonic() + 1.5
        while time.monotonic() < until:
            time.sleep(0.05)
            stopped.append(watch())
            assert Lease.acquire("loop", "another session", MINUTE) is None
        return True

    assert run_leased("loop", step, Stop(), duration=timedelta(seconds=0.01))
    assert stopped[0] is False
    assert stopped[-1] is True
    assert stopped == sorted(stopped), "once it is to stop, it is to stop"


def test_a_session_ends_after_its_time_and_hands_over() -> None:
    begun: list[str] = []

    def step(watch: Watch) -> bool:
        begun.append("first" if len(begun) < 3 else "late")
        time.sleep(0.04)
        return True

    assert run_leased("loop", step, Stop(), duration=timedelta(seconds=0.1))
    assert begun == ["first"] * 3
    assert is_free()
    successor = Lease.acquire("loop", "successor", MINUTE)
    assert successor
    assert successor.epoch == 2


def test_a_second_session_is_at_once_turned_away() -> None:
    turned: list[Any] = []

    def step(watch: Watch) -> bool:
        turned.append(run_leased("loop", never, Stop(), duration=MINUTE))
        turned.append(run_leased("another loop", once, Stop(), duration=timedelta(seconds=0.01)))
        return True

    def never(watch: Watch) -> bool:
        raise AssertionError("two at once")

    def once(watch: Watch) -> bool:
        return True

    assert run_leased("loop", step, Stop(), duration=timedelta(seconds=0.01))
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


def test_a_session_is_known_by_its_host_and_process() -> None:
    def step(watch: Watch) -> bool:
        assert Lease.objects.get().holder == me("loop")
        assert me("loop").startswith("loop@")
        return True

    assert run_leased("loop", step, Stop(), duration=timedelta(seconds=0.01))
