"""Files on their way into the bucket: hashed, compared with the object, sent; many at once. Nothing
here knows the database."""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from postprocessing import folder, sentences
from postprocessing.objects import SMALL, BucketRefused, ObjectError, ObjectInfo, ObjectStore

# So many in a row that failed, and nothing more is tried: the server is down.
FAILED_IN_A_ROW = 50


class Content(NamedTuple):
    """What is in a file. `mtime_ns`: nanoseconds since 1970, UTC."""

    size: int
    mtime_ns: int
    sha256: str


@dataclass
class Transfer:
    """A file and its object. What became of it: `is_there`, with this content (`was_found`: it had
    been before); or `error`; or neither, where the whole upload was ended before."""

    home: Path
    name: str
    key: str
    content: Content
    content_type: str
    case_id: str = ""
    is_there: bool = False
    was_found: bool = False
    differs: bool = False  # another content was there
    error: str = ""


def content_of(home: Path, name: str) -> Content:
    """Raises folder.Unreadable."""
    try:
        read = folder.read(home, name, SMALL)
    except folder.TooLarge:
        return _content_of_large(home, name)
    return Content(len(read.bytes), read.mtime_ns, hashlib.sha256(read.bytes).hexdigest())


def compare(store: ObjectStore, transfer: Transfer) -> None:
    """Ask whether the object is there already. Raises ObjectError and folder.Unreadable."""
    found = store.head(transfer.key)
    transfer.is_there = transfer.was_found = found is not None and _is_same(found, transfer)
    transfer.differs = found is not None and not transfer.is_there


def send(store: ObjectStore, transfer: Transfer) -> None:
    """Raises ObjectError and folder.Unreadable."""
    content, rest = transfer.content, (transfer.content_type, transfer.content.sha256)
    if content.size <= SMALL:
        read = folder.read(transfer.home, transfer.name, SMALL).bytes
        if hashlib.sha256(read).hexdigest() != content.sha256:
            raise folder.Unreadable(sentences.CHANGES)
        store.put(transfer.key, read, *rest, case_id=transfer.case_id)
    else:
        with folder.opened(transfer.home, transfer.name) as file:
            _prove_unchanged(file.fileno(), content)
            store.put(transfer.key, file, *rest, case_id=transfer.case_id)
        # Looked up anew: boto closes what it has sent.
        entry = folder.looked_up(transfer.home, transfer.name)
        if (entry.size, entry.mtime_ns) != content[:2]:
            raise folder.Unreadable(sentences.CHANGES)
    transfer.is_there = True


Work = Callable[[ObjectStore, Transfer], None]


class Crew:
    """Threads that carry out transfers, as many at once as there are threads. No other is begun
    once it `is_halted`, or where it was `refused`, which says why."""

    def __init__(self, store: ObjectStore, size: int) -> None:
        self.store, self.size = store, size
        self.refused: ObjectError | None = None
        self.is_halted = False
        self._failed = 0
        self._threads = ThreadPoolExecutor(size, thread_name_prefix="upload")

    @property
    def is_over(self) -> bool:
        return self.is_halted or self.refused is not None

    def close(self) -> None:
        self._threads.shutdown(cancel_futures=True)
        self.store.close()

    def begin(self, work: Work, transfers: Iterable[Transfer]) -> list[Future[None]]:
        """The transfers know their ends once the futures are done."""
        waiting = deque(transfers)
        threads = min(self.size, len(waiting))
        return [self._threads.submit(self._carry_out, work, waiting) for _one in range(threads)]

    def _carry_out(self, work: Work, waiting: deque[Transfer]) -> None:
        while not self.is_over:
            try:
                transfer = waiting.popleft()
            except IndexError:
                return
            self._try(work, transfer)

    def _try(self, work: Work, transfer: Transfer) -> None:
        try:
            work(self.store, transfer)
            self._failed = 0
        except folder.Unreadable as error:
            transfer.error = str(error)
        except ObjectError as error:
            self._failed += 1
            if isinstance(error, BucketRefused) or self._failed >= FAILED_IN_A_ROW:
                self.refused = error
            else:
                transfer.error = str(error)


def _is_same(found: ObjectInfo, transfer: Transfer) -> bool:
    if found.size != transfer.content.size:
        return False
    if found.sha256:
        return found.sha256 == transfer.content.sha256
    if not found.etag:
        return False
    with folder.opened(transfer.home, transfer.name) as file:
        return _digest(file, _md5) == found.etag


def _digest(file: BinaryIO, of: Any) -> str:
    return hashlib.file_digest(file, of).hexdigest()  # type: ignore[arg-type]


def _md5() -> hashlib._Hash:
    return hashlib.md5(usedforsecurity=False)


def _content_of_large(home: Path, name: str) -> Content:
    with folder.opened(home, name) as file:
        seen = os.fstat(file.fileno())
        content = Content(seen.st_size, seen.st_mtime_ns, _digest(file, "sha256"))
        _prove_unchanged(file.fileno(), content)
    return content


def _prove_unchanged(descriptor: int, content: Content) -> None:
    now = os.fstat(descriptor)
    if (now.st_size, now.st_mtime_ns) != content[:2]:
        raise folder.Unreadable(sentences.CHANGES)
