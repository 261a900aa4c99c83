"""Sentences that are stored in English and told in the reader's language."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.template import Context, Template
from django.test import Client
from django.urls import reverse
from django.utils import translation
from django.utils.translation import gettext

from brain import sentences as brain_sentences
from devices import sentences as device_sentences
from orchestrator_site import alerting, roles, sentences
from orchestrator_site.models import Event
from orchestrator_site.sentences import LONGEST, matched, registered, told
from queues import sentences as queue_sentences
from tests.factories import DeviceFactory

ROOT = Path(settings.BASE_DIR)
PLACE = re.compile(r"%\((\w+)\)([sd])")
SOURCES = [path for app in ("brain", "queues", "devices") for path in (ROOT / app).rglob("*.py")]
DISCOVERED = "sentences.py"


@pytest.fixture(autouse=True)
def spanish() -> Iterator[None]:
    with translation.override("es"):
        yield


def filled(template: str) -> str:
    return template % {
        name: 7 if kind == "d" else f"<{name}>" for name, kind in PLACE.findall(template)
    }


def test_a_sentence_is_told_in_the_readers_language() -> None:
    assert told("The rule is switched off.") == "La regla está desactivada."
    with translation.override("en"):
        assert told("The rule is switched off.") == "The rule is switched off."


def test_what_was_filled_in_stays_in_the_told_sentence() -> None:
    assert told("it is with MARIA.PEREZ") == "asignado a: MARIA.PEREZ"


@pytest.mark.parametrize(
    "value", [".*", "(a|b", "100 % [x] \\d", "%(who)s", "{who}", "one\ntwo", "it is with", ""]
)
def test_a_value_may_hold_any_letters(value: str) -> None:
    assert told(f"it is with {value}") == f"asignado a: {value}"


def test_a_sentence_within_a_sentence_is_told_too() -> None:
    assert told("it is with nobody") == "asignado a: nadie"
    inner = f"measure queue cannot be read: {alerting.IN_NO_APP}"
    assert told(f"it is with {inner}") == f"asignado a: {told(inner)}"
    assert told(inner) == gettext(alerting.CANNOT_BE_READ) % {
        "name": "queue",
        "error": gettext("no app has it"),
    }
    assert told(inner) != inner


def test_whole_numbers_are_filled_in_as_numbers() -> None:
    stored = queue_sentences.PEOPLE_WAIT % {"count": 12}
    assert told(stored) == gettext(queue_sentences.PEOPLE_WAIT) % {"count": 12}
    assert told(stored) != stored
    assert told("many people wait to be assigned") == "many people wait to be assigned"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "El correo ya fue modificado durante el dia",
        "it is without anybody",
        "IT IS WITH X",
        " ",
        "%",
        "it is with " + "x" * LONGEST,
    ],
)
def test_any_other_text_stays_as_it_is(text: str) -> None:
    assert told(text) == text


def test_a_sentence_that_is_registered_later_is_told_from_then_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sentences, "_exact", set(sentences._exact))
    assert told("Overview") == "Overview"
    sentences.gettext_noop("Overview")
    assert told("Overview") == "Resumen"
    sentences._told.cache_clear()


def test_each_template_is_recognised_by_what_was_made_of_it() -> None:
    templates = [text for text in registered() if "%(" in text]
    assert len(templates) > 30
    wrong = {}
    for template in templates:
        found = matched(filled(template))
        kinds = PLACE.findall(template)
        values = {name: "7" if kind == "d" else f"<{name}>" for name, kind in kinds}
        if found != (template, values):
            wrong[template] = found
    assert wrong == {}


def test_a_sentence_without_values_is_told_whole() -> None:
    """Also where a template would fit it: "taken by a worker in Mongo"."""
    whole = [text for text in registered() if "%(" not in text]
    assert [text for text in whole if told(text) != gettext(text)] == []
    assert any(matched(text) for text in whole)


def test_a_template_has_places_of_the_known_kinds_and_words_of_its_own() -> None:
    for text in registered():
        if "%(" in text:
            assert "%" not in PLACE.sub("", text), text
            assert re.search(r"\w{2}", PLACE.sub("", text)), text


@pytest.mark.parametrize("inner", [queue_sentences.NO_RESULT, queue_sentences.NO_ENDPOINT, "a: b"])
@pytest.mark.parametrize(
    ("outer", "others"),
    [
        (device_sentences.TRIAL_FAILED, {}),
        (device_sentences.FAILURES, {"count": "5"}),
        (queue_sentences.QUARANTINED, {"device": "A-1"}),
        (queue_sentences.GENERATOR_FAILS, {"name": "G_A"}),
        (queue_sentences.NOT_READ_WHY, {"seconds": "9"}),
    ],
)
def test_a_sentence_around_another_is_found_first(
    outer: str, others: dict[str, str], inner: str
) -> None:
    values = {**others, "why": inner}
    stored = outer.replace(")d", ")s") % values
    assert matched(stored) == (outer, values)


@pytest.mark.parametrize("app", ["brain", "queues"])
def test_a_sentence_that_is_only_registered_is_written_the_same_where_it_arises(app: str) -> None:
    """A list of texts that stand elsewhere would fall behind them."""
    trees = {path: ast.parse(path.read_text()) for path in (ROOT / app).glob("**/*.py")}
    listed = {
        ast.literal_eval(node.value.args[0])
        for node in trees.pop(ROOT / app / DISCOVERED).body
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    }
    nodes = (node for tree in trees.values() for node in ast.walk(tree))
    elsewhere = {node.value for node in nodes if isinstance(node, ast.Constant)}
    assert listed
    assert listed - elsewhere == set()


def test_apps_register_where_every_process_looks() -> None:
    """A sentence that is registered in a worker's module is not known to the web."""
    calls = re.compile(r"sentences(\.| import .*)gettext_noop")
    wrong = [path for path in SOURCES if path.name != DISCOVERED and calls.search(path.read_text())]
    assert wrong == []
    assert brain_sentences.BATCH in registered()


def test_a_template_of_a_page_tells_sentences() -> None:
    page = Template("{% load sentences %}{{ text|told }}")
    assert page.render(Context({"text": "it is with <b>"})) == "asignado a: &lt;b&gt;"


# --- On pages -----------------------------------------------------------------------------------


@pytest.mark.django_db
@pytest.mark.database
def test_an_events_reason_is_shown_in_the_readers_language(
    signed_in: Callable[[str], Client],
) -> None:
    device: Any = DeviceFactory()
    Event.record([device], "online", "offline", "it is with nobody")
    event = Event.objects.latest("id")
    pages = {
        "list": reverse("admin:orchestrator_site_event_changelist"),
        "event": reverse("admin:orchestrator_site_event_change", args=[event.pk]),
        "device": reverse("admin:devices_device_change", args=[device.pk]),
    }
    client = signed_in(roles.ADMIN)
    for page, url in pages.items():
        text = client.get(url, headers={"accept-language": "es"}).content.decode()
        assert "asignado a: nadie" in text, page
        assert "it is with" not in text, page
        assert "En línea → Sin conexión" in text, page
    in_english = client.get(pages["list"], headers={"accept-language": "en"}).content.decode()
    assert "it is with nobody" in in_english


@pytest.mark.django_db
@pytest.mark.database
def test_a_device_tells_why_it_is_out_of_service(signed_in: Callable[[str], Client]) -> None:
    device: Any = DeviceFactory(status="quarantined", status_reason="it is with nobody")
    url = reverse("admin:devices_device_change", args=[device.pk])
    text = signed_in(roles.ADMIN).get(url, headers={"accept-language": "es"}).content.decode()
    assert "asignado a: nadie" in text and "it is with" not in text
