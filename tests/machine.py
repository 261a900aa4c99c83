"""A machine of its own for a test: real processes of the project, on a folder of their own."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import requests

from tests.postgres import free_port

ROOT = Path(__file__).resolve().parent.parent


class Machine:
    """Runs management commands with a DATA_DIR of its own, and reads its SQLite files."""

    def __init__(self, folder: Path, **environment: str) -> None:
        self.folder = folder
        self.world_url = f"http://127.0.0.1:{free_port()}"
        emptied = (
            *("DATABASE_URL", "SQLSERVER_SERVER", "REDIS_URL", "AWS_ACCESS_KEY_ID"),
            "MONGODB_URI",
        )
        self.environment = {
            **os.environ,
            **dict.fromkeys(emptied, ""),
            "DJANGO_SETTINGS_MODULE": "orchestrator_site.settings",
            "DATA_DIR": str(folder),
            "DEMO_WORLD_URL": self.world_url,
            "BRAIN_PROOF_DELAYS": "0.05,0.1,0.15,0.2,0.3",
            "TASK_RETRY_FACTOR": "0",
            "LOG_LEVEL": "WARNING",
            **environment,
        }

    @classmethod
    def like(cls, folder: Path, own: Path, **environment: str) -> Machine:
        """One that begins with the files of `folder`, in a folder of its own within `own`."""
        return cls(shutil.copytree(folder, own / "machine"), **environment)

    def run(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """A command to its end."""
        return subprocess.run(
            self._command(arguments),
            env=self.environment,
            cwd=ROOT,
            check=check,
            capture_output=True,
            text=True,
            timeout=120,
        )

    @contextmanager
    def running(self, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
        """A command in the background, killed at the end."""
        process = subprocess.Popen(
            self._command(arguments), env=self.environment, cwd=ROOT, stdout=subprocess.DEVNULL
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()

    @contextmanager
    def world(self) -> Iterator[None]:
        """The demo world, up."""
        with self.running("demoworld"):
            wait_for(self._is_up, "the demo world")
            yield

    def shell(self, code: str) -> str:
        return self.run("shell", "-v0", "-c", code).stdout

    def ask(self, sql: str, file: str = "db.sqlite3") -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.folder / file, timeout=10)) as database:
            return database.execute(sql).fetchall()

    def _is_up(self) -> bool:
        try:
            return requests.get(f"{self.world_url}/_up", timeout=1).ok
        except requests.RequestException:
            return False

    def _command(self, arguments: tuple[str, ...]) -> list[str]:
        return [sys.executable, str(ROOT / "manage.py"), *arguments]


def wait_for(condition: Callable[[], Any], what: str, seconds: float = 60) -> Any:
    """The first true answer of `condition`."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        if answer := condition():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"{what} did not come within {seconds} s")
