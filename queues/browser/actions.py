"""What each verb does on a page."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from playwright.async_api import Download, Locator, Page
from playwright.async_api import Error as PlaywrightError
from playwright.async_api import TimeoutError as PlaywrightTimeout

from queues.browser import parsing, templating
from queues.browser.parsers.rows import Row, Unparsable
from queues.browser.recorder import Recorder
from queues.browser.runs import Run
from queues.browser.scripts import PART, UNSTORABLE, Step

EXPECT_TIMEOUT = 5.0  # seconds: what is expected is there, or is on its way
# What Playwright says of a selector that it, or Chromium, cannot read.
NO_SELECTOR = re.compile(
    r"Locator\.\w+: "
    r"(?P<why>(?:Syntax|InvalidSelector)Error: .*|.* while parsing (?:css )?selector .*)"
)
PROMPT = 1.0  # seconds in which a page is there as a rule, and one question is enough
FILES = ("download", "receipt")  # what a run brings from the site
# Of each match its parts, as [name, selector, attribute]: null where there is none.
COLLECT = r"""(matches, parts) => {
  const text = (found) =>
    found.matches("select") ? [...found.selectedOptions].map((one) => one.label).join("\n")
    : found.matches("input, textarea") ? found.value
    : found.innerText ?? found.textContent;
  const attribute = (found, name) =>
    ["href", "src"].includes(name) && typeof found[name] === "string"
    ? found[name] : found.getAttribute(name);
  const part = (match, [name, selector, wanted]) => {
    const found = selector && selector !== ":scope" ? match.querySelector(selector) : match;
    return [name, found && (wanted ? attribute(found, wanted) : text(found))];
  };
  return matches.map((match) => parts.map((one) => part(match, one)));
}"""


class StepFailed(Exception):
    """A step went wrong. `is_ours`: the step's own `error` and `message` do not describe it."""

    def __init__(self, error_class: str, message: str, is_ours: bool = False) -> None:
        super().__init__(message)
        self.error_class = error_class
        self.message = message
        self.is_ours = is_ours


@dataclass
class Action:
    """One step with its values filled in, about to be done on `page`."""

    step: Step
    page: Page
    run: Run
    recorder: Recorder
    number: int
    timeout: float  # milliseconds
    text: Mapping[str, str]
    values: dict[str, str] = field(default_factory=dict)
    parsed: dict[str, list[Row]] = field(default_factory=dict)
    has_receipt: bool = False

    @property
    def locator(self) -> Locator:
        return self.page.locator(self.text["selector"])

    async def perform(self) -> None:
        await VERBS[self.step["do"]](self)


def rendered(step: Step, run: Run) -> dict[str, str]:
    """The step's values for this run. Raises RenderError."""
    inputs = {**run.inputs, "secret": run.secrets}
    ways: dict[str, Callable[[str, Mapping[str, Any]], str]] = {
        "url": templating.render_url,
        "selector": templating.render_selector,
        "unless": templating.render_selector,
    }
    return {
        key: ways.get(key, templating.render)(value, inputs)
        for key, value in step.items()
        if isinstance(value, str)
    }


def target(step: Step, text: Mapping[str, str]) -> str:
    """What a log may say of a step: where it happens, never what is typed."""
    shown = [text[key] for key in ("selector", "url", "text", "name", "file") if key in text][:1]
    typed = templating.names(step.get("value", ""))
    return " ".join([*shown, *(f"{{{{ {name} }}}}" for name in typed)])


def selector_fault(message: str) -> str:
    """What is wrong with a selector, of an error of Playwright's; "" where that is not it."""
    found = NO_SELECTOR.match(message)
    return f"this is not a selector: {found['why']}" if found else ""


def too_much(run: Run) -> StepFailed:
    """The run took more in than it may; so would the next attempt."""
    told = f"more than {run.most_bytes / 10**6:g} MB were downloaded (MOST_DOWNLOAD_MB)"
    return StepFailed("payload", told, is_ours=True)


async def _navigate(action: Action) -> None:
    url = templating.navigable(action.text["url"], action.run.secrets)
    answer = await action.page.goto(url, timeout=action.timeout, wait_until="load")
    if answer and answer.status >= 400:
        raise StepFailed("site", f"the site answered {answer.status}", is_ours=True)


async def _fill(action: Action) -> None:
    if any(name.startswith("secret.") for name in templating.names(action.step["value"])):
        await _mask(action)
    await action.locator.fill(action.text["value"], timeout=action.timeout)


async def _mask(action: Action) -> None:
    """A browser hides a password; any other field with a secret is covered in the pictures."""
    kind = await action.locator.get_attribute("type", timeout=action.timeout)
    if kind != "password" and action.text["selector"] not in action.recorder.masked:
        action.recorder.masked.append(action.text["selector"])


async def _select(action: Action) -> None:
    await action.locator.select_option(action.text["value"], timeout=action.timeout)


async def _check(action: Action) -> None:
    await action.locator.check(timeout=action.timeout)


async def _click(action: Action) -> None:
    await action.locator.click(timeout=action.timeout)


async def _upload(action: Action) -> None:
    await action.locator.set_input_files(_files(action), timeout=action.timeout)


def _files(action: Action) -> list[Path]:
    name, files = action.text["file"], action.run.files
    if name == "*" and files:
        return list(files.values())
    if name in files:
        return [files[name]]
    lacking = "there is no attachment" if name == "*" else f"attachment {name} is missing"
    raise StepFailed("payload", lacking, is_ours=True)


async def _wait(action: Action) -> None:
    """Wait for what the step names; where the page shows `unless`, with it or in its place,
    fail at once."""
    if "unless" not in action.text:
        await _look(action)
        return
    wanted, complaint = action.text["selector"], action.page.locator(action.text["unless"])
    shown = complaint.filter(visible=True)
    undisturbed = action.page.locator(":root", has_not=shown).locator(wanted)
    prompt = min(PROMPT * 1000, action.timeout / 2)
    try:
        await undisturbed.filter(visible=True).first.wait_for(timeout=prompt)
        return
    except PlaywrightTimeout:
        pass
    either = action.locator.filter(visible=True).or_(shown).first
    await either.wait_for(timeout=action.timeout - prompt)
    if await shown.first.is_visible():
        raise StepFailed("site", f"the page shows {action.text['unless']}")


async def _look(action: Action) -> None:
    """Wait until what the step names is there, or with `absent` until it is not."""
    if "url" in action.text:
        await _look_at_url(action)
        return
    text = action.text
    found = action.page.get_by_text(text["text"]) if "text" in text else action.locator
    state: Literal["hidden", "visible"] = "hidden" if action.step.get("absent") else "visible"
    await found.filter(visible=True).first.wait_for(state=state, timeout=action.timeout)


async def _look_at_url(action: Action) -> None:
    """The pattern may stand anywhere in the address; `*` is any text."""
    pattern = re.compile(".*".join(map(re.escape, action.text["url"].split("*"))))
    is_wanted = not action.step.get("absent")
    await action.page.wait_for_url(
        lambda url: bool(pattern.search(url)) is is_wanted,
        timeout=action.timeout,
        wait_until="commit",
    )


async def _fetched(action: Action, link: Locator) -> Download:
    async with (
        _saving(action),
        action.page.expect_download(timeout=action.timeout) as expected,
    ):
        await link.click(timeout=action.timeout)
    return await expected.value


async def _download(action: Action) -> None:
    download = await _fetched(action, action.locator)
    name = action.text["name"]
    suffix = "" if Path(name).suffix else Path(download.suggested_filename).suffix
    path = action.recorder.place(name + suffix)
    await _save(action, download, path)
    fault = _fault(path) if action.step.get("receipt") else ""
    action.has_receipt = bool(action.step.get("receipt")) and not fault
    action.recorder.keep("receipt" if action.has_receipt else "download", path, name)
    if fault:
        raise StepFailed("site", f"the receipt {name} {fault}")


async def _save(action: Action, download: Download, path: Path) -> None:
    """Into the evidence, as far as the run's files may be together."""
    await download.save_as(path)
    kept = [one.path for one in action.recorder.artifacts if one.kind in FILES]
    if 0 < action.run.most_bytes < sum(one.stat().st_size for one in [*kept, path]):
        path.unlink()
        raise too_much(action.run)


@asynccontextmanager
async def _saving(action: Action) -> AsyncIterator[None]:
    """Have the browser save what it would show in its viewer, a PDF above all."""
    session = await action.recorder.protocol(action.page)

    async def save(paused: dict[str, Any]) -> None:
        answer: dict[str, Any] = {"requestId": paused["requestId"]}
        headers = paused.get("responseHeaders", [])
        kinds = [h["value"] for h in headers if h["name"].lower() == "content-type"]
        if kinds and paused.get("responseStatusCode") == 200 and "html" not in kinds[0].lower():
            kept = [h for h in headers if h["name"].lower() != "content-disposition"]
            attached = {"name": "Content-Disposition", "value": _attached(headers)}
            answer |= {"responseCode": 200, "responseHeaders": [*kept, attached]}
        with suppress(PlaywrightError):
            await session.send("Fetch.continueResponse", answer)

    session.on("Fetch.requestPaused", save)
    documents = {"resourceType": "Document", "requestStage": "Response"}
    await session.send("Fetch.enable", {"patterns": [documents]})
    try:
        yield
    finally:
        session.remove_listener("Fetch.requestPaused", save)
        with suppress(PlaywrightError):
            await session.send("Fetch.disable")


def _attached(headers: list[dict[str, str]]) -> str:
    """The site's own disposition, with its file name, but not `inline`."""
    said = [h["value"] for h in headers if h["name"].lower() == "content-disposition"]
    _, semicolon, rest = (said or [""])[0].partition(";")
    return f"attachment{semicolon}{rest}"


def _fault(path: Path) -> str:
    with path.open("rb") as file:
        start = file.read(1024)
    if not start:
        return "is empty"
    if path.suffix.lower() == ".pdf" and not start.lstrip().startswith(b"%PDF"):
        return "is not a PDF"
    return ""


async def _download_all(action: Action) -> None:
    """Keep what each match leads to, under the name that the site gives it; none is well."""
    for link in await action.locator.all():
        download = await _fetched(action, link)
        path = action.recorder.place(download.suggested_filename)
        await _save(action, download, path)
        action.recorder.keep("download", path, download.suggested_filename)


async def _screenshot(action: Action) -> None:
    name = f"{action.number:02d}-{action.text['name']}"
    await action.recorder.picture(action.page, name, full_page=True)


async def _read(action: Action) -> None:
    content = await action.locator.text_content(timeout=action.timeout)
    clean = " ".join((content or "").split())
    action.values[action.text["as"]] = action.recorder.redactor.text(clean)


async def _collect(action: Action) -> None:
    """Keep a list of objects as JSON: of each match its parts, "" for one that it lacks. Takes
    what is there now, also nothing."""
    parts = [(name, PART.fullmatch(part)) for name, part in action.step["parts"].items()]
    asked = [[name, part["selector"].strip(), part["attribute"]] for name, part in parts if part]
    found = await action.locator.evaluate_all(COLLECT, asked)
    clean = action.recorder.redactor.text
    rows = [{name: clean(_tidy(value or "")) for name, value in match} for match in found]
    action.values[action.text["as"]] = json.dumps(rows, ensure_ascii=False)


async def _parse(action: Action) -> None:
    """Turn a file that this run downloaded into rows of `parsed-data.json`."""
    name = action.text["file"]
    kept = [one for one in action.recorder.artifacts if one.kind in FILES]
    found = [one.path for one in kept if name in (one.name, one.path.name)]
    if not found:
        raise StepFailed("payload", f"no file {name} was downloaded before", is_ours=True)
    try:
        rows = await parsing.rows_of(action.text["parser"], found[-1], action.timeout / 1000)
    except Unparsable as error:  # so will it be the next time
        raise StepFailed("payload", f"{name}: {error}") from error
    except TimeoutError as error:
        raise StepFailed("timeout", f"{name}: the parser took too long") from error
    action.parsed[action.text.get("as", action.text["parser"])] = rows
    action.recorder.data(action.parsed)


def _tidy(text: str) -> str:
    """Without the white space that a page is laid out with; its lines stay."""
    lines = (" ".join(line.split()) for line in UNSTORABLE.sub("\ufffd", text).splitlines())
    return "\n".join(lines).strip()


VERBS: dict[str, Callable[[Action], Awaitable[None]]] = {
    "navigate": _navigate,
    "fill": _fill,
    "select": _select,
    "check": _check,
    "click": _click,
    "upload": _upload,
    "wait": _wait,
    "expect": _look,
    "download": _download,
    "screenshot": _screenshot,
    "download_all": _download_all,
    "read": _read,
    "collect": _collect,
    "parse": _parse,
}
