"""Runs the benchmarks; the exit status is 1 where a figure misses its target."""

from __future__ import annotations

import argparse
import pkgutil
import sys
from pathlib import Path

from tests import bench
from tests.bench.support import inside, report


def names() -> list[str]:
    modules = pkgutil.iter_modules(bench.__path__)
    return [found.name for found in modules if not found.ispkg and found.name != "__main__"]


def measured(name: str, quick: bool) -> list[report.Told]:
    """The benchmark's figures, from a machine of its own."""
    print(f"{name} ...", file=sys.stderr, flush=True)
    with inside.machine() as machine:
        return inside.call(f"tests.bench.{name}", "run", quick, environment=machine.environment)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog=f"python -m {Path(__file__).parent.parent.name}.bench")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(names()))
    parser.add_argument(
        "--json", action="store_true", help="one line a figure, after one with the machine"
    )
    parser.add_argument("--quick", action="store_true", help="fewer runs, smaller sizes")
    options = parser.parse_args(arguments)
    if unknown := set(options.names) - set(names()):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    chosen = options.names or names()
    figures = [figure for name in chosen for figure in measured(name, options.quick)]
    tell = report.as_lines if options.json else report.as_table
    tell(figures, options.quick)
    return int(any(figure["ok"] is False for figure in figures))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
