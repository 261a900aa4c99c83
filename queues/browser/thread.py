"""A browser in a thread of its own, for a caller whose thread speaks to the database."""

from __future__ import annotations

import asyncio
import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import psutil
from playwright.async_api import Browser, Playwright, async_playwright
from playwright.async_api import Error as PlaywrightError

from queues.browser import launch
from queues.browser.actions import StepFailed
from queues.browser.runner import Runner
from queues.browser.runs import Outcome, Run, StepEvent

logger = logging.getLogger(__name__)
TICK = 1.0  # seconds
GRACE = 10.0  # seconds that the thread has to answer after the deadline
RUNS_A_BROWSER = 200  # a browser that has served so many is replaced: Chromium grows


class BrowserThread:
    """Owns Playwright and one browser, started when first needed and kept from run to run.

    For one caller at a time. `execute` may be called from any thread, `close` ends everything.
    """

    def __init__(
        self, executable: str = "", headless: bool = True, flags: Sequence[str] = ()
    ) -> None:
        """`flags`: of the browser, besides those of `launch`."""
        self.executable = executable
        self.headless = headless
        self.flags = flags
        self._engine: Engine | None = None

    def execute(
        self,
        run: Run,
        *,
        deadline: float,
        permit: Callable[[], bool] = lambda: True,
        tick: Callable[[], bool] = lambda: True,
        on_event: Callable[[StepEvent], None] = lambda event: None,
    ) -> Outcome:
        """Carry `run` out within `deadline` seconds; all three callbacks run in this thread.

        `permit` is asked before the irrevocable step, `tick` about every second: False from
        either ends the run as a lost lease. What a callback raises ends the run and is raised.
        """
        engine = self._ready()
        host = CallerHost()
        runner = Runner(run, host, deadline)
        work = engine.submit(engine.execute(runner))
        work.add_done_callback(host.inbox.put)
        answers_by = runner.ends_at + GRACE
        dialogue = Dialogue(engine, runner, host, permit, tick, on_event, answers_by)
        try:
            outcome = dialogue.hold()
        except BaseException:
            engine.call(runner.abort, StepFailed("infrastructure", "stopped", is_ours=True))
            raise
        if not work.done() or runner.is_crashed or engine.runs >= RUNS_A_BROWSER:
            self._discard()
        return outcome

    def open(self, timeout: float) -> None:
        """Start the browser now. Raises what Playwright, or a timeout of so many seconds, says."""
        self._ready().start().result(timeout)

    def close(self) -> None:
        self._discard()

    def _ready(self) -> Engine:
        """The running engine, once it has ended what an interrupted caller left behind."""
        if self._engine and not self._engine.is_idle(GRACE):
            self._discard()
        if self._engine is None:
            self._engine = Engine(self.executable, self.headless, self.flags)
        return self._engine

    def _discard(self) -> None:
        engine, self._engine = self._engine, None
        if engine:
            engine.close()


class CallerHost:
    """The runner's side of the border: what it says and asks goes into the caller's inbox."""

    def __init__(self) -> None:
        self.inbox: queue.SimpleQueue[Any] = queue.SimpleQueue()

    async def permit(self) -> bool:
        question = Question(asyncio.get_running_loop())
        self.inbox.put(question)
        return await question.answer

    def note(self, event: StepEvent) -> None:
        self.inbox.put(event)


class Question:
    """Whether the irrevocable step may be taken: asked on the loop, answered by the caller."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self.answer: asyncio.Future[bool] = loop.create_future()

    def reply(self, granted: bool) -> None:
        self.loop.call_soon_threadsafe(self._settle, granted)

    def _settle(self, granted: bool) -> None:
        if not self.answer.done():
            self.answer.set_result(granted)


@dataclass
class Dialogue:
    """The caller's side: answers the runner until its outcome is there, or nothing comes."""

    engine: Engine
    runner: Runner
    host: CallerHost
    permit: Callable[[], bool]
    tick: Callable[[], bool]
    on_event: Callable[[StepEvent], None]
    answers_by: float  # monotonic: when it is given up
    is_aborted: bool = False
    is_begun: bool = False

    def hold(self) -> Outcome:
        outcome = None
        next_tick = time.monotonic() + TICK
        while outcome is None:
            now = time.monotonic()
            if now >= next_tick:
                next_tick = now + TICK
                self._tick()
            is_over = now >= self.answers_by
            outcome = self._silence() if is_over else self._heard(next_tick - now)
        # The permit may have been granted to a runner that had just been stopped.
        return replace(outcome, irrevocable_begun=outcome.irrevocable_begun or self.is_begun)

    def _tick(self) -> None:
        if not self.is_aborted and not self.tick():
            self.is_aborted = True
            self.answers_by = min(self.answers_by, time.monotonic() + GRACE)
            self.engine.call(self.runner.abort, self.runner.stopped())

    def _heard(self, timeout: float) -> Outcome | None:
        try:
            item = self.host.inbox.get(timeout=max(timeout, 0.001))
        except queue.Empty:
            return None
        if isinstance(item, Future):
            return self._ended(item)
        if isinstance(item, Question):
            self._answer(item)
        else:
            self.on_event(item)
        return None

    def _ended(self, work: Future[Outcome]) -> Outcome:
        try:
            return work.result()
        except Exception:  # the rim: what was begun must reach the caller
            logger.exception("a browser run broke")
            self.runner.is_crashed = True
            return self._as_known("infrastructure", "the run broke, see the worker's log")

    def _answer(self, question: Question) -> None:
        granted = not self.is_aborted and self.permit()
        self.is_begun = self.is_begun or granted
        question.reply(granted)

    def _silence(self) -> Outcome:
        """The thread does not answer: what is known of the run without it."""
        logger.error("the browser did not answer after its deadline; it is killed")
        if self.is_aborted:
            return self._as_known("infrastructure", self.runner.run.when_stopped)
        return self._as_known("timeout", "the browser did not answer after the run's deadline")

    def _as_known(self, error_class: str, message: str) -> Outcome:
        known = self.runner.outcome()
        return replace(known, ok=False, error_class=error_class, message=message)


class Engine:
    """A daemon thread with an event loop, Playwright's driver and a browser."""

    def __init__(self, executable: str, headless: bool, flags: Sequence[str] = ()) -> None:
        self.executable = executable
        self.headless = headless
        self.flags = flags
        self.runs = 0
        self._playwright: Playwright | None = None
        self._browser: Browser | None = None
        self._processes: list[psutil.Process] = []
        self._work: Future[Outcome] | None = None
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="browser", daemon=True)
        self._thread.start()

    def submit(self, work: Coroutine[Any, Any, Outcome]) -> Future[Outcome]:
        self._work = asyncio.run_coroutine_threadsafe(work, self._loop)
        return self._work

    def start(self) -> Future[Browser]:
        return asyncio.run_coroutine_threadsafe(self._open(), self._loop)

    def call(self, function: Callable[..., object], *args: object) -> None:
        self._loop.call_soon_threadsafe(function, *args)

    def is_idle(self, timeout: float) -> bool:
        """Whether the work before has ended, within `timeout` seconds."""
        with suppress(Exception):
            if self._work:
                self._work.exception(timeout)
        return self._work is None or self._work.done()

    async def execute(self, runner: Runner) -> Outcome:
        self.runs += 1
        try:
            browser = await asyncio.wait_for(self._open(), runner.ends_at - time.monotonic())
        except (PlaywrightError, TimeoutError, launch.BrowserMissing, OSError) as error:
            runner.is_crashed = True
            first = (str(error).splitlines() or [type(error).__name__])[0]
            failed = StepFailed("infrastructure", f"the browser does not start: {first}")
            return runner.refused(failed)
        return await runner.execute(browser)

    def close(self) -> None:
        """End the browser: politely, or else by its processes. Never raises."""
        with suppress(Exception):
            asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(3)
        self._kill()
        self.call(self._loop.stop)
        self._thread.join(3)

    async def _open(self) -> Browser:
        if self._browser is None or not self._browser.is_connected():
            path = launch.find_browser(self.executable)
            self._playwright = self._playwright or await async_playwright().start()
            self._browser = await self._playwright.chromium.launch(
                executable_path=path or None,
                headless=self.headless,
                args=[*launch.arguments(), *self.flags],
                # A signal to the whole group is the caller's to handle: its run may go on.
                handle_sigint=False,
                handle_sigterm=False,
                handle_sighup=False,
            )
            self._processes = await _family(self._browser)
        return self._browser

    async def _close(self) -> None:
        if self._browser:
            await self._browser.close()
        if self._playwright:
            await self._playwright.stop()

    def _kill(self) -> None:
        for process in self._processes:
            with suppress(psutil.Error):
                for child in process.children(recursive=True):
                    with suppress(psutil.Error):
                        child.kill()
                process.kill()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        for task in (left := asyncio.all_tasks(self._loop)):
            task.cancel()
        self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
        self._loop.run_until_complete(asyncio.sleep(0.2))  # a killed driver's pipes close
        self._loop.close()


async def _family(browser: Browser) -> list[psutil.Process]:
    """The browser's process and the driver that started it."""
    session = await browser.new_browser_cdp_session()
    processes = (await session.send("SystemInfo.getProcessInfo"))["processInfo"]
    await session.detach()
    pid = next(process["id"] for process in processes if process["type"] == "browser")
    with suppress(psutil.Error):
        chromium = psutil.Process(pid)
        ours = [parent for parent in chromium.parents() if parent.ppid() == os.getpid()]
        return [chromium, *ours]
    return []
