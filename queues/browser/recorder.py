"""The evidence of a run: its log, pictures, trace and downloads in one folder."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import re
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from playwright.async_api import BrowserContext, CDPSession, Page
from playwright.async_api import Error as PlaywrightError

from queues.browser.parsers.rows import Row
from queues.browser.redaction import Redactor
from queues.browser.runs import Artifact, Kind

logger = logging.getLogger(__name__)
LOG = "execution.log"
TRACE = "trace.zip"
DATA = "parsed-data.json"
QUALITY = 60
PAUSE = 0.2  # seconds
LOADING = 2000  # milliseconds that a picture waits for a page on its way
# `optimizeForSpeed` spares Chromium's encoder, not the picture.
PICTURE = {"format": "jpeg", "quality": QUALITY, "optimizeForSpeed": True}
PNG = {"format": "png"}


class Recorder:
    """Writes as the run goes on, so that a killed browser takes little with it."""

    def __init__(self, folder: Path, redactor: Redactor, numbered: bool = False) -> None:
        """`numbered`: pictures are screenshot-0.png and so on, else JPEGs named by their steps."""
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.redactor = redactor
        self.artifacts: list[Artifact] = [Artifact("log", folder / LOG, LOG)]
        self._names = {LOG, TRACE, DATA}
        self._cdp: dict[Page, CDPSession] = {}
        self._is_tracing = False
        self.numbered = numbered
        self._pictures = 0
        self.masked: list[str] = []  # selectors of readable fields that hold a secret
        self.log("started")

    def log(self, line: str) -> None:
        now = datetime.now(UTC).isoformat(timespec="milliseconds")
        clean = " ".join(self.redactor.text(line).split())
        try:
            with (self.folder / LOG).open("a", encoding="utf-8", errors="replace") as file:
                file.write(f"{now} {clean}\n")
        except OSError as error:  # a full disk, or a caller that has gone: the run goes on
            logger.warning("evidence is not written: %s", error)

    def place(self, name: str) -> Path:
        """A free path in the folder under a name that no file system minds."""
        safe = re.sub(r"[^\w.-]+", "_", self.redactor.text(name)).strip("._-")[-100:] or "file"
        path = self.folder / safe
        number = 2
        while path.name.lower() in self._names:
            path = self.folder / f"{Path(safe).stem}-{number}{Path(safe).suffix}"
            number += 1
        self._names.add(path.name.lower())
        return path

    def keep(self, kind: Kind, path: Path, name: str = "") -> None:
        self.artifacts.append(Artifact(kind, path, name or path.name))

    def data(self, parsed: Mapping[str, list[Row]]) -> None:
        """All that was parsed so far, in one file."""
        text = self.redactor.text(json.dumps(parsed, ensure_ascii=False, indent=1))
        path = self.folder / DATA
        path.write_text(text, encoding="utf-8", errors="replace")
        if not any(one.path == path for one in self.artifacts):
            self.keep("data", path)

    async def picture(self, page: Page, name: str, full_page: bool = False) -> None:
        """What the page shows now. One that cannot be taken is logged, and the run goes on."""
        try:
            content = await self._seen(page, full_page)
            path = self.place(
                f"screenshot-{self._pictures}.png" if self.numbered else f"{name}.jpg"
            )
            path.write_bytes(content)
        except (PlaywrightError, OSError) as error:
            self.log(f"no screenshot {name}: {(str(error) or 'no answer').splitlines()[0]}")
            return
        self._pictures += 1
        if self.numbered:
            self.log(f"{path.name}: {name}")
        self.keep("screenshot", path)

    async def protocol(self, page: Page) -> CDPSession:
        """The one session of the run with the browser's own protocol."""
        if page not in self._cdp:
            self._cdp[page] = await page.context.new_cdp_session(page)
        return self._cdp[page]

    async def start_trace(self, context: BrowserContext) -> None:
        await context.tracing.start(screenshots=False, snapshots=True, sources=False)
        self._is_tracing = True

    async def stop_trace(self, context: BrowserContext) -> None:
        """Nothing reaches the folder before its secrets are out."""
        if not self._is_tracing:
            return
        target = self.folder / TRACE
        if not self.redactor.is_needed:
            await context.tracing.stop(path=target)
        else:
            with tempfile.TemporaryDirectory(prefix="trace-") as scratch:
                raw = Path(scratch) / TRACE
                await context.tracing.stop(path=raw)
                self.redactor.archive(raw, target)
        self.keep("trace", target)

    async def _seen(self, page: Page, full_page: bool) -> bytes:
        """Chromium refuses, or never answers, while it replaces a page: then once more."""
        is_plain = not full_page and not self.masked
        try:
            first = self._captured(page) if is_plain else self._rendered(page, full_page)
            return await asyncio.wait_for(first, LOADING / 1000)
        except (PlaywrightError, TimeoutError):
            await asyncio.sleep(PAUSE)
            return await self._rendered(page, full_page)

    async def _rendered(self, page: Page, full_page: bool) -> bytes:
        masks = [page.locator(selector) for selector in self.masked]
        return await page.screenshot(
            type="png" if self.numbered else "jpeg",
            quality=None if self.numbered else QUALITY,
            full_page=full_page,
            timeout=LOADING,
            mask=masks,
            mask_color="#888888",
        )

    async def _captured(self, page: Page) -> bytes:
        """By the protocol itself: half the cost of `page.screenshot`, and no snapshots for it."""
        protocol = await self.protocol(page)
        answer = await protocol.send("Page.captureScreenshot", PNG if self.numbered else PICTURE)
        return base64.b64decode(answer["data"])
