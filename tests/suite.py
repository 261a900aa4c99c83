"""The suite: on SQLite, then what touches the database on PostgreSQL.

`python -m tests.suite [--all] [pytest arguments]`; arguments are passed to both runs. Without
`--all` the `long` tests are left out. What fails beside others on a busy machine is run once more
by itself: if it passes then, it is told as UNSTEADY, and is to be mended.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests import postgres
from tests.machine import ROOT

# One more than there are cores: many a test waits for another process, a browser, a server.
MOST_UNSTEADY = 5  # more of them are no accident
WORKERS = str(min((os.cpu_count() or 1) + 1, 8))
# What is compiled is kept, whatever the caller's shell says: a run starts some hundred processes.
KEPT = {"PYTHONDONTWRITEBYTECODE": ""}
LAST_FAILED, FAILED = ROOT / ".pytest_cache" / "v" / "cache" / "lastfailed", 1
MEMORY, ROOM = Path("/dev/shm"), 4 * 2**30  # bytes; a run takes some 100 MB


def run(title: str, marks: list[str], arguments: list[str], **environment: str) -> int:
    print(f"== {title}", flush=True)
    LAST_FAILED.unlink(missing_ok=True)
    # Who is done first takes over what others have not begun: the longest tests come last.
    spread = ["-n", WORKERS, "--dist", "worksteal", "--durations=25"]
    chosen = ["-m", " and ".join(marks)] if marks else []
    with temporary_files() as folder:
        given = {**os.environ, **KEPT, **folder, **environment}
        code = pytest([*spread, *chosen, *arguments], given)
        return again(given) if code == FAILED else code


def pytest(arguments: list[str], environment: dict[str, str]) -> int:
    command = [sys.executable, "-m", "pytest", "-q", *arguments]
    return subprocess.run(command, env=environment, check=False).returncode


def again(environment: dict[str, str]) -> int:
    """Run alone what has just failed, where it is little."""
    failed = sorted(json.loads(LAST_FAILED.read_text())) if LAST_FAILED.exists() else []
    if not 0 < len(failed) <= MOST_UNSTEADY:
        return FAILED
    print(f"== once more, alone: {len(failed)}", flush=True)
    if code := pytest(failed, environment):
        return code
    for name in failed:
        print(f"UNSTEADY {name}: it failed beside others", file=sys.stderr, flush=True)
    return 0


@contextmanager
def temporary_files() -> Iterator[dict[str, str]]:
    """In memory where there is room: no test waits for a disk. Gone at the end."""
    if "TMPDIR" in os.environ or not MEMORY.is_dir() or shutil.disk_usage(MEMORY).free < ROOM:
        yield {}
        return
    with TemporaryDirectory(prefix="tests-", dir=MEMORY, ignore_cleanup_errors=True) as folder:
        yield {"TMPDIR": folder}


def main(arguments: list[str]) -> int:
    marks = [] if "--all" in arguments else ["not long"]
    arguments = [one for one in arguments if one != "--all"]
    codes = [run("on SQLite", marks, arguments)]
    try:
        with postgres.running() as url:
            marks = ["database", "not once", *marks]
            codes.append(run("on PostgreSQL", marks, arguments, TEST_DATABASE_URL=url))
    except FileNotFoundError:
        print("MISSING PostgreSQL: its part of the suite was SKIPPED", file=sys.stderr, flush=True)
        codes.append(1 if os.environ.get("CI") else 0)
    return max(codes)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
