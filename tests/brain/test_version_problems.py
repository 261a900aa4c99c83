"""What is wrong with a version of a flow: all of it at once, with the place, in any language."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import translation

from brain.admin.flow_editor import PLACE
from brain.rules import version_problems

HOME = {"do": "navigate", "url": "https://www.example.com/"}
TABLE = {"do": "download", "selector": "#csv", "name": "table.csv"}
PARSE = {"do": "parse", "file": "table.csv", "parser": "csv"}


def found(steps: Any, inputs: Any = None, hosts: Any = None) -> dict[str, list[str]]:
    known = ["www.example.com"]
    return version_problems(steps, inputs or {}, hosts or [], known, ())


def test_all_mistakes_are_told_in_one_round() -> None:
    steps = [
        {"do": "fill", "selector": "#a", "value": "{{ payload.month }}"},
        {"do": "navigate", "url": "https://elsewhere.example.net/"},
        {"do": "click"},
        7,
        PARSE,
    ]
    wrong = found(steps, {"x": {"type": "text"}}, ["127.1"])
    assert wrong["steps"] == [
        "step 3 (click): selector is required",
        "step 4: must be an object",
        "step 1 (fill): the first step must open a page, with navigate",
        "step 5 (parse): no step before it downloads table.csv",
        "step 1 (fill): payload.month is not declared: add “month” to the inputs",
        "step 2 (navigate): url: elsewhere.example.net is not among the hosts"
        " (www.example.com, 127.1)",
    ]
    assert [text.partition(":")[0] for text in wrong["inputs"]] == ["inputs.x"]
    assert [text.partition(":")[0] for text in wrong["hosts"]] == ["hosts"]


@pytest.mark.parametrize(
    ("steps", "told"),
    [
        ([HOME, TABLE, PARSE], ""),
        ([HOME, PARSE, TABLE], "step 2 (parse): no step before it"),
        ([HOME, {**TABLE, "name": "table"}, PARSE], ""),  # the site says that it is a CSV
        ([HOME, {**TABLE, "name": "my table.csv"}, {**PARSE, "file": "my_table.csv"}], ""),
        ([HOME, TABLE, TABLE, {**PARSE, "file": "table-2.csv"}], ""),
        ([HOME, TABLE, {**PARSE, "file": "table-2.csv"}], "step 3 (parse): no step before it"),
        ([HOME, {"do": "download_all", "selector": "a"}, PARSE], ""),
        ([HOME, TABLE, {**PARSE, "file": "{{ case.id }}.csv"}], ""),
        ([HOME, {"do": "upload", "selector": "a", "file": "x"}], ""),
        ([TABLE, HOME], "step 1 (download): the first step must"),
        ([{"do": "fly"}], "step 1: unknown verb 'fly'"),  # and nothing about its place
    ],
)
def test_a_step_stands_where_it_finds_what_it_needs(steps: list[dict], told: str) -> None:
    wrong = found(steps).get("steps", [])
    assert len(wrong) == bool(told)
    assert "".join(wrong).startswith(told)


def test_an_input_that_is_wrong_by_itself_is_told_of_once() -> None:
    steps = [HOME, {"do": "fill", "selector": "#a", "value": "{{ payload.month }}"}]
    assert list(found(steps, {"month": "string"})) == ["inputs"]


@pytest.mark.parametrize("language", ["en", "es"])
def test_the_editor_finds_the_step_in_every_language(language: str) -> None:
    with translation.override(language):
        (text,) = found([HOME, {"do": "click"}])["steps"]
    place = PLACE.fullmatch(text)
    assert place and place[1] == "2"


def test_without_a_provider_no_address_is_compared() -> None:
    assert version_problems([HOME], {}, [], None, ()) == {}
