"""Which browser to drive and how it is started."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge")
WINDOWS = (
    r"$PROGRAMFILES\Google\Chrome\Application\chrome.exe",
    r"$LOCALAPPDATA\Google\Chrome\Application\chrome.exe",
    r"$PROGRAMFILES\Microsoft\Edge\Application\msedge.exe",
    r"C:\Program Files (x86)\Microsoft\Edge\Application\msedge.exe",
)
CACHES = {"win32": r"$LOCALAPPDATA\ms-playwright", "darwin": "~/Library/Caches/ms-playwright"}
QUIET = (
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
# For runs that may go to their hosts only: nothing looks a name up or goes past the proxy of its
# context, and what has none goes nowhere.
CONFINED = (
    "--disable-quic",
    "--force-webrtc-ip-handling-policy=disable_non_proxied_udp",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
    "--proxy-server=socks5://127.0.0.1:9",
    "--proxy-bypass-list=<-loopback>",
)
MISSING = (
    "No browser was found{where}. Install one with `{python} -m playwright install --with-deps "
    "chromium`, or on Debian with `apt-get install chromium`."
)


class BrowserMissing(Exception):
    """This machine has no browser that can be driven; the message says how to get one."""


def find_browser(configured: str = "") -> str:
    """The path of the browser to start; "" for Playwright's own."""
    if configured:
        return shutil.which(configured) or _missing(f" at {configured}")
    if _own_is_installed():
        return ""
    return next(_installed(), "") or _missing("")


def arguments() -> list[str]:
    """Chromium's flags: no traffic of its own; root has no sandbox."""
    is_root = hasattr(os, "geteuid") and os.geteuid() == 0
    return [*QUIET, "--no-sandbox"] if is_root else [*QUIET]


def _missing(where: str) -> str:
    raise BrowserMissing(MISSING.format(where=where, python=sys.executable))


def _installed() -> Iterator[str]:
    places = [os.path.expandvars(path) for path in WINDOWS] if sys.platform == "win32" else []
    yield from filter(None, map(shutil.which, (*NAMES, *places)))


def _own_is_installed() -> bool:
    """Whether the build that this Playwright wants is complete on disk."""
    package = Path(playwright.__file__).parent / "driver" / "package"
    known = json.loads((package / "browsers.json").read_text(encoding="utf-8"))["browsers"]
    revision = next(entry["revision"] for entry in known if entry["name"] == "chromium")
    # Without a window Playwright starts its headless shell, with one its Chromium.
    return all(
        (_own_folder(package) / f"{name}-{revision}" / "INSTALLATION_COMPLETE").exists()
        for name in ("chromium", "chromium_headless_shell")
    )


def _own_folder(package: Path) -> Path:
    chosen = os.path.expandvars("$PLAYWRIGHT_BROWSERS_PATH")
    if chosen == "0":
        return package / ".local-browsers"
    if "$" in chosen:
        chosen = os.path.expandvars(CACHES.get(sys.platform, "~/.cache/ms-playwright"))
    return Path(chosen).expanduser()
