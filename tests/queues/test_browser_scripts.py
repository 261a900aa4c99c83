"""Steps and their values without a browser: validation, hashes, placeholders, redaction."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from queues.browser import launch, scripts, templating
from queues.browser.redaction import MARK, Redactor

GOOD: list[dict[str, Any]] = [
    {"do": "navigate", "url": "{{ direct_url }}"},
    {"do": "fill", "selector": "#user", "value": "{{ payload.nombre }}", "timeout": 2},
    {"do": "fill", "selector": "#pass", "value": "{{secret.password}}"},
    {"do": "select", "selector": "#tipo", "value": "", "optional": True},
    {"do": "check", "selector": "#ok", "error": "site", "message": "No box for {{ case.id }}"},
    {"do": "upload", "selector": "#file", "file": "*"},
    {"do": "click", "selector": "#send", "irrevocable": True},
    {"do": "wait", "text": "Recibido", "confirms": True, "timeout": 0.5},
    {"do": "expect", "url": "/done", "absent": False},
    {"do": "download", "selector": "#pdf", "name": "receipt.pdf", "receipt": True},
    {"do": "download_all", "selector": "#files a"},
    {"do": "screenshot", "name": "end"},
    {"do": "collect", "selector": "tr", "parts": {"text": "td", "link": "a@href"}, "as": "rows"},
    {"do": "read", "selector": "#number", "as": "registro"},
    {"do": "parse", "file": "receipt.pdf", "parser": "pdf_text", "as": "text"},
]
TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=8,
)
STEP = st.fixed_dictionaries(
    {"do": st.sampled_from([*scripts.VERBS, "eval"])},
    optional={
        key: TEXT | JSON for key in ("url", "selector", "value", "name", "timeout", "as", "parser")
    }
    | {"parts": st.dictionaries(TEXT, TEXT, max_size=2) | JSON},
)


def collect(parts: Any) -> dict[str, Any]:
    return {"do": "collect", "selector": "tr", "parts": parts, "as": "rows"}


def messages(*steps: Any) -> list[str]:
    with pytest.raises(scripts.InvalidSteps) as caught:
        scripts.validate(list(steps))
    return caught.value.messages


def test_every_verb_is_valid_with_its_keys() -> None:
    scripts.validate(GOOD)
    assert {step["do"] for step in GOOD} == set(scripts.VERBS)


@pytest.mark.parametrize(
    ("step", "problem"),
    [
        ("click", "step 1: must be an object"),
        ({}, "step 1: unknown verb None"),
        ({"do": "evaluate", "script": "1"}, "step 1: unknown verb 'evaluate'"),
        ({"do": "click"}, "step 1 (click): selector is required"),
        ({"do": "click", "selector": " "}, "step 1 (click): selector is empty"),
        ({"do": "click", "selector": 3}, "step 1 (click): selector must be text"),
        ({"do": "click", "selector": "a", "js": "x"}, "step 1 (click): 'js' is not known here"),
        ({"do": "click", "selector": "a", "confirms": True}, "'confirms' is not known here"),
        ({"do": "fill", "selector": "a", "value": "b", "irrevocable": True}, "not known here"),
        ({"do": "click", "selector": "a", "optional": 1}, "optional must be true or false"),
        ({"do": "click", "selector": "a", "error": "bad"}, "unknown error class 'bad'"),
        ({"do": "click", "selector": "a", "timeout": 0}, "timeout must be a number of seconds"),
        ({"do": "click", "selector": "a", "timeout": True}, "timeout must be a number"),
        ({"do": "click", "selector": "a", "timeout": 10**400}, "timeout must be a number"),
        ({"do": "click", "selector": "a", "timeout": float("nan")}, "timeout must be a number"),
        ({"do": "wait"}, "exactly one of selector, url, text is required"),
        ({"do": "wait", "text": "a", "unless": "b"}, "unless goes with a selector"),
        ({"do": "expect", "selector": "a", "unless": "b"}, "'unless' is not known here"),
        ({"do": "wait", "text": "a", "url": "b"}, "exactly one of selector, url, text"),
        ({"do": "wait", "text": "a", "confirms": True}, "confirms needs an irrevocable step"),
        ({"do": "fill", "selector": "a", "value": "{{ user.x }}"}, "unknown placeholder user.x"),
        ({"do": "fill", "selector": "a", "value": "{{ payload }}"}, "unknown placeholder payload"),
        ({"do": "fill", "selector": "a", "value": "{{ 1 + 1 }}"}, "malformed placeholder"),
        ({"do": "fill", "selector": "a", "value": "a\x00"}, "cannot be stored"),
        ({"do": "fill", "selector": "a", "value": "\ud800"}, "cannot be stored"),
        ({"do": "click", "selector": "{{ secret.x }}"}, "selector may not hold a secret"),
        ({"do": "screenshot", "name": "{{ secret.x }}"}, "name may not hold a secret"),
        ({"do": "collect", "selector": "a", "as": "b"}, "step 1 (collect): parts is required"),
        (collect("td"), "parts must be an object of names and selectors"),
        (collect({}), "parts must be an object of names and selectors"),
        (collect({"a": 1}), "part 'a' must be text"),
        (collect({"a": " "}), "part 'a' must be text"),
        (collect({"a": "{{ payload.a }}"}), "part 'a' takes no placeholder"),
        (collect({"a\x00": "td"}), "cannot be stored"),
        ({"do": "navigate", "url": "file:///etc/passwd"}, "url must be an http or https address"),
        ({"do": "navigate", "url": "javascript:alert(1)"}, "url must be an http or https address"),
        (
            {"do": "click", "selector": "a", "irrevocable": True, "optional": True},
            "cannot be optional",
        ),
    ],
)
def test_what_cannot_run_is_refused_with_its_place(step: Any, problem: str) -> None:
    assert any(problem in message for message in messages(step))


def test_every_problem_is_listed() -> None:
    found = messages(
        {"do": "click"}, {"do": "navigate", "url": "https://a.example"}, {"do": "fill"}
    )
    assert found == [
        "step 1 (click): selector is required",
        "step 3 (fill): selector is required",
        "step 3 (fill): value is required",
    ]


def test_only_one_step_is_irrevocable_and_only_what_follows_confirms() -> None:
    send = {"do": "click", "selector": "a", "irrevocable": True}
    seen = {"do": "wait", "text": "ok", "confirms": True}
    assert messages(send, send) == ["only one step may be irrevocable"]
    assert messages(seen, send) == ["step 1 (wait): confirms needs an irrevocable step before it"]
    scripts.validate([send, seen])


@pytest.mark.parametrize("steps", [None, {}, [], "click", 3])
def test_steps_are_a_list(steps: Any) -> None:
    with pytest.raises(scripts.InvalidSteps, match="list of at least one step"):
        scripts.validate(steps)


@given(st.lists(STEP, max_size=4) | JSON)
def test_validation_answers_only_by_its_own_exception(steps: Any) -> None:
    try:
        scripts.validate(steps)
    except scripts.InvalidSteps as error:
        assert error.messages and all(error.messages)
    else:
        text = scripts.canonical(steps)
        assert scripts.verify(text, scripts.sha256(text)) == steps


def test_the_canonical_text_does_not_depend_on_the_order_of_keys() -> None:
    turned = [dict(reversed(step.items())) for step in GOOD]
    assert scripts.canonical(turned) == scripts.canonical(GOOD)
    assert "ñ" in scripts.canonical([{"do": "screenshot", "name": "ñ"}])


@given(st.integers(min_value=0))
def test_one_changed_byte_is_refused(at: int) -> None:
    text = scripts.canonical(GOOD)
    kept = scripts.sha256(text)
    at %= len(text)
    changed = text[:at] + chr(ord(text[at]) ^ 1) + text[at + 1 :]
    with pytest.raises(scripts.ScriptRejected, match="Script integrity check failed"):
        scripts.verify(changed, kept)


@pytest.mark.parametrize("text", ["", "[", "{}", "[" * 100_000, '[{"do": "eval"}]', "\ud800"])
def test_a_hash_does_not_make_a_script_valid(text: str) -> None:
    with pytest.raises(scripts.ScriptRejected, match="not valid"):
        scripts.verify(text, scripts.sha256(text))


def test_placeholders_are_what_the_steps_ask_for() -> None:
    names = {"direct_url", "payload.nombre", "secret.password", "case.id"}
    assert scripts.placeholders(GOOD) == names


@given(TEXT)
def test_a_value_is_rendered_once(value: str) -> None:
    inputs = {"payload": {"a": {"b": value}}, "secret": {"x": "hidden"}}
    assert templating.render("<{{ payload.a.b }}>", inputs) == f"<{value}>"


@given(TEXT)
def test_a_text_without_placeholders_stays(text: str) -> None:
    if not templating.names(text):
        assert templating.render(text, {}) == text


@pytest.mark.parametrize(
    ("value", "text"), [(3, "3"), (True, "true"), (1.5, "1.5"), ("", ""), ("ñ", "ñ")]
)
def test_simple_values_are_rendered(value: Any, text: str) -> None:
    assert templating.render("{{ payload.x }}", {"payload": {"x": value}}) == text


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("payload.none", "payload.none is empty"),
        ("payload.lacking", "payload.lacking is missing"),
        ("payload.text.deeper", "payload.text.deeper is missing"),
        ("payload.list", "payload.list is not a single value"),
        ("secret.x", "secret.x is missing"),
    ],
)
def test_a_value_that_is_not_there_is_named(name: str, problem: str) -> None:
    inputs = {"payload": {"none": None, "text": "a", "list": [1]}, "secret": {}}
    with pytest.raises(templating.RenderError, match=problem) as caught:
        templating.render(f"{{{{ {name} }}}}", inputs)
    assert caught.value.error_class == "payload"


def test_values_are_quoted_in_addresses_but_not_the_address_itself() -> None:
    inputs = {"payload": {"base": "https://a.example/x", "case": "2025/1-MUL&b=1"}}
    url = templating.render_url("{{ payload.base }}?c={{ payload.case }}", inputs)
    assert url == "https://a.example/x?c=2025%2F1-MUL%26b%3D1"


def test_a_value_cannot_leave_its_quotes_in_a_selector() -> None:
    inputs = {"payload": {"x": 'a"], #send, [b="'}}
    rendered = templating.render_selector('[name="{{ payload.x }}"]', inputs)
    assert rendered == '[name="a\\"], #send, [b=\\""]'
    with pytest.raises(templating.RenderError, match="quotes"):
        templating.render_selector('//a[.="{{ payload.x }}"]', inputs)


def test_the_token_is_filled_in_quoted_and_a_missing_one_is_a_matter_of_the_session() -> None:
    link = "https://a.example/?t={token}"
    assert templating.navigable(link, {"token": "a/b"}) == "https://a.example/?t=a%2Fb"
    with pytest.raises(templating.RenderError) as caught:
        templating.navigable(link, {})
    assert caught.value.error_class == "session"


@pytest.mark.parametrize("url", ["file:///etc/passwd", "javascript:1", "https://", "a", "data:,x"])
def test_only_web_addresses_are_opened(url: str) -> None:
    with pytest.raises(templating.RenderError, match="http and https"):
        templating.navigable(url, {})


SECRET = TEXT.filter(lambda text: len(text.strip()) > 3)


@given(SECRET)
@example("100%")
@example("a & b &")
def test_a_secret_is_found_in_every_spelling(secret: str) -> None:
    redactor = Redactor([secret])
    escaped = json.dumps(secret)[1:-1]
    for form in (
        secret,
        quote(secret, safe=""),
        quote(secret, safe="").lower() if secret.isascii() and secret.islower() else secret,
        quote_plus(secret),
        escaped,
        json.dumps(escaped)[1:-1],
        json.dumps(secret, ensure_ascii=False)[1:-1],
    ):
        assert redactor.text(f"<{form}>") == f"<{MARK}>"


def test_a_trace_keeps_its_numbers_and_loses_its_secrets(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "raw.zip", "w") as raw:
        raw.writestr("trace.trace", '{"time":512345.5,"value":"pin 1234\\n"}\n{"b":1}')
        raw.writestr("resources/a.html", "<input value=1234>")
    Redactor(["1234"]).archive(tmp_path / "raw.zip", tmp_path / "clean.zip")
    with zipfile.ZipFile(tmp_path / "clean.zip") as clean:
        first = clean.read("trace.trace").split(b"\n")[0]
        assert json.loads(first) == {"time": 512345.5, "value": f"pin {MARK}\n"}
        assert clean.read("resources/a.html") == b"<input value=[REDACTED]>"


def test_a_configured_browser_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(launch.BrowserMissing, match=r"nowhere.*playwright install"):
        launch.find_browser(str(tmp_path / "nowhere"))


def test_without_any_browser_the_message_says_what_to_do(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(launch.BrowserMissing, match="apt-get install chromium"):
        launch.find_browser()


def test_playwrights_own_browser_is_preferred(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PLAYWRIGHT_BROWSERS_PATH", str(tmp_path))
    monkeypatch.setattr(launch, "_own_is_installed", lambda: True)
    assert launch.find_browser() == ""
