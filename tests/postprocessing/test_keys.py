"""Keys of objects: always below the base path, never two files on one."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from hypothesis import example, given
from hypothesis import strategies as st

from postprocessing import keys
from postprocessing.companies import Company
from postprocessing.models import company_called

DAY = date(2025, 3, 7)
AFINIA = company_called("afinia")
# What a key could be led astray by, more often than by chance.
PIECES = st.sampled_from(
    ["../", "..", ".", "/", "\\", "\0", "\n", "é", "e\u0301", "\u202e", "\ud800", "~", "%2e", " "]
)
NAMES = st.lists(PIECES | st.text(st.characters(), max_size=8), max_size=40).map("".join)


def key(filename: str, sgc: str = "RE1", company: Company = AFINIA) -> str:
    return keys.key_of(company, filename=filename, sgc=sgc, day=DAY)


def test_a_key_says_company_day_complaint_and_file() -> None:
    name = "RE1_data_20251010_011520.json"
    assert key(name) == f"oficina-virtual/afinia/2025/03/07/RE1/{name}"


@given(NAMES, NAMES)
@example("../../../etc/passwd", "../..")
@example("a" * 255, "b" * 100)
@example("ñ" * 300 + ".json", "")
def test_no_name_leads_outside_of_the_base_path(filename: str, sgc: str) -> None:
    made = key(filename, sgc)
    *where, complaint, file = made.split("/")
    assert where == ["oficina-virtual", "afinia", "2025", "03", "07"]
    for part in (complaint, file):
        assert part.strip(". ")
        assert len(part.encode()) <= 255
    assert "\\" not in made
    assert not any(unicodedata.category(one) in ("Cc", "Cs", "Cf") for one in made)
    assert unicodedata.is_normalized("NFC", made)
    assert len(made.encode()) <= 1024


@given(st.lists(NAMES, min_size=2, max_size=12, unique=True))
@example(["café.pdf", "cafe\u0301.pdf"])
@example(["a/b", "a\\b", "a_b"])
@example(["x" * 300 + "1.pdf", "x" * 300 + "2.pdf"])
def test_no_two_files_have_one_key(names: list[str]) -> None:
    assert len({key(name) for name in names}) == len(names)


@given(NAMES)
@example("a/b.pdf")
def test_a_file_called_like_the_key_of_another_has_another_key(name: str) -> None:
    ours = key(name)
    last = ours.rpartition("/")[2]
    assert name == last or key(last) != ours


@pytest.mark.parametrize(
    "name", ["12_data_20251010_011520.json", "Solicitud de José Ñúñez (1).pdf", "a~b.json", ".x"]
)
def test_an_ordinary_name_stays_as_it_is(name: str) -> None:
    assert key(name).endswith(f"/{name}")


def test_a_company_may_have_its_keys_in_another_order() -> None:
    other = Company("x", "X", key_template="{base}/{numero_reclamo_sgc}/{empresa}/{file}")
    assert key("f.json", "12", other) == "oficina-virtual/12/x/f.json"
    assert keys.prefix_of(other, DAY) == "oficina-virtual/"


def test_keys_begin_with_the_prefix_of_their_day_and_the_base_of_their_company() -> None:
    assert keys.prefix_of(AFINIA, DAY) == "oficina-virtual/afinia/2025/03/07/"
    assert keys.base_of(AFINIA) == "oficina-virtual/afinia/"


def test_a_base_path_that_leaves_no_room_is_refused(settings: Any) -> None:
    settings.S3_BASE_PATH = "x" * 1000
    with pytest.raises(ImproperlyConfigured):
        key("f.json")


@pytest.mark.parametrize(("name", "sgc"), [("12_data_x.json", "12"), ("12.json", ""), ("_x", "")])
def test_a_file_names_its_complaint(name: str, sgc: str) -> None:
    assert keys.sgc_of(name) == sgc
