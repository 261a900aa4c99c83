"""Executes one run in a fresh context of an open browser. Whatever a page does: an Outcome."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any, Protocol

from playwright.async_api import Browser, BrowserContext, Dialog, Page, Request, Response
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from queues.browser import actions, egress, scripts
from queues.browser.actions import Action, StepFailed
from queues.browser.egress import Egress
from queues.browser.parsers.rows import Row
from queues.browser.recorder import LOADING, Recorder
from queues.browser.redaction import Redactor
from queues.browser.runs import Outcome, Run, StepEvent
from queues.browser.scripts import ScriptRejected, Step
from queues.browser.templating import RenderError

logger = logging.getLogger(__name__)
FAREWELL = 8.0  # seconds after the deadline in which evidence is gathered
# Such a step leaves its page as the step before showed it, or with more on it.
STAYS = frozenset(
    {"fill", "select", "check", "upload", "wait", "expect", "screenshot", "download"}
    | {"download_all"}
)
# Such a step changes nothing that a picture would show.
READS = frozenset({"read", "collect", "parse"})
# Not a failure of the site: a download, or a navigation that another one overtook.
HARMLESS = ("net::ERR_ABORTED",)
GONE = ("has been closed", "Connection closed", "crashed")
UNUSABLE = "Error setting storage state"
ARRIVAL = 1.5  # seconds that a page has to arrive once its answer is known to be an error
OVER = "the run's deadline is over"

# A flow sees one page: what would open in a window of its own opens there.
ONE_WINDOW = """for (const kind of ["click", "submit"]) addEventListener(kind, (event) => {
  const opener = event.target.closest?.("a[target=_blank], form[target=_blank]");
  opener?.removeAttribute("target");
}, true)"""


class Host(Protocol):
    """Who the run is for."""

    async def permit(self) -> bool:
        """Store the intent to take the irrevocable step; False: it may not be taken."""

    def note(self, event: StepEvent) -> None: ...


class Runner:
    """One run: made for it, executed once, on the browser's event loop."""

    def __init__(self, run: Run, host: Host, deadline: float) -> None:
        """`deadline`: seconds from now."""
        self.run = run
        self.host = host
        self.redactor = Redactor(run.secrets.values(), run.hidden)
        self.recorder = Recorder(run.folder, self.redactor, run.numbered)
        self.started = time.monotonic()
        self.ends_at = self.started + deadline
        self.is_crashed = False
        self._failure: StepFailed | None = None
        self._failed_step: int | None = None
        self._begun = self._confirmed = self._receipt = False
        self._values: dict[str, str] = {}
        self._parsed: dict[str, list[Row]] = {}
        self._context: BrowserContext | None = None
        self._egress: Egress | None = None
        self._number = 0  # of the step that is under way
        self._storage_state: dict[str, Any] | None = None
        self._stop: StepFailed | None = None  # ends the run
        self._trouble: StepFailed | None = None  # ends the step
        self._interrupted = asyncio.Event()

    def abort(self, failure: StepFailed) -> None:
        """End the run as soon as it can be; nothing irrevocable is begun after this."""
        self._stop = self._stop or failure
        self._interrupted.set()

    def stopped(self) -> StepFailed:
        """What the caller's wish to end the run is told as."""
        return StepFailed("infrastructure", self.run.when_stopped, is_ours=True)

    def refused(self, failure: StepFailed) -> Outcome:
        """The outcome of a run that could not begin."""
        self._failure = failure
        self.recorder.log(failure.message)
        return self.outcome()

    async def execute(self, browser: Browser) -> Outcome:
        try:
            steps = scripts.verify(self.run.script, self.run.script_hash)
            page = await self._guarded(self._open(browser))
            await self._take(steps, page)
            if self.run.keep_session:
                await self._keep_session(page.context)
        except ScriptRejected as error:
            self._failure = StepFailed("payload", str(error))
        except StepFailed as failure:
            self._failure = failure
        except PlaywrightError as error:
            self._failure = self._explained(error, {})
        except Exception:  # the rim: a fault of ours must not lose what the site was told
            logger.exception("browser run failed")
            self._failure = StepFailed("infrastructure", "the run failed, see the worker's log")
        await self._leave()
        return self.outcome()

    def outcome(self) -> Outcome:
        """How the run stands; may be asked for at any time, from any thread."""
        failure = self._failure
        return Outcome(
            ok=failure is None,
            error_class=failure.error_class if failure else "",
            message=self.redactor.text(failure.message) if failure else "",
            failed_step=self._failed_step,
            irrevocable_begun=self._begun,
            confirmed=self._confirmed,
            receipt=self._receipt,
            values=dict(self._values),
            artifacts=tuple(self.recorder.artifacts),
            storage_state=self._storage_state,
            seconds=time.monotonic() - self.started,
        )

    async def _open(self, browser: Browser) -> Page:
        self._context = context = await browser.new_context(
            accept_downloads=True,
            storage_state=self.run.storage_state,  # type: ignore[arg-type]
            **await self._confined(),
        )
        await context.add_init_script(ONE_WINDOW)
        if self.run.trace:
            await self.recorder.start_trace(context)
        page = await context.new_page()
        context.on("dialog", self._accept)
        page.on("response", self._note_answer)
        page.on("requestfailed", self._note_broken)
        page.on("crash", self._note_crash)
        return page

    async def _confined(self) -> dict[str, Any]:
        """What makes a context go to the run's hosts alone."""
        if self.run.hosts is None:
            return {}
        self._egress = Egress(
            self.run.hosts,
            self.run.networks,
            self._note_refused,
            self.run.most_bytes,
            self._end_full,
        )
        await self._egress.open()
        # A bypass of its own, or Chromium would go past the proxy to what is on this machine.
        proxy = {"server": self._egress.address, "bypass": "<-loopback>"}
        return {"proxy": proxy, "service_workers": "block"}

    async def _keep_session(self, context: BrowserContext) -> None:
        """All is done: what goes wrong from here on does not undo it."""
        with suppress(PlaywrightError, StepFailed):
            self._storage_state = await self._guarded(context.storage_state())

    async def _take(self, steps: list[Step], page: Page) -> None:
        pictured = _pictured(steps) if self.run.pictures else set()
        for number, step in enumerate(steps, 1):
            await self._step(number, step, page, number in pictured)

    async def _step(self, number: int, step: Step, page: Page, is_pictured: bool) -> None:
        self._number = number
        began = time.monotonic()
        text: dict[str, str] = {}
        failure = None
        try:
            text = actions.rendered(step, self.run)
            await self._carry_out(self._action(number, step, page, text))
            if is_pictured:
                await self._guarded(self._picture(number, step, page))
        except StepFailed as error:
            failure = error
        except RenderError as error:
            failure = StepFailed(error.error_class, str(error), is_ours=True)
        except PlaywrightError as error:
            failure = self._explained(error, step)
        self._report(number, step, text, time.monotonic() - began, failure)
        if failure and (self._stop or self.is_crashed or not step.get("optional")):
            self._failed_step = number
            await self._bounded(self._last_picture(number, step, page), 6)
            raise self._as_told(number, step, text, failure)

    def _action(self, number: int, step: Step, page: Page, text: dict[str, str]) -> Action:
        standard = self.run.page_timeout
        if step["do"] == "expect":
            standard = min(standard, actions.EXPECT_TIMEOUT)
        timeout = max(min(step.get("timeout", standard), self._remaining()), 0.001) * 1000
        return Action(
            step,
            page,
            self.run,
            self.recorder,
            number,
            timeout,
            text,
            self._values,
            self._parsed,
        )

    async def _carry_out(self, action: Action) -> None:
        if action.step.get("irrevocable"):
            await self._begin(action)
        await self._guarded(action.perform())
        self._receipt = self._receipt or action.has_receipt
        self._confirmed = self._confirmed or bool(action.step.get("confirms"))

    async def _picture(self, number: int, step: Step, page: Page) -> None:
        if step["do"] == "click":
            await self._settle(page)
        await self.recorder.picture(page, f"{number:02d}-{step['do']}")

    async def _last_picture(self, number: int, step: Step, page: Page) -> None:
        if self._egress and self._egress.is_full:
            return  # what the page still lacks will not come
        await self._settle(page)
        await self.recorder.picture(page, f"{number:02d}-{step['do']}-error")

    async def _settle(self, page: Page) -> None:
        """Let a page that is on its way arrive."""
        with suppress(PlaywrightTimeout):
            await page.wait_for_load_state("domcontentloaded", timeout=LOADING)

    async def _rehearse(self, action: Action) -> None:
        """Make sure that there is something to click, and keep what will be sent."""
        name = f"{action.number:02d}-before-{action.step['do']}"
        picture = asyncio.ensure_future(self.recorder.picture(action.page, name))
        try:
            await action.locator.click(trial=True, timeout=action.timeout)
        finally:
            await picture

    async def _begin(self, action: Action) -> None:
        """Ask for the permit to take the irrevocable step."""
        await self._guarded(self._rehearse(action))
        if not await self._guarded(self.host.permit()):
            self._stop = self.stopped()
            raise self._stop
        self._begun = True
        self.recorder.log("permitted: the irrevocable step begins")

    async def _guarded(self, work: Coroutine[Any, Any, Any]) -> Any:
        """The result of `work`, unless the run is interrupted or over before it is there."""
        if self._stop or self._trouble:
            work.close()  # not even its first move
            self._raise_interruption()
        task = asyncio.ensure_future(work)
        task.add_done_callback(_forget)
        interrupted = asyncio.ensure_future(self._interrupted.wait())
        both = {task, interrupted}
        try:
            await asyncio.wait(both, timeout=self._remaining(), return_when="FIRST_COMPLETED")
            self._raise_interruption()
            if not task.done():
                self._stop = StepFailed("timeout", OVER, is_ours=True)
                raise self._stop
            return task.result()
        finally:
            for one in both:
                one.cancel()
            await asyncio.wait(both, timeout=1)

    def _raise_interruption(self) -> None:
        if self._stop:
            raise self._stop
        self._interrupted.clear()
        trouble, self._trouble = self._trouble, None
        if trouble:
            raise trouble

    def _remaining(self) -> float:
        return self.ends_at - time.monotonic()

    def _explained(self, error: PlaywrightError, step: Step) -> StepFailed:
        """What a fault of Playwright's means."""
        first = (error.message.splitlines() or [""])[0]
        if self.is_crashed or any(word in first for word in GONE):
            self.is_crashed = True
            return StepFailed("infrastructure", "the browser died", is_ours=True)
        if UNUSABLE in first:
            return StepFailed("session", "the browser refuses the session's cookies", is_ours=True)
        if "net::" in first:
            return self._unreachable(first, first.partition(" at ")[2])
        if fault := actions.selector_fault(first):
            return StepFailed("payload", fault, is_ours=True)
        # Where a complaint was looked for, the author's words are about that one.
        is_ours = "unless" in step
        if not isinstance(error, PlaywrightTimeout):
            return StepFailed("site", first, is_ours)
        if self._remaining() < 0.1:
            self._stop = StepFailed("timeout", OVER, is_ours=True)
            return self._stop
        return StepFailed("timeout" if step.get("do") == "navigate" else "site", first, is_ours)

    def _as_told(
        self, number: int, step: Step, text: dict[str, str], failure: StepFailed
    ) -> StepFailed:
        """The failure in the words of the flow's author, where they are about it."""
        if failure is self._stop:
            return failure
        is_authors = not failure.is_ours or (step["do"] == "navigate" and not self.is_crashed)
        error_class = step.get("error", failure.error_class) if is_authors else failure.error_class
        generated = f"{scripts.place(number, step)}: {failure.message}"
        message = text.get("message", generated) if is_authors else generated
        return StepFailed(error_class, message, failure.is_ours)

    def _report(
        self,
        number: int,
        step: Step,
        text: dict[str, str],
        seconds: float,
        failure: StepFailed | None,
    ) -> None:
        shown = self.redactor.text(actions.target(step, text))
        message = self.redactor.text(failure.message) if failure else ""
        ending = f"failed: {message}" if failure else "ok"
        mark = " (optional)" if failure and step.get("optional") else ""
        self.recorder.log(
            f"{number:02d} {step['do']} {shown} {seconds * 1000:.0f} ms {ending}{mark}"
        )
        self.host.note(StepEvent(number, step["do"], shown, failure is None, seconds, message))

    async def _accept(self, dialog: Dialog) -> None:
        self.recorder.log(f"dialog ({dialog.type}) accepted: {dialog.message}")
        with suppress(PlaywrightError):
            await dialog.accept()

    def _note_answer(self, response: Response) -> None:
        if response.status >= 500 and _is_of_the_page(response.request):
            trouble = StepFailed("site", f"the site answered {response.status}", is_ours=True)
            self._interrupt(trouble, response.frame.page)

    def _note_broken(self, request: Request) -> None:
        fault = request.failure or ""
        if fault not in HARMLESS and _is_of_the_page(request):
            self._interrupt(self._unreachable(fault, request.url), request.frame.page)

    def _note_refused(self, host: str) -> None:
        """Whatever in the page wanted to go there: it is told, and the run goes on."""
        message = egress.REFUSED.format(host=host)
        self.recorder.log(message)
        self.host.note(StepEvent(self._number, "egress", host, False, 0.0, message))

    def _end_full(self) -> None:
        """What it would take in is more than it may: not one step goes on."""
        self._stop = self._stop or actions.too_much(self.run)
        self._interrupted.set()

    def _unreachable(self, fault: str, url: str) -> StepFailed:
        """Why a page did not come. One that the run may not go to ends it for good."""
        if self._egress and (refusal := self._egress.refusal(url)):
            self._stop = self._stop or StepFailed("payload", refusal, is_ours=True)
            return self._stop
        code = fault[fault.find("net::") :].split(" ")[0]
        told = self._egress.faults.get(egress.host_of(url), "") if self._egress else ""
        return StepFailed("site", f"the site cannot be reached: {told or code}", is_ours=True)

    def _note_crash(self, page: Page) -> None:
        self.is_crashed = True
        self._trouble = StepFailed("infrastructure", "the page crashed", is_ours=True)
        self._interrupted.set()

    def _interrupt(self, trouble: StepFailed, page: Page) -> None:
        """Fail the step that is under way: its page will not become what it waits for. First
        the page that came instead may arrive, so that a picture can be taken of it."""
        self._trouble = trouble
        page.once("domcontentloaded", lambda _: self._arrived())
        asyncio.get_running_loop().call_later(ARRIVAL, self._arrived)

    def _arrived(self) -> None:
        if self._trouble:
            self._interrupted.set()

    async def _leave(self) -> None:
        """Gather the evidence and close the context, whatever has happened to either."""
        context = self._context
        if context and not self.is_crashed:
            await self._bounded(self.recorder.stop_trace(context), FAREWELL)
        if context and not await self._bounded(context.close(), 3):
            self.is_crashed = True
        if self._egress:
            self._egress.close()
        ending = f"failed: {self._failure.message}" if self._failure else "ok"
        self.recorder.log(f"ended after {time.monotonic() - self.started:.1f} s, {ending}")

    async def _bounded(self, work: Coroutine[Any, Any, Any], most: float) -> bool:
        """Do what can be done in the time that is left; False: it could not."""
        left = max(self._remaining() + FAREWELL, 0.5)
        try:
            await asyncio.wait_for(work, min(most, left))
        except (PlaywrightError, TimeoutError, OSError) as error:
            self.recorder.log(f"evidence is incomplete: {type(error).__name__}")
            return False
        return True


def _pictured(steps: list[Step]) -> set[int]:
    """The numbers of the steps that a picture follows: the last ones before the page may change
    hands. What an earlier picture of the same page would show is in that one; the irrevocable
    step takes its own beforehand."""
    seen = [(number, step) for number, step in enumerate(steps, 1) if step["do"] not in READS]
    after = [step["do"] in STAYS or step.get("irrevocable", False) for _, step in seen[1:]] + [
        False
    ]
    return {
        number
        for (number, step), is_seen_later in zip(seen, after, strict=True)
        if step["do"] != "screenshot" and not is_seen_later
    }


def _forget(task: asyncio.Future[Any]) -> None:
    """Mark its error as seen: nobody asks a task that was overtaken."""
    if not task.cancelled():
        task.exception()


def _is_of_the_page(request: Request) -> bool:
    with suppress(PlaywrightError):  # a request may outlive its frame, or have none
        return request.is_navigation_request() and request.frame.parent_frame is None
    return False
