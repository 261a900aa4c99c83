"""What lies in a folder, and that nothing but regular files of it is read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from postprocessing import folder, sentences

LIMIT = 1000


def age(path: Path) -> Path:
    """As if it had been written a minute ago."""
    os.utime(path, (time.time() - 60,) * 2)
    return path


@pytest.fixture
def written(tmp_path: Path) -> Callable[[str, bytes], Path]:
    def write(name: str, content: bytes) -> Path:
        path = tmp_path / name
        path.write_bytes(content)
        return age(path)

    return write


def make_link(path: Path) -> None:
    target = path.parent / "target"
    target.write_text("{}")
    path.symlink_to(target)


NO_FILES: dict[str, Callable[[Path], None]] = {
    "link": make_link,
    "pipe": os.mkfifo,
    "folder": os.mkdir,
}


def test_a_listing_tells_size_time_and_kind(tmp_path: Path, written: Callable[..., Path]) -> None:
    path = written("a.json", b"{}")
    os.mkfifo(tmp_path / "b.json")
    found = {one.name: one for one in folder.listed(tmp_path)}
    assert found["a.json"] == ("a.json", 2, path.stat().st_mtime_ns, True)
    assert found["a.json"].problem == ""
    assert not found["b.json"].is_regular
    assert found["b.json"].problem == sentences.NO_REGULAR


def test_a_folder_that_is_not_there_holds_nothing(tmp_path: Path) -> None:
    assert list(folder.listed(tmp_path / "none")) == []


def test_a_name_that_is_not_utf_8_can_be_told_and_is_not_read(tmp_path: Path) -> None:
    with open(os.fsencode(tmp_path) + b"/caf\xe9.json", "wb"):
        pass
    (found,) = folder.listed(tmp_path)
    assert found.name == r"caf\xe9.json"
    assert found.problem == sentences.NAME_NOT_UTF_8


def test_names_in_both_normal_forms_are_two_files(written: Callable[..., Path]) -> None:
    path = written("caf\u00e9.json", b"1")
    written("cafe\u0301.json", b"2")
    names = sorted(one.name for one in folder.listed(path.parent))
    assert names == ["cafe\u0301.json", "caf\u00e9.json"]
    assert [folder.read(path.parent, name, LIMIT).bytes for name in names] == [b"2", b"1"]


@pytest.mark.parametrize("kind", NO_FILES)
def test_what_is_no_regular_file_is_neither_opened_nor_read(tmp_path: Path, kind: str) -> None:
    NO_FILES[kind](tmp_path / "x.json")
    for look in (folder.opened, lambda path, name: folder.read(path, name, LIMIT)):
        with pytest.raises(folder.Unreadable, match=sentences.NO_REGULAR):
            look(tmp_path, "x.json")
    assert not folder.looked_up(tmp_path, "x.json").is_regular


@pytest.mark.parametrize("name", ["../a.json", "/etc/passwd", "", ".", "..", "a\0b", "a\ud800"])
def test_a_name_leads_nowhere_else(tmp_path: Path, name: str) -> None:
    (tmp_path.parent / "a.json").write_text("{}")
    with pytest.raises(folder.Unreadable, match=sentences.NO_NAME):
        folder.opened(tmp_path, name)


def test_an_opened_file_is_read_as_bytes(tmp_path: Path, written: Callable[..., Path]) -> None:
    written("a.pdf", b"%PDF")
    with folder.opened(tmp_path, "a.pdf") as file:
        assert file.read() == b"%PDF"
    with pytest.raises(folder.Unreadable, match=sentences.NOT_THERE):
        folder.opened(tmp_path, "b.pdf")


def test_a_gigabyte_is_refused_unread(tmp_path: Path) -> None:
    with open(tmp_path / "a.json", "wb") as file:
        file.truncate(2**30)
    began = time.perf_counter()
    with pytest.raises(folder.TooLarge, match="1000 bytes") as refused:
        folder.read(tmp_path, "a.json", LIMIT)
    assert refused.value.size == 2**30
    assert time.perf_counter() - began < 1


@pytest.mark.parametrize("changes", [1, 2])
def test_a_file_that_changes_is_read_once_more_and_then_refused(
    monkeypatch: pytest.MonkeyPatch, written: Callable[..., Path], changes: int
) -> None:
    path, left = written("a.json", b"{}"), [changes]
    read = os.read

    def read_and_change(descriptor: int, size: int) -> bytes:
        content = read(descriptor, size)
        if left[0]:
            left[0] -= 1
            age(path).write_bytes(b"[]" if left[0] else b"[1]")
            os.utime(path, (time.time() - 30 - left[0],) * 2)
        return content

    monkeypatch.setattr(os, "read", read_and_change)
    if changes == 1:
        assert folder.read(path.parent, path.name, LIMIT).bytes == b"[1]"
    else:
        with pytest.raises(folder.Unreadable, match=sentences.CHANGES):
            folder.read(path.parent, path.name, LIMIT)


def test_a_file_written_just_now_is_read_when_a_change_would_show(tmp_path: Path) -> None:
    """Its time is older than the next one that the file system can give."""
    path = tmp_path / "a.json"
    path.write_bytes(b"{}")
    content = folder.read(tmp_path, "a.json", LIMIT)
    assert time.time() - content.mtime_ns / 1e9 >= folder.STEP
