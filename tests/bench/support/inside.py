"""A function of a benchmark in a fresh process: `python -m tests.bench.support.inside ...`."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import django

from tests import postgres
from tests.machine import ROOT, Machine

LONGEST = 3600  # seconds


@contextmanager
def machine(**environment: str) -> Iterator[Machine]:
    """A migrated one, for the length of the block."""
    with TemporaryDirectory(prefix="orchestrator-bench-") as folder:
        made = Machine(Path(folder), **environment)
        made.run("migrate", "-v0")
        yield made


@contextmanager
def on_postgresql() -> Iterator[dict[str, str]]:
    """The environment of a migrated machine whose database is a PostgreSQL of its own."""
    with postgres.running() as url, machine(DATABASE_URL=url) as made:
        yield made.environment


def call(
    module: str, function: str, *values: Any, environment: Mapping[str, str] | None = None
) -> Any:
    """The answer of `module.function(*values)`, all of them JSON, from a process of its own.

    `environment` says on which DATA_DIR; the default is this process's own.
    """
    command = [sys.executable, "-m", __name__, module, function, json.dumps(values)]
    answer = subprocess.run(
        command,
        env=dict(environment or os.environ),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=True,
        timeout=LONGEST,
    )
    return json.loads(answer.stdout)


def main(module: str, function: str, values: str) -> None:
    django.setup()
    answer = getattr(importlib.import_module(module), function)(*json.loads(values))
    print(json.dumps(answer, default=lambda figure: figure.as_dict()))


if __name__ == "__main__":
    # Under its own name, not as __main__: `call` names this module to its children.
    importlib.import_module("tests.bench.support.inside").main(*sys.argv[1:])
