"""A process that reads files while this one writes rows: of two cores each has one.

It is asked once, by a file that is its standard input, and answers with one frame for each batch,
in order, and an empty one at the end. It knows no database and needs no Django. It ends with its
parent, whose pipe nobody reads then. Where it ends before that, its parent reads the rest itself.
"""

from __future__ import annotations

import gc
import logging
import marshal
import signal
import subprocess
import sys
from collections.abc import Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from io import BytesIO
from tempfile import TemporaryFile
from typing import IO, Any

from django.conf import settings

from postprocessing import reading
from postprocessing.companies import Company
from postprocessing.folder import Entry
from postprocessing.reading import Read, Source, Stamp
from postprocessing.records import EPOCH, Fault, Parsed, Record

logger = logging.getLogger(__name__)
PAYS = 10_000  # files: a process takes two tenths of a second to start
AT_FIRST = 3000  # of those: read here, while it starts
PIPE = 2**20  # bytes: as many as Linux lets anybody have; one of 64 KB is full forty times a batch
COMMAND = ("-m", __name__)
LENGTH = 4  # bytes, of a frame's length before it
FORMAT = 2  # of marshal: those after it look for what is there twice, which takes longer
MICROSECOND = timedelta(microseconds=1)


def read_in_batches(company: Company, entries: Sequence[Entry]) -> Generator[list[Read]]:
    """As `reading.read_in_batches`, by a process beside this one where there are many."""
    if len(entries) < PAYS:
        yield from reading.read_in_batches(company, entries)
        return
    rest = entries[AT_FIRST:]
    with _started(reading.source_of(company), rest) as answers:
        yield from reading.read_in_batches(company, entries[:AT_FIRST])
        done = 0
        for batch in _answered(answers):
            done += len(batch)
            yield batch
    if done < len(rest):
        logger.warning("the reader of %s ended after %d of %d files", company, done, len(rest))
        yield from reading.read_in_batches(company, rest[done:])


@contextmanager
def _started(source: Source, entries: Sequence[Entry]) -> Iterator[IO[bytes]]:
    """Its answers, none where it cannot be started; it is ended with the block."""
    with TemporaryFile() as asked:
        marshal.dump((_plain_source(source), list(map(tuple, entries))), asked, FORMAT)
        asked.seek(0)
        child = _child(asked)
    if child is None or child.stdout is None:
        yield BytesIO()
        return
    try:
        yield child.stdout
    finally:
        child.kill()
        child.stdout.close()
        child.wait()


def _child(asked: IO[bytes]) -> subprocess.Popen[bytes] | None:
    command, answers = [sys.executable, *COMMAND], subprocess.PIPE
    home = settings.BASE_DIR
    try:
        return subprocess.Popen(command, stdin=asked, stdout=answers, cwd=home, pipesize=PIPE)
    except OSError as error:  # no memory, or no more processes or pipes
        logger.warning("no reader could be started: %s", error)
        return None


def _answered(answers: IO[bytes]) -> Iterator[list[Read]]:
    """The batches that came whole."""
    while length := int.from_bytes(answers.read(LENGTH)):
        frame = answers.read(length)
        if len(frame) < length:
            return
        yield [_read_of(*one) for one in marshal.loads(frame)]


# --- In the other process -----------------------------------------------------------------------


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: for our parent to decide
    gc.set_threshold(100_000)  # what is read leaves no rings behind
    source, entries = marshal.load(sys.stdin.buffer)
    batches = reading.batches(_source_of(*source), (Entry(*one) for one in entries))
    frames = (marshal.dumps(list(map(_plain, batch)), FORMAT) for batch in batches)
    with suppress(BrokenPipeError), open(sys.stdout.fileno(), "wb", buffering=0) as out:
        for frame in _ahead(frames):
            _write(out, len(frame).to_bytes(LENGTH) + frame)
        _write(out, bytes(LENGTH))


def _write(out: Any, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[out.write(rest) :]


def _ahead(frames: Iterator[bytes]) -> Iterator[bytes]:
    """The next one is made, in a thread, while one is written."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, frames, None)
        while (frame := coming.result()) is not None:
            coming = pool.submit(next, frames, None)
            yield frame


# --- What goes from one to the other: built-in types only ----------------------------------------


def _plain_source(source: Source) -> tuple[Any, ...]:
    company = source.company
    return source.home, source.limit, company.name, company.title, company.time_zone


def _source_of(home: str, limit: int, *company: str) -> Source:
    return Source(home, limit, Company(*company))


def _plain(one: Read) -> tuple[Any, ...]:
    found, faults, warnings = one.parsed
    return (
        one.name,
        tuple(one.stamp) if one.stamp else None,
        [
            (place, radicado, _micros(fecha), _micros(extracted_at), *rest)
            for place, _name, radicado, fecha, extracted_at, *rest in found
        ],
        list(map(tuple, faults)),
        list(map(tuple, warnings)),
    )


def _read_of(
    name: str, stamp: Sequence[Any] | None, found: list[Any], faults: list[Any], warnings: list[Any]
) -> Read:
    records = [
        Record(place, name, radicado, _moment(fecha), _moment(extracted_at), *rest)
        for place, radicado, fecha, extracted_at, *rest in found
    ]
    told = ([Fault(*one) for one in some] for some in (faults, warnings))
    return Read(name, Stamp(*stamp) if stamp else None, Parsed(records, *told))


def _micros(moment: datetime | None) -> int | None:
    return None if moment is None else (moment - EPOCH) // MICROSECOND


def _moment(micros: int | None) -> Any:
    return None if micros is None else EPOCH + timedelta(microseconds=micros)


if __name__ == "__main__":
    main()
