"""Pictures of the control room's pages, as a person sees them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

from queues.browser import launch

WIDE, NARROW = (1280, 800), (390, 844)
LANGUAGES = ("en", "es")
THEME = "theme => localStorage.setItem('_x_adminTheme', JSON.stringify(theme))"


class NotSignedIn(Exception):
    """The admin's password is not right."""


@dataclass(frozen=True)
class Shot:
    """A page, and the name of its picture; `{case}` in its address is the last appeal's."""

    name: str
    path: str
    is_dark: bool = False
    is_narrow: bool = False


def take(url: str, password: str, shots: Iterable[Shot], out: Path, executable: str) -> list[Path]:
    """Each picture in each language, as {out}/{language}/{name}.png. Raises NotSignedIn."""
    taken = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=launch.find_browser(executable) or None, args=launch.arguments()
        )
        for language in LANGUAGES:
            (out / language).mkdir(parents=True, exist_ok=True)
            for shot in shots:
                taken.append(out / language / f"{shot.name}.png")
                _one(browser, url, password, shot, language, taken[-1])
        browser.close()
    return taken


def _one(browser: Browser, url: str, password: str, shot: Shot, language: str, path: Path) -> None:
    width, height = NARROW if shot.is_narrow else WIDE
    context = browser.new_context(viewport={"width": width, "height": height}, locale=language)
    page = context.new_page()
    _sign_in(page, url, password)
    page.evaluate(THEME, "dark" if shot.is_dark else "light")
    address = shot.path
    if "{case}" in address:
        rows = page.request.get(f"{url}/api/v1/tramites/?status=completed").json()["results"]
        address = address.format(case=rows[-1]["case_id"])
    page.goto(f"{url}{address}", wait_until="load")
    page.evaluate("document.fonts.ready")
    page.wait_for_timeout(800)  # charts draw themselves in
    page.screenshot(path=path)
    context.close()


def _sign_in(page: Page, url: str, password: str) -> None:
    page.goto(f"{url}/admin/login/")
    page.fill("#id_username", "admin")
    page.fill("#id_password", password)
    page.click("button[type=submit]")
    page.wait_for_load_state()
    if "/login/" in page.url:
        raise NotSignedIn
