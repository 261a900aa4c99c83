"""Files that another process reads: the same is read, and nothing is lost where it ends."""

from __future__ import annotations

import marshal
import os
import subprocess
import sys
from contextlib import closing
from datetime import UTC
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from postprocessing import folder, reader, reading
from postprocessing.companies import Company
from postprocessing.folder import Entry
from postprocessing.models import company_called
from postprocessing.reading import Read, Stamp
from postprocessing.records import EPOCH, Fault, Parsed, Record
from tests.postprocessing.complaints import complaint, put, put_complaint

FILES = 12
AFINIA = company_called("afinia")


@pytest.fixture(autouse=True)
def few_files_pay(tmp_path: Path, settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.DOWNLOADS_DIR = tmp_path
    monkeypatch.setattr(reader, "PAYS", 4)
    monkeypatch.setattr(reader, "AT_FIRST", 2)


@pytest.fixture
def entries() -> list[Entry]:
    for number in range(FILES):
        put_complaint(AFINIA, number, otra={"a": [1, 2.5, None, "é"]})
    put(AFINIA, "a.json", [complaint(90), complaint(91, fecha="ayer"), "x", complaint(90, nic="")])
    put(AFINIA, "b.json", b"{")
    put(AFINIA, "c.json", complaint(92, fecha="1969/12/31 19:00"))
    os.mkfifo(AFINIA.folder / "d.json")
    with open(AFINIA.folder / "e.json", "wb") as file:
        file.truncate(2**30)
    found = sorted(folder.listed(AFINIA.folder))
    return [*found, Entry("gone.json", 1, 1, True)]


def write_slow(count: int) -> None:
    """Files of which two are a batch, and more than a pipe takes."""
    for number in range(count):
        put(
            AFINIA,
            f"{number}.json",
            complaint(number, comentarios="x" * (reading.BATCH_BYTES // 2)),
        )


def here(entries: list[Entry]) -> list[Read]:
    return [one for batch in reading.read_in_batches(AFINIA, entries) for one in batch]


def beside(entries: list[Entry]) -> list[Read]:
    return [one for batch in reader.read_in_batches(AFINIA, entries) for one in batch]


@pytest.fixture
def children(monkeypatch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """The processes that are started."""
    started: list[subprocess.Popen[bytes]] = []
    start = subprocess.Popen

    def noted(*args: Any, **options: Any) -> subprocess.Popen[bytes]:
        started.append(start(*args, **options))
        return started[-1]

    monkeypatch.setattr(subprocess, "Popen", noted)
    return started


def test_another_process_reads_what_this_one_would(
    entries: list[Entry],
    children: list[subprocess.Popen[bytes]],
    caplog: pytest.LogCaptureFixture,
) -> None:
    assert beside(entries) == here(entries)
    assert len(children) == 1
    assert not caplog.records


def test_few_files_are_read_here(
    entries: list[Entry], children: list[subprocess.Popen[bytes]]
) -> None:
    assert beside(entries[:3]) == here(entries[:3])
    assert not children


CUT_SHORT = "import sys; sys.stdout.buffer.write((9).to_bytes(4) + b'x' * 7)"


@pytest.mark.parametrize("ends", ["", CUT_SHORT])
def test_where_it_ends_too_early_the_rest_is_read_here(
    entries: list[Entry],
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ends: str,
) -> None:
    monkeypatch.setattr(reader, "COMMAND", ("-c", ends))
    assert beside(entries) == here(entries)
    assert "ended after 0 of" in caplog.text


def test_where_none_can_be_started_all_is_read_here(
    entries: list[Entry], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "none"))
    assert beside(entries) == here(entries)


def test_where_it_is_killed_the_rest_is_read_here(
    children: list[subprocess.Popen[bytes]], caplog: pytest.LogCaptureFixture
) -> None:
    write_slow(12)
    entries = sorted(folder.listed(AFINIA.folder))
    batches = reader.read_in_batches(AFINIA, entries)
    came = [next(batches), next(batches)]  # from here, and from there
    children[0].kill()
    came += batches
    assert [one for batch in came for one in batch] == here(entries)
    assert "ended after" in caplog.text


def test_it_ends_with_whoever_asked(
    entries: list[Entry], children: list[subprocess.Popen[bytes]]
) -> None:
    with closing(reader.read_in_batches(AFINIA, entries)) as batches:
        next(batches)
        assert children[0].poll() is None
    assert children[0].returncode is not None


def test_it_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    """It finds that nobody reads its answers."""
    write_slow(5)
    asked = tmp_path / "asked"
    entries = [tuple(one) for one in folder.listed(AFINIA.folder)]
    source = reader._plain_source(reading.source_of(AFINIA))
    asked.write_bytes(marshal.dumps((source, entries), reader.FORMAT))
    with open(asked, "rb") as file, _running(file) as child:
        assert child.stdout
        child.stdout.read(1)
        child.stdout.close()
        assert child.wait(10) == 0


def _running(asked: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, *reader.COMMAND]
    root = Path(reader.__file__).parent.parent
    return subprocess.Popen(command, stdin=asked, stdout=subprocess.PIPE, cwd=root)


moments = st.datetimes(timezones=st.just(UTC))
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
extras = st.dictionaries(
    texts, st.integers() | texts | st.none() | st.lists(st.floats(allow_nan=False))
)
found = st.builds(
    Record,
    st.integers(1, 99),
    st.just("a.json"),
    st.none() | texts,
    st.none() | moments | st.just(EPOCH),
    moments,
    st.lists(texts).map(tuple),
    extras,
    texts,
    texts,
)
faults = st.lists(st.builds(Fault, st.integers(0, 9), texts), max_size=2)
reads = st.builds(
    Read,
    st.just("a.json"),
    st.none() | st.builds(Stamp, st.integers(0), st.integers(), texts),
    st.builds(Parsed, st.lists(found, max_size=2), faults, faults),
)


@given(one=reads)
def test_what_is_read_comes_over_whole(one: Read) -> None:
    sent = marshal.loads(marshal.dumps(reader._plain(one), reader.FORMAT))
    assert reader._read_of(*sent) == one


def test_a_company_comes_over_whole() -> None:
    source = reading.Source("/x", 5, Company("a", "A", "Europe/Madrid"))
    assert reader._source_of(*reader._plain_source(source)) == source
