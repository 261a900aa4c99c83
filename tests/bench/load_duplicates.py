"""Looking at files that are all loaded already, against hashing the same files in one process."""

from __future__ import annotations

import time

from postprocessing import loading
from tests.bench.support import complaint_files, inside
from tests.bench.support.figure import Figure, Target, compared

FILES, RUNS = 20_000, 5
QUICK_FILES, QUICK_RUNS = 6_000, 2


def run(quick: bool) -> list[Figure]:
    files, times = (QUICK_FILES, QUICK_RUNS) if quick else (FILES, RUNS)
    with inside.on_postgresql() as environment:
        return inside.call(__name__, "on_postgresql", files, times, environment=environment)


def on_postgresql(files: int, times: int) -> list[Figure]:
    complaint_files.write(range(files))
    loading.load(complaint_files.company())
    runs = [
        (rate(files, full=True), rate(files, full=False), hashing(files)) for _run in range(times)
    ]
    full, incremental, hashed = map(list, zip(*runs, strict=True))
    note = f"{files:,} files of 2.5 KB"
    return [
        compared("load_duplicates.full", full, hashed, "files/s", Target("ratio", ">=", 0.4), note),
        compared(
            "load_duplicates.incremental", incremental, hashed, "files/s", Target("ratio", ">=", 2)
        ),
    ]


def rate(files: int, full: bool) -> float:
    began = time.perf_counter()
    told = loading.load(complaint_files.company(), full=full)
    seconds = time.perf_counter() - began
    assert (told.duplicates, told.files_read) == (files, files if full else 0), told
    return files / seconds


def hashing(files: int) -> float:
    began = time.perf_counter()
    assert complaint_files.hash_all() == files
    return files / (time.perf_counter() - began)
