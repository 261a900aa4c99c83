"""What pip cannot install: a browser, and for the tests PostgreSQL and Redis.

Run by `make setup`. On Debian and Ubuntu, as root, missing parts are installed by apt; otherwise
it says what is missing and the command that brings it. It never fails: the part that needs what
is missing says so itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Part:
    name: str
    commands: tuple[str, ...]  # any one of these on PATH will do
    packages: tuple[str, ...]  # Debian's
    why: str
    files: tuple[str, ...] = ()  # or any file that matches one of these


PARTS = (
    Part(
        "a browser",
        ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "msedge"),
        ("chromium",),
        "the workers file appeals in it",
        files=(".cache/ms-playwright/chromium-*", "AppData/Local/ms-playwright/chromium-*"),
    ),
    Part(
        "unixODBC",
        (),
        ("libodbc2",),
        "mssql-django loads it",
        files=("/usr/lib/*/libodbc.so.2", "/usr/lib64/libodbc.so.2", "/usr/local/lib/libodbc.*"),
    ),
    Part(
        "PostgreSQL",
        ("postgres",),
        ("postgresql",),
        "the tests run on it too",
        files=("/usr/lib/postgresql/*/bin/postgres",),
    ),
    Part("gettext", ("xgettext",), ("gettext",), "the tests compare the translation with the code"),
    Part("Redis", ("redis-server",), ("redis-server",), "the tests use it as cache and broker"),
)


def is_there(part: Part) -> bool:
    if any(shutil.which(command) for command in part.commands):
        return True
    roots = [(Path("/"), pattern[1:]) for pattern in part.files if pattern.startswith("/")]
    roots += [(Path.home(), pattern) for pattern in part.files if not pattern.startswith("/")]
    return any(any(root.glob(pattern)) for root, pattern in roots)


def may_install() -> bool:
    return bool(shutil.which("apt-get")) and hasattr(os, "geteuid") and os.geteuid() == 0


def install(parts: list[Part]) -> None:
    packages = [package for part in parts for package in part.packages]
    print(f"Installing {', '.join(packages)} ...", flush=True)
    quiet = {"DEBIAN_FRONTEND": "noninteractive", **os.environ}
    for arguments in (
        ["apt-get", "update", "-qq"],
        ["apt-get", "install", "-y", "-qq", "--no-install-recommends", *packages],
    ):
        subprocess.run(arguments, env=quiet, check=False, stdout=subprocess.DEVNULL)


def main() -> int:
    missing = [part for part in PARTS if not is_there(part)]
    if missing and may_install():
        install(missing)
        missing = [part for part in missing if not is_there(part)]
    for part in missing:
        command = f"sudo apt-get install {' '.join(part.packages)}"
        if part.name == "a browser":
            command += "   or: .venv/bin/python -m playwright install chromium"
        print(f"MISSING: {part.name} ({part.why}). Install it with: {command}", file=sys.stderr)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
