"""The pictures of the guides are there, each is used, and each leads to a page that is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.urls import resolve

from orchestrator_site.management.commands.screenshots import SHOTS
from queues.browser.picturing import LANGUAGES

ROOT = Path(__file__).resolve().parent.parent
GUIDES = {"en": "staff.md", "es": "guia.md"}


def shown(file: Path) -> set[Path]:
    names = re.findall(r"!\[[^]]*\]\(([^)]+)\)", file.read_text())
    return {(file.parent / name).resolve() for name in names}


@pytest.mark.parametrize("file", [ROOT / "README.md", *(ROOT / "docs").glob("*.md")], ids=str)
def test_a_page_shows_no_picture_that_is_not_there(file: Path) -> None:
    assert [str(path) for path in shown(file) if not path.is_file()] == []


def test_there_are_pictures_of_every_page_that_the_command_takes_and_no_others() -> None:
    there = {path.relative_to(ROOT / "docs" / "screens") for path in ROOT.glob("docs/screens/*/*")}
    assert there == {
        Path(language) / f"{shot.name}.png" for language in LANGUAGES for shot in SHOTS
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_guide_shows_pictures_of_its_language(language: str) -> None:
    pictures = shown(ROOT / "docs" / GUIDES[language])
    assert len(pictures) > 5
    assert {path.parent.name for path in pictures} == {language}


@pytest.mark.parametrize("shot", SHOTS, ids=lambda shot: shot.name)
def test_a_picture_is_of_a_page(shot: object) -> None:
    path = shot.path.format(case="00000000-0000-0000-0000-000000000000")
    assert "catch_all" not in str(resolve(path).func)
