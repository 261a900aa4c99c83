"""What pip cannot install: found, installed where that may be, and told where not."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator_site import installing
from orchestrator_site.installing import PARTS, Part, is_there, main


@pytest.fixture
def commands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A PATH and a home of its own, empty."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return folder


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """What would have been run."""
    lines: list[list[str]] = []

    def run(arguments: list[str], **options: Any) -> Any:
        assert options["env"]["DEBIAN_FRONTEND"] == "noninteractive"
        lines.append(arguments)
        return SimpleNamespace(returncode=0)

    monkeypatch.setattr(subprocess, "run", run)
    return lines


def put(folder: Path, name: str) -> None:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)


def test_a_command_on_the_path_is_enough(commands: Path) -> None:
    part = Part("x", ("first", "second"), ("x",), "why")
    assert not is_there(part)
    put(commands, "second")
    assert is_there(part)


def test_a_file_in_the_home_or_at_its_place_is_enough(commands: Path, tmp_path: Path) -> None:
    home = Part("x", (), ("x",), "why", files=(".cache/x-*",))
    place = Part("y", (), ("y",), "why", files=(f"{tmp_path}/lib/*/y.so",))
    assert not is_there(home)
    assert not is_there(place)
    put(tmp_path / "home/.cache", "x-1")
    put(tmp_path / "lib/any", "y.so")
    assert is_there(home)
    assert is_there(place)


def test_nothing_is_installed_where_all_is_there(
    monkeypatch: pytest.MonkeyPatch, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installing, "is_there", lambda part: True)
    assert main() == 0
    assert ran == []
    assert capsys.readouterr().err == ""


def test_root_on_debian_gets_what_is_missing_and_no_more(
    monkeypatch: pytest.MonkeyPatch, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installing, "may_install", lambda: True)
    monkeypatch.setattr(installing, "is_there", lambda part: bool(ran) or part.name != "Redis")
    assert main() == 0
    assert [line[:2] for line in ran] == [["apt-get", "update"], ["apt-get", "install"]]
    assert ran[1][-1] == "redis-server"
    assert "chromium" not in ran[1]
    assert capsys.readouterr().err == ""


def test_whoever_may_not_install_is_told_how_and_goes_on(
    monkeypatch: pytest.MonkeyPatch, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installing, "may_install", lambda: False)
    monkeypatch.setattr(installing, "is_there", lambda part: False)
    assert main() == 0
    assert ran == []
    told = capsys.readouterr().err
    for part in PARTS:
        assert f"MISSING: {part.name} ({part.why})" in told
    assert "playwright install chromium" in told
    assert "apt-get install postgresql" in told


def test_what_apt_could_not_bring_is_told(
    monkeypatch: pytest.MonkeyPatch, ran: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(installing, "may_install", lambda: True)
    monkeypatch.setattr(installing, "is_there", lambda part: part.name != "a browser")
    assert main() == 0
    assert "MISSING: a browser" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("apt", "user", "may"), [(True, 0, True), (True, 1000, False), (False, 0, False)]
)
def test_only_root_with_apt_installs(
    monkeypatch: pytest.MonkeyPatch, apt: bool, user: int, may: bool
) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "/usr/bin/apt-get" if apt else None)
    monkeypatch.setattr(os, "geteuid", lambda: user, raising=False)
    assert installing.may_install() is may


def test_a_machine_without_users_is_no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: "apt-get")
    monkeypatch.delattr(os, "geteuid")
    assert not installing.may_install()
