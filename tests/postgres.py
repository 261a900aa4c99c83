"""A PostgreSQL of the tests' own: in a temporary folder, on a free port, gone at the end."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def find_binaries() -> Path | None:
    """The folder with initdb and postgres, the newest where there are several."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    folders += [Path(path).resolve().parent for path in [shutil.which("postgres")] if path]
    return next((folder for folder in folders if (folder / "initdb").exists()), None)


@contextmanager
def running() -> Iterator[str]:
    """The URL of a fresh server. Raises FileNotFoundError where PostgreSQL is not installed."""
    binaries = find_binaries()
    if binaries is None:
        raise FileNotFoundError("PostgreSQL")
    folder = Path(tempfile.mkdtemp(prefix="orchestrator-pg-", dir="/tmp"))
    # initdb refuses to run as root.
    as_whom: dict[str, Any] = {}
    if os.geteuid() == 0:
        shutil.chown(folder, "postgres")
        as_whom = {"user": "postgres", "group": "postgres", "extra_groups": [], "cwd": "/tmp"}
    data, port = folder / "data", free_port()
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    initdb = [binaries / "initdb", "-D", data, "-U", "tests", "-A", "trust", "-E", "UTF8", "-N"]
    subprocess.run([str(word) for word in initdb], check=True, **quiet, **as_whom)
    # PostgreSQL's own 128 MB hold neither a bench's million rows nor what a real server is given.
    options = (
        f"-p {port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -F"
        " -c shared_buffers=512MB"
    )
    pg_ctl = [str(binaries / "pg_ctl"), "-D", str(data), "-w"]
    log = ["-l", str(folder / "log")]
    subprocess.run([*pg_ctl, *log, "-o", options, "start"], check=True, **quiet, **as_whom)
    try:
        yield f"postgres://tests@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*pg_ctl, "-m", "immediate", "stop"], check=False, **quiet, **as_whom)
        shutil.rmtree(folder, ignore_errors=True)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
