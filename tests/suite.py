"""The whole suite: everything on SQLite, then what touches the database on PostgreSQL.

`python -m tests.suite [pytest arguments]`; arguments are passed to both runs.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import postgres

# One more than there are cores: many a test waits for another process, a browser, a server.
WORKERS = str(min((os.cpu_count() or 1) + 1, 8))
# What is compiled is kept, whatever the caller's shell says: a run starts some hundred processes.
KEPT = {"PYTHONDONTWRITEBYTECODE": ""}
MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30  # bytes; a run takes some 100 MB


def run(title: str, arguments: list[str], **environment: str) -> int:
    print(f"== {title}", flush=True)
    # Who is done first takes over what others have not begun: the longest tests come last.
    spread = ["-n", WORKERS, "--dist", "worksteal"]
    command = [sys.executable, "-m", "pytest", *spread, "-q", "--durations=25", *arguments]
    with temporary_files() as folder:
        given = {**os.environ, **KEPT, **folder, **environment}
        return subprocess.run(command, env=given, check=False).returncode


@contextmanager
def temporary_files() -> Iterator[dict[str, str]]:
    """In memory where there is room: no test waits for a disk. Gone at the end."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield {}
        return
    with TemporaryDirectory(prefix="tests-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield {"TMPDIR": folder}


def main(arguments: list[str]) -> int:
    codes = [run("on SQLite", arguments)]
    try:
        with postgres.running() as url:
            codes.append(
                run(
                    "on PostgreSQL",
                    ["-m", "database and not once", *arguments],
                    TEST_DATABASE_URL=url,
                )
            )
    except FileNotFoundError:
        print("MISSING PostgreSQL: its part of the suite was SKIPPED", file=sys.stderr, flush=True)
        codes.append(1 if os.environ.get("CI") else 0)
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
