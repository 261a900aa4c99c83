"""The Spanish catalogue: whole, in step with the code, and what the admin shows."""

from __future__ import annotations

import ast
import gettext
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from orchestrator_site import roles

ROOT = Path(settings.BASE_DIR)
CATALOGUE = Path("locale/es/LC_MESSAGES/django.po")
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%%|%[sd]\b|\{\w*\}|&\w+;")
STRING = re.compile(r'^(?:(msgctxt|msgid|msgid_plural|msgstr(?:\[\d\])?) )?(".*")$')
# Outside the project: the tests' own texts, and the demo's sites, which are Spanish as they are.
IGNORED = ("tests", "templates/demo/*")


@dataclass
class Entry:
    """One entry of a .po file: its texts by keyword (msgid, msgstr, msgstr[0], ...)."""

    flags: str = ""
    texts: dict[str, str] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, str, str]:
        context, plural = self.texts.get("msgctxt", ""), self.texts.get("msgid_plural", "")
        return context, self.texts["msgid"], plural

    @property
    def translations(self) -> list[str]:
        return [text for keyword, text in self.texts.items() if keyword.startswith("msgstr")]


def entries(path: Path) -> list[Entry]:
    """Every entry in use, the header first."""
    found = []
    for block in path.read_text(encoding="utf-8").strip().split("\n\n"):
        entry, keyword = Entry(), ""
        for line in block.splitlines():
            if line.startswith("#,"):
                entry.flags += line
            elif match := STRING.match(line):
                keyword = match[1] or keyword
                entry.texts[keyword] = entry.texts.get(keyword, "") + ast.literal_eval(match[2])
        if entry.texts:
            found.append(entry)
    return found


def compiled(found: list[Entry]) -> dict[str | tuple[str, int], str]:
    """What Python's gettext reads from a .mo file of these entries."""
    catalogue: dict[str | tuple[str, int], str] = {}
    for entry in found:
        context, msgid, plural = entry.key
        name = f"{context}\x04{msgid}" if context else msgid
        if plural:
            catalogue |= {(name, form): text for form, text in enumerate(entry.translations)}
        else:
            catalogue[name] = entry.texts["msgstr"]
    return catalogue


def require_command(name: str, package: str) -> None:
    """Skip the test, or fail it in CI, where the machine has no such command."""
    if shutil.which(name):
        return
    text = f"MISSING {name}: install {package}"
    if os.environ.get("CI"):
        pytest.fail(text)
    pytest.skip(text)


def test_the_header_tells_the_language_and_its_plurals() -> None:
    header = entries(ROOT / CATALOGUE)[0]
    lines = header.texts["msgstr"].splitlines()
    assert header.texts["msgid"] == "" and "fuzzy" not in header.flags
    assert "Language: es" in lines
    assert "Plural-Forms: nplurals=2; plural=(n != 1);" in lines


def test_every_text_is_translated_with_its_placeholders() -> None:
    texts = entries(ROOT / CATALOGUE)[1:]
    assert texts
    wrong = []
    for entry in texts:
        _context, msgid, plural = entry.key
        wanted = sorted(PLACEHOLDER.findall(plural or msgid))
        if "fuzzy" in entry.flags or len(entry.translations) != (2 if plural else 1):
            wrong.append(msgid)
        for text in entry.translations:
            if not text.strip() or sorted(PLACEHOLDER.findall(text)) != wanted:
                wrong.append(f"{msgid} -> {text}")
    assert wrong == []


def test_nothing_obsolete_is_left() -> None:
    assert "\n#~" not in (ROOT / CATALOGUE).read_text(encoding="utf-8")


def test_the_catalogue_has_every_text_of_the_code(tmp_path: Path) -> None:
    require_command("xgettext", "gettext")
    require_command("git", "git")
    copy = tmp_path / "project"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True)
    for name in listed.stdout.decode().split("\0"):
        if name.startswith("tests/") or not (ROOT / name).is_file():
            continue
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    (copy / CATALOGUE).unlink(missing_ok=True)  # else the new texts are guessed from the old
    (copy / CATALOGUE).parent.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "django", "makemessages", "--locale", "es"]
    command += [f"--ignore={pattern}" for pattern in IGNORED]
    # Without settings: the files are read, none is imported.
    environment = {k: v for k, v in os.environ.items() if k != "DJANGO_SETTINGS_MODULE"}
    done = subprocess.run(
        command, cwd=copy, env=environment, check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    known = {entry.key for entry in entries(ROOT / CATALOGUE)}
    fresh = {entry.key for entry in entries(copy / CATALOGUE)}
    assert len(fresh) > 1
    assert sorted(fresh - known) == []


def test_the_compiled_catalogue_is_of_the_written_one() -> None:
    with (ROOT / CATALOGUE).with_suffix(".mo").open("rb") as file:
        loaded = gettext.GNUTranslations(file)._catalog  # type: ignore[attr-defined]
    del loaded[""]  # the header, of which msgfmt leaves a date out
    assert loaded == compiled(entries(ROOT / CATALOGUE)[1:])


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("language", "shown", "hidden"),
    [
        ("es", ("Resumen", "Recursos", "Cola", "Asignaciones", "Dudoso"), ("Appeals", "In doubt")),
        ("en", ("Overview", "Appeals", "Queue", "Claims", "In doubt"), ("Recursos", "Dudoso")),
    ],
)
def test_the_overview_is_in_the_readers_language(
    signed_in: Callable[[str], Client],
    language: str,
    shown: tuple[str, ...],
    hidden: tuple[str, ...],
) -> None:
    answer = signed_in(roles.ADMIN).get(
        reverse("admin:index"), headers={"accept-language": language}
    )
    text = answer.content.decode()
    assert answer.status_code == 200
    assert re.search(rf'<html[^>]*\blang="{language}"', text)
    for word in shown:
        assert re.search(rf">\s*{word}\s*<", text), word
    for word in hidden:
        assert not re.search(rf">\s*{word}\s*<", text), word
