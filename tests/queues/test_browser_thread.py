"""The thread with the browser: deadlines, lost leases, crashes, interrupted callers."""

# ruff: noqa: F811 (fixtures are imported by name)
from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from queues.browser.runner import Runner
from queues.browser.runs import Outcome, Run, StepEvent
from queues.browser.thread import BrowserThread

# The site and its fixtures are those of the runs.
from tests.queues.test_browser_runs import (  # noqa: F401
    CONFIRMED,
    SEND,
    Site,
    browser,
    log_of,
    make,
    names,
    served,
    site,
)

pytestmark = [pytest.mark.long, pytest.mark.chromium]
Make = Callable[..., Run]
FOR_EVER = {"do": "wait", "text": "never", "timeout": 60}


def chromium_of(thread: BrowserThread) -> list[psutil.Process]:
    assert thread._engine
    return thread._engine._processes


def is_gone(process: psutil.Process) -> bool:
    try:
        process.wait(5)
    except psutil.TimeoutExpired:
        return False
    return True


def test_the_callers_callbacks_run_in_its_thread(make: Make, browser: BrowserThread) -> None:
    seen: dict[str, int] = {}

    def noted(name: str) -> bool:
        seen[name] = threading.get_ident()
        return True

    slow = {"do": "wait", "text": "never", "timeout": 1.3, "optional": True}
    outcome = browser.execute(
        make(slow, SEND, CONFIRMED),
        deadline=20,
        permit=lambda: noted("permit"),
        tick=lambda: noted("tick"),
        on_event=lambda event: noted("event") and None,
    )
    assert outcome.ok, outcome.message
    assert seen == dict.fromkeys(("permit", "tick", "event"), threading.get_ident())


def test_a_caller_may_use_the_orm_because_no_loop_runs_in_its_thread(
    make: Make, browser: BrowserThread
) -> None:
    def look(event: StepEvent) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()

    assert browser.execute(make(), deadline=20, on_event=look).ok


def test_the_browser_is_kept_from_run_to_run(make: Make, browser: BrowserThread) -> None:
    browser.execute(make(), deadline=20)
    first = chromium_of(browser)
    browser.execute(make(), deadline=20)
    assert first and chromium_of(browser) == first


def test_the_deadline_ends_a_run_and_leaves_its_evidence(
    make: Make, browser: BrowserThread
) -> None:
    began = time.monotonic()
    outcome = browser.execute(make(FOR_EVER), deadline=3)
    assert time.monotonic() - began < 6
    assert (outcome.ok, outcome.error_class, outcome.failed_step) == (False, "timeout", 2)
    assert "deadline" in outcome.message and "deadline" in log_of(outcome)
    assert names(outcome, "screenshot") == ["02-wait-error.jpg"]
    assert names(outcome, "trace") == ["trace.zip"]


def test_a_lease_lost_while_it_waits_stops_the_run(
    make: Make, browser: BrowserThread, site: Site
) -> None:
    lost_at: list[float] = []

    def tick() -> bool:
        lost_at.append(time.monotonic())
        return False

    outcome = browser.execute(make(FOR_EVER, SEND), deadline=30, tick=tick)
    assert time.monotonic() - lost_at[0] < 2
    assert (outcome.ok, outcome.error_class, outcome.message) == (
        False,
        "infrastructure",
        "lease lost",
    )
    assert len(lost_at) == 1 and not outcome.irrevocable_begun and site.posts == []
    assert names(outcome, "trace") == ["trace.zip"]


def test_nothing_irrevocable_begins_once_the_lease_is_lost(
    make: Make, browser: BrowserThread, site: Site
) -> None:
    """The run asks while the caller, busy with another event, learns of the loss."""
    asked: list[bool] = []
    outcome = browser.execute(
        make(SEND, CONFIRMED),
        deadline=30,
        permit=lambda: asked.append(True) or True,
        tick=lambda: False,
        on_event=lambda event: time.sleep(1.5),
    )
    assert (outcome.error_class, outcome.message) == ("infrastructure", "lease lost")
    assert asked == [] and site.posts == [] and not outcome.irrevocable_begun


def test_a_permit_given_too_late_still_counts_as_begun(
    make: Make, browser: BrowserThread, site: Site
) -> None:
    """The intent is stored, the run was over in the meantime: a person has to look."""

    def permit() -> bool:
        time.sleep(6)
        return True

    outcome = browser.execute(make(SEND, CONFIRMED), deadline=4, permit=permit)
    assert outcome.error_class == "timeout" and outcome.irrevocable_begun
    assert site.posts == [] and not outcome.confirmed


@pytest.mark.parametrize("which", [0, -1], ids=["browser", "driver"])
def test_a_killed_browser_fails_the_run_and_not_the_next(
    make: Make, browser: BrowserThread, which: int
) -> None:
    browser.execute(make(), deadline=20)
    told: list[StepEvent] = []
    killed: list[float] = []

    def kill() -> bool:
        if told and not killed:  # the first step is done, the second goes on for ever
            killed.append(time.monotonic())
            chromium_of(browser)[which].kill()
        return True

    outcome = browser.execute(make(FOR_EVER), deadline=30, tick=kill, on_event=told.append)
    assert time.monotonic() - killed[0] < 10
    assert (outcome.ok, outcome.error_class, outcome.failed_step) == (False, "infrastructure", 2)
    assert "browser died" in log_of(outcome)
    assert browser.execute(make(), deadline=20).ok


def test_a_browser_killed_while_idle_is_replaced(make: Make, browser: BrowserThread) -> None:
    browser.execute(make(), deadline=20)
    old = chromium_of(browser)[0]
    old.kill()
    assert is_gone(old)
    time.sleep(0.5)
    assert browser.execute(make(), deadline=20).ok
    assert chromium_of(browser)[0] != old


def test_a_browser_that_does_not_answer_is_killed_after_its_grace(
    make: Make, browser: BrowserThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("queues.browser.thread.GRACE", 2.0)
    browser.execute(make(), deadline=20)
    processes = chromium_of(browser)

    def freeze(event: StepEvent) -> None:
        for process in processes:
            process.suspend()

    began = time.monotonic()
    outcome = browser.execute(make(FOR_EVER), deadline=3, on_event=freeze)
    assert time.monotonic() - began < 15
    assert (outcome.ok, outcome.error_class) == (False, "timeout")
    assert names(outcome, "log") and all(map(is_gone, processes))
    assert browser.execute(make(), deadline=20).ok


def test_a_fault_of_ours_after_the_permit_still_says_what_was_begun(
    make: Make, browser: BrowserThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    def break_down(self: Runner, *args: Any) -> None:
        if self._begun:
            raise ZeroDivisionError

    monkeypatch.setattr(Runner, "_report", break_down)
    outcome = browser.execute(make(SEND, CONFIRMED), deadline=20)
    assert (outcome.ok, outcome.error_class) == (False, "infrastructure")
    assert outcome.irrevocable_begun and names(outcome, "trace") == ["trace.zip"]


def test_a_run_that_breaks_altogether_is_an_outcome_too(
    make: Make, browser: BrowserThread, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    async def break_down(self: Runner) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(Runner, "_leave", break_down)
    outcome = browser.execute(make(SEND, CONFIRMED), deadline=20)
    assert (outcome.ok, outcome.error_class) == (False, "infrastructure")
    assert outcome.irrevocable_begun and outcome.confirmed and len(site.posts) == 1


class Interrupted(Exception):
    """What django-q's SIGALRM raises in the middle of a task."""


def test_an_interrupted_caller_is_not_held_up(make: Make, browser: BrowserThread) -> None:
    browser.execute(make(), deadline=20)

    def interrupt(*args: Any) -> None:
        raise Interrupted

    old = signal.signal(signal.SIGALRM, interrupt)
    signal.setitimer(signal.ITIMER_REAL, 0.7)
    began = time.monotonic()
    try:
        with pytest.raises(Interrupted):
            browser.execute(make(FOR_EVER, SEND), deadline=30)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, old)
    assert time.monotonic() - began < 1.5
    assert browser.execute(make(), deadline=20).ok


@pytest.mark.parametrize("name", ["permit", "tick", "on_event"])
def test_what_a_callback_raises_ends_the_run_and_is_raised(
    make: Make, browser: BrowserThread, site: Site, name: str
) -> None:
    def fail(*args: Any) -> bool:
        raise KeyboardInterrupt

    steps = (FOR_EVER,) if name == "tick" else (SEND, CONFIRMED)
    with pytest.raises(KeyboardInterrupt):
        browser.execute(make(*steps), deadline=30, **{name: fail})
    assert browser.execute(make(), deadline=20).ok and site.posts == []


def test_a_missing_browser_is_said_so(make: Make) -> None:
    thread = BrowserThread("/nowhere/chromium")
    outcome = thread.execute(make(), deadline=20)
    thread.close()
    assert (outcome.ok, outcome.error_class) == (False, "infrastructure")
    assert "playwright install" in outcome.message


def test_closing_leaves_no_process_and_may_be_repeated(make: Make) -> None:
    thread = BrowserThread()
    assert thread.execute(make(), deadline=20).ok
    processes = chromium_of(thread)
    thread.close()
    thread.close()
    assert len(processes) == 2 and all(map(is_gone, processes))


SCRIPT = """
import sys
from pathlib import Path
from queues.browser import scripts
from queues.browser.runs import Run
from queues.browser.thread import BrowserThread

script = scripts.canonical([{"do": "navigate", "url": sys.argv[1]}])
thread = BrowserThread()
run = Run(script, scripts.sha256(script), {}, Path(sys.argv[2]), 5)
assert thread.execute(run, deadline=20).ok
assert not any(name.partition(".")[0] == "django" for name in sys.modules)
print(*[process.pid for process in thread._engine._processes])
"""


def test_a_process_without_django_runs_flows_and_takes_its_browser_along(
    tmp_path: Path, site: Site
) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    ended = subprocess.run(
        [sys.executable, "-c", SCRIPT, f"{site.url}/form", str(tmp_path)],
        cwd=Path(__file__).parents[2],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 0, ended.stderr
    limit = time.monotonic() + 5
    pids = [int(pid) for pid in ended.stdout.split()]
    while any(map(_is_running, pids)) and time.monotonic() < limit:
        time.sleep(0.1)
    assert pids and not any(map(_is_running, pids))


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_outcome_shows_no_session(make: Make, browser: BrowserThread) -> None:
    outcome: Outcome = browser.execute(make(), deadline=20)
    assert outcome.storage_state and "abc" not in repr(outcome)
