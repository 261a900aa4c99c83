"""Several processes at once: `python -m tests.bench.support.crew MODULE FUNCTION VALUES`.

`function(*values)` prepares and answers with the work; all begin to work at the same time.
"""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import django

from tests.machine import ROOT


def at_work(
    module: str,
    function: str,
    each: Sequence[Sequence[Any]],
    environment: Mapping[str, str] | None = None,
) -> tuple[float, list[Any]]:
    """The seconds from the first begin to the last end, and the answer of each process.

    `each` has the values of each of them, JSON as their answers are.
    """
    crew = [_started(module, function, values, environment) for values in each]
    try:
        for process in crew:
            _line(process)
        for process in crew:
            assert process.stdin
            process.stdin.write("go\n")
            process.stdin.flush()
        told = [json.loads(_line(process)) for process in crew]
    finally:
        for process in crew:
            process.kill()
            process.communicate()
    began, ended = (
        pick(one[name] for one in told) for pick, name in ((min, "began"), (max, "ended"))
    )
    return ended - began, [one["answer"] for one in told]


def _started(
    module: str, function: str, values: Sequence[Any], environment: Mapping[str, str] | None
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", __name__, module, function, json.dumps(values)],
        env=dict(environment or os.environ),
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout
    line = process.stdout.readline()
    if not line:
        raise RuntimeError(f"{process.args} ended with {process.wait()}")
    return line


def main(module: str, function: str, values: str) -> None:
    django.setup()
    work = getattr(importlib.import_module(module), function)(*json.loads(values))
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()
    answer = work()
    print(json.dumps({"began": began, "ended": time.monotonic(), "answer": answer}), flush=True)


if __name__ == "__main__":
    # Under its own name, not as __main__: it names this module to its children.
    importlib.import_module("tests.bench.support.crew").main(*sys.argv[1:])
