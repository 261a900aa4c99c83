"""What a first load of very many files takes in memory, in a fresh process."""

from __future__ import annotations

from collections.abc import Mapping

from postprocessing import loading
from tests.bench.discovery_memory import watched
from tests.bench.support import complaint_files, inside
from tests.bench.support.figure import Figure, Target, plain

FILES, RUNS = 100_000, 5
QUICK_FILES, QUICK_RUNS = 20_000, 2


def run(quick: bool) -> list[Figure]:
    files, times = (QUICK_FILES, QUICK_RUNS) if quick else (FILES, RUNS)
    lite = measured("load_memory.sqlite", files, times)
    with inside.on_postgresql() as environment:
        return [lite, measured("load_memory.postgresql", files, times, environment)]


def measured(
    name: str, files: int, times: int, environment: Mapping[str, str] | None = None
) -> Figure:
    inside.call(__name__, "write", files, environment=environment)
    both = [inside.call(__name__, "grown", files, environment=environment) for _ in range(times)]
    seconds = ", ".join(f"{elapsed:.0f} s" for _, elapsed in both)
    growth = [peak for peak, _ in both]
    return plain(name, growth, "MiB", Target("value", "<", 128), f"{files:,} files in {seconds}")


def write(files: int) -> None:
    complaint_files.write(range(files))


def grown(files: int) -> list[float]:
    complaint_files.forget()
    with watched() as watch:
        told = loading.load(complaint_files.company())
    assert told.inserted == files, told
    return [watch.peak, watch.seconds]
