"""A case as one zip, written while it is sent: nothing of it is kept on this machine.

`case.json` is what the page shows, `events.csv` every event, then the files; `manifest.json`, the
last entry, has the SHA-256 and size of each, and whether its row remembers the same.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, ZipFile, ZipInfo

from django.core.files.storage import storages
from django.core.serializers.json import DjangoJSONEncoder
from django.utils import timezone
from django.utils.translation import gettext as _

from orchestrator_site.dashboard.case import events
from orchestrator_site.dashboard.case.story import MOST_FILES, Story
from orchestrator_site.dashboard.case.told import StoredFile
from orchestrator_site.exporting import Lines, write_csv

logger = logging.getLogger(__name__)
LARGEST = 500 * 2**20  # bytes of files
MOST_EVENTS = 100_000
PIECE = 256 * 1024
# Packed already: to pack them once more takes time and saves nothing.
PACKED = (".jpg", ".jpeg", ".png", ".zip", ".pdf", ".gz", ".xlsx")
HEADS = (
    *("id", "at", "actor_kind", "actor", "object_type", "object_id"),
    *("old", "new", "reason", "data"),
)


class TooLarge(Exception):
    """The files are more than an archive may hold; the message says how many bytes they have."""


def check(story: Story) -> None:
    """Raises TooLarge."""
    size = sum(file.size or 0 for file in story.files)
    if size > LARGEST:
        text = _(
            "The files of this case have %(size)d MB; an archive holds at most %(most)d MB."
            " Open them one by one."
        )
        raise TooLarge(text % {"size": size // 2**20, "most": LARGEST // 2**20})


def name_of(story: Story) -> str:
    return f"case-{story.case_id}.zip"


def pieces(story: Story) -> Iterator[bytes]:
    """The bytes of the zip, as they come. Raises TooLarge before the first of them."""
    check(story)
    return _Archive(story).pieces()


class _Pipe(io.RawIOBase):
    """What the zip writes into; emptied by `drain`."""

    def __init__(self) -> None:
        self.waiting = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.waiting += data
        return len(data)

    def drain(self) -> bytes:
        found = bytes(self.waiting)
        self.waiting.clear()
        return found


class _Archive:
    def __init__(self, story: Story) -> None:
        self.story = story
        self.pipe = _Pipe()
        self.entries: list[dict[str, Any]] = []
        self.when = time.gmtime()[:6]

    def pieces(self) -> Iterator[bytes]:
        with ZipFile(self.pipe, "w", ZIP_DEFLATED) as target:
            yield from self._text(target, "case.json", _written(self.story.as_dict()))
            if self.story.events is not None:
                yield from self._events(target)
            for file in self.story.files:
                yield from self._file(target, file)
            yield from self._text(target, "manifest.json", _written(self._manifest()))
        yield self.pipe.drain()

    def _manifest(self) -> dict[str, Any]:
        wrong = [one["name"] for one in self.entries if one["problem"]]
        if len(self.story.files) >= MOST_FILES:
            wrong.append(_("only the first %(n)d files of the evidence") % {"n": MOST_FILES})
        return {
            "case": str(self.story.case_id),
            "made_at": timezone.now().isoformat(),
            "is_complete": not wrong,
            "problems": wrong,
            "files": self.entries,
        }

    def _text(self, target: ZipFile, name: str, content: bytes) -> Iterator[bytes]:
        tally = _Tally()
        yield from self._put(target, name, tally.through([content]))
        self._note(name, tally)

    def _events(self, target: ZipFile) -> Iterator[bytes]:
        """A line an event, as spreadsheets take it for text. Packed, all of them fit into the
        memory."""
        tally = _Tally()
        with target.open(self._info("events.csv"), "w", force_zip64=True) as entry:
            sink: Any = _Sink(entry, tally)
            write_csv(Lines(HEADS, self._lines(tally)), sink)
        yield self.pipe.drain()
        problem = _("only the first %(n)d events") % {"n": MOST_EVENTS} if tally.is_cut else ""
        self._note("events.csv", tally, problem=problem)

    def _lines(self, tally: _Tally) -> Iterator[list[Any]]:
        for number, event in enumerate(events.all_of(self.story.case_id, MOST_EVENTS + 1)):
            if number == MOST_EVENTS:
                tally.is_cut = True
                return
            values = [getattr(event, name) for name in HEADS]
            values[1] = event.at.isoformat()
            values[-1] = _written(event.data).decode() if event.data else ""
            yield self.story.clean(values)

    def _file(self, target: ZipFile, file: StoredFile) -> Iterator[bytes]:
        """With what its row remembers of it; one that is gone is told in the manifest."""
        tally, problem = _Tally(), file.note
        try:
            if file.storage:
                with storages[file.storage].open(file.path, "rb") as source:
                    yield from self._put(target, file.name, tally.through(_read(source)))
                problem = _problem(file, tally)
        except Exception as error:  # the rim: no storage's fault may end the archive
            logger.warning("%s of case %s: %s", file.path, self.story.case_id, error)
            problem = _("cannot be read: %(why)s") % {"why": type(error).__name__}
        self._note(file.name, tally, file, problem)

    def _note(
        self, name: str, tally: _Tally, file: StoredFile | None = None, problem: str = ""
    ) -> None:
        self.entries.append(
            {
                "name": name,
                "size": tally.size,
                "sha256": tally.sha256 if tally.pieces else "",
                "remembered_size": file.size if file else None,
                "remembered_sha256": file.sha256 if file else "",
                "problem": problem,
            }
        )

    def _put(self, target: ZipFile, name: str, content: Iterable[bytes]) -> Iterator[bytes]:
        with target.open(self._info(name), "w", force_zip64=True) as entry:
            for piece in content:
                entry.write(piece)
                if len(self.pipe.waiting) >= PIECE:
                    yield self.pipe.drain()
        yield self.pipe.drain()

    def _info(self, name: str) -> ZipInfo:
        info = ZipInfo(name, self.when)
        info.compress_type = ZIP_STORED if name.lower().endswith(PACKED) else ZIP_DEFLATED
        return info


@dataclass
class _Tally:
    """What has passed through: pieces, bytes, and their SHA-256. `is_cut`: there was more."""

    pieces: int = 0
    size: int = 0
    is_cut: bool = False
    digest: Any = field(default_factory=hashlib.sha256)

    def through(self, content: Iterable[bytes]) -> Iterator[bytes]:
        for piece in content:
            self.add(piece)
            yield piece

    def add(self, piece: bytes) -> None:
        self.pieces += 1
        self.size += len(piece)
        self.digest.update(piece)

    @property
    def sha256(self) -> str:
        return str(self.digest.hexdigest())


class _Sink(io.RawIOBase):
    """Writes into an entry, and counts what it writes."""

    def __init__(self, entry: Any, tally: _Tally) -> None:
        self._entry, self._tally = entry, tally

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._tally.add(piece)
        self._entry.write(piece)
        return len(piece)


def _problem(file: StoredFile, tally: _Tally) -> str:
    if file.sha256 and file.sha256 != tally.sha256:
        return _("it is not what was stored: its SHA-256 is another")
    return ""


def _read(source: Any) -> Iterator[bytes]:
    yield source.read(PIECE)  # an empty file has one piece too
    while piece := source.read(PIECE):
        yield piece


def _written(data: Any) -> bytes:
    return json.dumps(data, cls=DjangoJSONEncoder, ensure_ascii=False, indent=1).encode()
