"""A file that one process of this host holds for its life; the system frees it with its death."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

# Windows lets nobody read what is locked: a byte behind all that is ever written.
BEHIND = 1 << 20


class Held(Exception):
    """Another process has the file; `by` is its id as it wrote it down."""

    def __init__(self, path: Path, by: str) -> None:
        super().__init__(f"{path} is held by process {by}")
        self.by = by


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the file for the length of the block. Raises Held, and then has changed nothing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+") as file:
        try:
            _lock(file.fileno())
        except OSError as error:
            raise Held(path, path.read_text() or "?") from error
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        yield


def _lock(file: int) -> None:
    """Raises OSError where another has it."""
    if sys.platform == "win32":
        os.lseek(file, BEHIND, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
    else:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
