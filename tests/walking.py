"""A person's way through the pages, in Chromium: what the browser complains of is kept."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from axe_playwright_python.sync_playwright import Axe
from django.conf import settings
from django.contrib.auth.models import User
from django.test import Client
from playwright.sync_api import Browser, Page, sync_playwright

from queues.browser import launch
from tests import parts

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
BEYOND = "document.documentElement.scrollWidth - innerWidth"
RULES = {"resultTypes": ["violations"], "runOnly": ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa"]}
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}
# Parts of the admin's own look: Django's chooser of many, a choice's search, a user's password.
OTHERS = (".help-tooltip", ".select2-search__field", ".selector", "a[href$='password/']")
NOT_OURS = {"exclude": [[one] for one in OTHERS]}
THEME = "dark => document.documentElement.classList.toggle('dark', dark)"
SETTLED = "() => document.getAnimations().every(one => one.playState !== 'running')"


@dataclass
class Walk:
    """One person in one browser; `faults` by page."""

    page: Page
    base: str
    faults: dict[str, list[str]] = field(default_factory=dict)
    at: str = ""

    def go(self, path: str) -> None:
        """Open a page; it must be there, and no wider than the screen, wide or narrow."""
        self.at = path
        self.page.set_viewport_size(WIDE)  # type: ignore[arg-type]
        answer = self.page.goto(f"{self.base}{path}")
        if answer is None or answer.status != 200:
            self.fault(f"status {answer and answer.status}")
        self.look()

    def look(self) -> None:
        """At the page as it stands, once it has come."""
        self.page.wait_for_function("document.readyState === 'complete'")
        for size in (WIDE, NARROW):
            self.page.set_viewport_size(size)  # type: ignore[arg-type]
            if (beyond := self.page.evaluate(BEYOND)) > 0:
                self.fault(f"{beyond} px wider than {size['width']}")
        self.page.set_viewport_size(WIDE)  # type: ignore[arg-type]

    def check(self, in_the_dark: bool = False) -> None:
        """What axe has to say of it, in the light, and of its colours in the dark."""
        self._axe("light", RULES)
        if in_the_dark:
            self.page.evaluate(THEME, True)
            self._axe("dark", CONTRAST)
            self.page.evaluate(THEME, False)

    def told(self) -> str:
        """The faults, each with where it was seen."""
        where: dict[str, list[str]] = {}
        for path, texts in self.faults.items():
            for text in texts:
                where.setdefault(text, []).append(path)
        return "\n".join(f"{text}\n    {', '.join(paths[:6])}" for text, paths in where.items())

    def _axe(self, theme: str, rules: Any) -> None:
        self.page.wait_for_function(SETTLED)
        for found in Axe().run(self.page, NOT_OURS, rules).response["violations"]:
            places = [" ".join(map(str, node["target"])) for node in found["nodes"]]
            self.fault(f"{theme} {found['id']}: {'; '.join(places[:6])} ({len(places)})")

    def fault(self, text: str) -> None:
        self.faults.setdefault(self.at, []).append(text)

    def listen(self) -> None:
        """To the console, to errors, to where requests go."""
        own = self.base.partition("//")[2]

        def asked(request: Any) -> None:
            host = request.url.partition("//")[2].partition("/")[0]
            if request.url.startswith("http") and host != own:
                self.fault(f"asked {request.url}")

        def said(message: Any) -> None:
            if message.type in ("error", "warning"):
                self.fault(f"console: {message.text}")

        self.page.on("request", asked)
        self.page.on("console", said)
        self.page.on("pageerror", lambda error: self.fault(f"error: {error}"))


def cookie(user: User) -> str:
    """The session of a person who has signed in."""
    client = Client()
    client.force_login(user)
    return client.cookies[settings.SESSION_COOKIE_NAME].value


@contextmanager
def browser() -> Iterator[Browser]:
    parts.require("a browser")
    with sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=launch.find_browser() or None, args=launch.arguments()
        )
        try:
            yield chromium
        finally:
            chromium.close()


@contextmanager
def walk(chromium: Browser, base: str, session: str, language: str = "es") -> Iterator[Walk]:
    context = chromium.new_context(viewport=WIDE, locale=language)  # type: ignore[arg-type]
    context.add_cookies([{"name": settings.SESSION_COOKIE_NAME, "value": session, "url": base}])
    walked = Walk(context.new_page(), base)
    walked.listen()
    try:
        yield walked
    finally:
        context.close()
