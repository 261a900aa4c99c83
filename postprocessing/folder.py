"""A company's folder: what lies in it, and how it is read without being led astray.

Nobody vouches for what extractors and people leave there: links, pipes, files that grow while they
are read. Nothing is followed, nothing blocks, and nothing but regular files is read.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple

from postprocessing import sentences

# Those that a system lacks are left out.
_FLAGS = os.O_RDONLY
for _name in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_BINARY", "O_NOCTTY"):
    _FLAGS |= getattr(os, _name, 0)
# File systems count time in steps of up to 10 ms: two changes in one step have one time.
STEP = 0.01  # seconds
_NO_FILE = (errno.ELOOP, errno.ENXIO, errno.EISDIR, errno.ENODEV)


class Unreadable(Exception):
    """A file that is not read, perhaps only now; the text says why."""


class TooLarge(Unreadable):
    """And was not read at all: `size` in bytes, `mtime_ns` as of a `Content`."""

    def __init__(self, size: int, mtime_ns: int, limit: int) -> None:
        super().__init__(sentences.TOO_LARGE % {"limit": limit})
        self.size, self.mtime_ns = size, mtime_ns


class Entry(NamedTuple):
    """What lies in the folder. `mtime_ns`: nanoseconds since 1970, UTC.

    A name that is not UTF-8 has its bytes written out (`caf\\xe9.json`): it can be told and
    stored, and counts as no regular file.
    """

    name: str
    size: int
    mtime_ns: int
    is_regular: bool

    @property
    def problem(self) -> str:
        """Why it is not even opened; "" where it may be."""
        if self.is_regular:
            return ""
        return sentences.NAME_NOT_UTF_8 if "\\x" in self.name else sentences.NO_REGULAR


@dataclass(frozen=True)
class FileFault:
    """What is wrong with a file, or with a record of it: its place in the file, from 1; 0: the
    file."""

    file: str
    record: int
    reason: str


class Content(NamedTuple):
    """All of a file, and how it was while that was read."""

    bytes: bytes
    mtime_ns: int


def is_json(name: str) -> bool:
    """Whether it is data; every other file is a sibling of some that are."""
    return name.lower().endswith(".json")


def listed(folder: Path) -> Iterator[Entry]:
    """All that is there, in no order; nothing where there is no folder."""
    try:
        found = os.scandir(folder)
    except FileNotFoundError:
        return
    with found:
        for one in found:
            try:
                seen = one.stat(follow_symlinks=False)
            except FileNotFoundError:  # gone since
                continue
            name, is_regular = one.name, stat.S_ISREG(seen.st_mode)
            if not name.isascii() and not _is_utf_8(name):
                name, is_regular = written_out(name), False
            yield Entry(name, seen.st_size, seen.st_mtime_ns, is_regular)


def looked_up(folder: Path, name: str) -> Entry:
    """One of them by its name. Raises Unreadable where it is not there."""
    try:
        seen = os.lstat(_path(folder, name))
    except (OSError, ValueError) as error:
        raise Unreadable(_told(error)) from error
    return Entry(name, seen.st_size, seen.st_mtime_ns, stat.S_ISREG(seen.st_mode))


def opened(folder: Path, name: str) -> BinaryIO:
    """The file, which is a regular one of this folder. Raises Unreadable."""
    return os.fdopen(_descriptor(_path(folder, name))[0], "rb")


def read(folder: Path | str, name: str, limit: int) -> Content:
    """All of it, unless it has more than `limit` bytes. What changes meanwhile is read once more.

    Raises Unreadable, of which TooLarge is one.
    """
    path = _path(folder, name)
    content = _read_once(path, limit) or _read_once(path, limit)
    if content is None:
        raise Unreadable(sentences.CHANGES)
    return content


def _read_once(path: str, limit: int) -> Content | None:
    """None where it changed."""
    descriptor, before = _descriptor(path)
    try:
        if 0 <= time.time() - before.st_mtime < STEP:
            # A change right after could not be told by the file's time, and would never be read.
            time.sleep(STEP)
            before = os.fstat(descriptor)
        if before.st_size > limit:
            raise TooLarge(before.st_size, before.st_mtime_ns, limit)
        content = os.read(descriptor, before.st_size + 1)
        after = os.fstat(descriptor)
    except OSError as error:
        raise Unreadable(_told(error)) from error
    finally:
        os.close(descriptor)
    is_same = after.st_mtime_ns == before.st_mtime_ns and len(content) == after.st_size
    return Content(content, after.st_mtime_ns) if is_same else None


def _descriptor(path: str) -> tuple[int, os.stat_result]:
    try:
        descriptor = os.open(path, _FLAGS)
    except (OSError, ValueError) as error:
        raise Unreadable(_told(error)) from error
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode):
        os.close(descriptor)
        raise Unreadable(sentences.NO_REGULAR)
    return descriptor, found


def _path(folder: Path | str, name: str) -> str:
    if "/" in name or os.sep in name or name in ("", ".", ".."):
        raise Unreadable(sentences.NO_NAME)
    return f"{folder}{os.sep}{name}"


def _told(error: Exception) -> str:
    if not isinstance(error, OSError):  # NUL, a lone surrogate
        return sentences.NO_NAME
    if error.errno == errno.ENOENT:
        return sentences.NOT_THERE
    if error.errno in _NO_FILE:
        return sentences.NO_REGULAR
    return sentences.NOT_READ % {"why": error.strerror}


def _is_utf_8(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def written_out(name: str) -> str:
    """A name that can be told and stored, whatever its bytes are."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
