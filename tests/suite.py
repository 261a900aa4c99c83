"""The whole suite: everything on SQLite, then what touches the database on PostgreSQL.

`python -m tests.suite [pytest arguments]`; arguments are passed to both runs.
"""

from __future__ import annotations

import os
import subprocess
import sys

from tests import postgres

WORKERS = "2"


def run(title: str, arguments: list[str], **environment: str) -> int:
    print(f"== {title}", flush=True)
    # Who is done first takes over what others have not begun: the longest tests come last.
    spread = ["-n", WORKERS, "--dist", "worksteal"]
    command = [sys.executable, "-m", "pytest", *spread, "-q", "--durations=25", *arguments]
    return subprocess.run(command, env={**os.environ, **environment}, check=False).returncode


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
