"""`python -m queues.browser.parsers NAME FILE`: the rows as JSON, or what is wrong.

The process that `parsing` starts: what a file does to it, it does to nobody else.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path

from queues.browser.parsers import PARSERS
from queues.browser.parsers.rows import Row, Unparsable

MOST_ROWS = 100_000
MOST_MEMORY = 512 * 2**20  # bytes


def _bound_memory() -> None:
    try:
        import resource
    except ImportError:  # Windows: bounded by time alone
        return
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))


def _named(name: str) -> Callable[[Path], Iterator[Row]]:
    module, _, function = PARSERS[name].partition(".")
    found: Callable[[Path], Iterator[Row]] = getattr(
        import_module(f"queues.browser.parsers.{module}"), function
    )
    return found


def main(name: str, file: str) -> int:
    _bound_memory()
    try:
        rows = list(islice(_named(name)(Path(file)), MOST_ROWS + 1))
        if len(rows) > MOST_ROWS:
            raise Unparsable(f"more than {MOST_ROWS} rows")
        json.dump({"rows": rows}, sys.stdout, ensure_ascii=True)
    except Unparsable as error:
        json.dump({"error": str(error)[:500]}, sys.stdout, ensure_ascii=True)
    except MemoryError:
        json.dump({"error": "the file wants more memory than a parser may have"}, sys.stdout)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(*sys.argv[1:]))
