"""A server that speaks Mongo's protocol, of the tests' own: in an environment and a process of its
own, on a free port, gone at the end. With MONGODB_TEST_URI set that server is used instead."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pymongo import MongoClient
from pymongo.errors import PyMongoError

from tests.machine import ROOT
from tests.postgres import free_port

PACKAGE = "nx-27017==0.8.1"
HOME = ROOT / ".venv" / "mongo"
PATIENCE = 20.0  # seconds
# Its fast way of updating turns true into 1 and dates into text, its exact way unsets no field of a
# field. A real server does all three right.
START = """
import sys
from copy import deepcopy
import neosqlite.collection.query_helper._sql_updates as fast
import neosqlite.collection.query_helper.update_operations as updates
from nx_27017.nx_27017 import main

def exactly(self, doc_id, spec, doc, *more):
    dotted = [path.split(".") for path in spec.get("$unset", {}) if "." in path]
    doc = deepcopy(doc)
    for *parents, last in dotted:
        found = doc
        for name in parents:
            found = found.get(name) if isinstance(found, dict) else None
        if isinstance(found, dict):
            found.pop(last, None)
    changed, is_other = update(self, doc_id, spec, doc, *more)
    return changed, is_other or bool(dotted)

fast.get_force_fallback = updates.get_force_fallback = lambda: True
update = updates.UpdateOperationsMixin._perform_python_update
updates.UpdateOperationsMixin._perform_python_update = exactly
sys.exit(main())
"""


def install() -> None:
    """Its environment. What it needs is at odds with nothing of ours that way."""
    if not (HOME / "installed").exists():
        subprocess.run([sys.executable, "-m", "venv", str(HOME)], check=True)
        pip = [str(HOME / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, PACKAGE], check=True)
        (HOME / "installed").touch()


class Server:
    """One server; it can be killed and started again on its files."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder, self.port = folder, port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        return f"mongodb://127.0.0.1:{self.port}/"

    def start(self) -> None:
        self.process = subprocess.Popen(
            [
                *(str(HOME / "bin" / "python"), "-c", START),
                *("--data-dir", str(self.folder / "data")),
                *("-p", str(self.port), "--log-file", str(self.folder / "log")),
                *("--pid-file", str(self.folder / "pid")),
            ],
            cwd=self.folder,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._wait()

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None

    def _wait(self) -> None:
        until = time.monotonic() + PATIENCE
        with MongoClient[dict[str, object]](self.uri, serverSelectionTimeoutMS=500) as client:
            while True:
                try:
                    client.admin.command("ping")
                    return
                except PyMongoError:
                    if time.monotonic() > until:
                        raise


@contextmanager
def running() -> Iterator[Server]:
    """A fresh one. Raises FileNotFoundError where it is not installed."""
    if not (HOME / "installed").exists():
        raise FileNotFoundError("nx-27017")
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-mongo-"))
    (folder / "data").mkdir()
    server = Server(folder, free_port())
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder, ignore_errors=True)


def configured() -> str:
    """A real MongoDB to test against, where there is one."""
    return os.environ.get("MONGODB_TEST_URI", "")


if __name__ == "__main__":
    install()
