"""An envelope's run: its session, its evidence, its end, the same for every kind of worker."""

# ruff: noqa: F811 (fixtures are imported by name)
from __future__ import annotations

import hashlib
import json
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from queues.browser import execution, signing
from queues.browser.execution import Execution, Limits, Session
from queues.browser.redaction import Redactor
from queues.browser.signing import Envelope, EnvelopeRefused
from queues.browser.store import FolderStore, S3Store
from queues.browser.thread import BrowserThread
from tests import s3
from tests.envelopes import SESSION_KEY, envelope, session_token
from tests.queues.test_browser_runs import PAGES, Site, served, site  # noqa: F401

LIMITS = Limits(deadline=20, page_timeout=5, networks=(ip_network("127.0.0.0/8"),))
COOKIE = {"name": "sid", "value": "a-secret-cookie", "domain": "127.0.0.1", "path": "/"}
SEND = {"do": "click", "selector": "#send", "irrevocable": True}
WHO = "<p id=who></p><script>who.innerText = document.cookie</script>"
NEVER = {"do": "wait", "text": "never", "timeout": 10}


class Broken:
    """A storage that is down."""

    def put(self, name: str, path: Path, content_type: str) -> None:
        raise ConnectionError("down")


@pytest.fixture(scope="module")
def confined() -> Iterator[BrowserThread]:
    browser = execution.new_browser()
    yield browser
    browser.close()


Make = Callable[..., Envelope]


@pytest.fixture
def make(site: Site) -> Make:
    """An envelope whose run opens a page of the site and goes on from there."""

    def build(path: str, *steps: dict[str, Any], **fields: Any) -> Envelope:
        opening = {"do": "navigate", "url": f"{site.url}{path}"}
        return envelope(opening, *steps, **{"hosts": [f"127.0.0.1:{site.server_port}"], **fields})

    return build


@pytest.fixture
def carry_out(confined: BrowserThread, tmp_path: Path) -> Callable[..., Execution]:
    def run(envelope: Envelope, **more: Any) -> Execution:
        known: dict[str, Any] = {
            "session": None,
            "browser": confined,
            "store": FolderStore(tmp_path / "stored"),
            "folder": tmp_path / "run",
            "limits": LIMITS,
        }
        return execution.run_envelope(envelope, **{**known, **more})

    return run


Run = Callable[..., Execution]


@pytest.mark.chromium
def test_results_stand_at_the_documented_names(make: Make, carry_out: Run, tmp_path: Path) -> None:
    sent = make(
        "/sent",
        {"do": "screenshot", "name": "all"},
        {"do": "download", "selector": "#pdf", "name": "inv/oice"},
        {"do": "read", "selector": "#received", "as": "said"},
    )
    lines: list[str] = []
    done = carry_out(sent, on_line=lines.append)
    assert (done.status, done.message) == ("done", "")
    assert done.values == {"said": "Received"}
    folder = f"results/7/9/{sent.job_id}"
    kinds = {result.name: result.kind for result in done.results}
    assert kinds["execution.log"] == "log"
    assert kinds["inv_oice.pdf"] == "download"
    pictures = [name for name, kind in kinds.items() if kind == "screenshot"]
    assert pictures == [f"screenshot-{number}.png" for number in range(len(pictures))]
    assert len(pictures) >= 2
    for result in done.results:
        assert result.path == f"{folder}/{result.name}"
        content = (tmp_path / "stored" / result.path).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (result.size, result.sha256)
        assert result.kind != "screenshot" or content.startswith(b"\x89PNG")
    assert [line.split()[:2] for line in lines[:2]] == [["01", "navigate"], ["02", "screenshot"]]


@pytest.mark.chromium
def test_a_run_that_takes_in_more_than_it_may_ends_at_once(
    make: Make, carry_out: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAGES, "/big", "<p>" + "x" * 300_000)
    limits = replace(LIMITS, most_bytes=100_000)
    done = carry_out(make("/big", NEVER), limits=limits)
    assert (done.status, done.error_class) == ("error", "payload")
    assert done.message == "more than 0.1 MB were downloaded (MOST_DOWNLOAD_MB)"
    assert done.seconds < NEVER["timeout"] / 2


@pytest.mark.chromium
def test_a_later_attempt_has_a_folder_of_its_own(make: Make, carry_out: Run) -> None:
    sent = make("/sent", attempt=3)
    done = carry_out(sent)
    assert {Path(r.path).parent.name for r in done.results} == {"attempt-3"}


@pytest.mark.chromium
def test_it_runs_with_the_users_session_and_shows_none_of_it(
    make: Make, carry_out: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAGES, "/who", WHO)
    soon = {"do": "wait", "text": COOKIE["value"], "timeout": 0.1, "optional": True}
    sent = make(
        "/who", {"do": "read", "selector": "#who", "as": "cookie"}, soon, needs_session=True
    )
    session = Session.opened(session_token(COOKIE), ["k" * 40, SESSION_KEY])
    lines: list[str] = []
    done = carry_out(sent, session=session, on_line=lines.append)
    assert done.values == {"cookie": "sid=[REDACTED]"}
    told = (tmp_path / "run" / "execution.log").read_text() + "".join(lines) + repr(session)
    assert COOKIE["value"] not in told + done.message


@pytest.mark.chromium
def test_the_next_job_finds_no_cookie_of_the_one_before(
    make: Make, carry_out: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(PAGES, "/who", WHO)
    shown = {"do": "read", "selector": "#who", "as": "cookie"}
    there = make("/form", {"do": "navigate", "url": make_url(make, "/who")}, shown)
    assert carry_out(there).values == {"cookie": "session=abc"}
    assert carry_out(make("/who", shown)).values == {"cookie": ""}


def make_url(make: Make, path: str) -> str:
    return str(json.loads(make(path).script_content)[0]["url"])


def cookieless(**other: Any) -> str:
    return session_token({**COOKIE, **other})


@pytest.mark.parametrize(
    "token",
    [
        *(None, "", "rubbish", session_token() + "x", "x" * (10 * 2**20)),
        *(cookieless(name=""), cookieless(value=7), cookieless(domain=None)),
        cookieless(expires="tomorrow"),
    ],
)
def test_a_session_that_cannot_be_read_is_none(token: str | None) -> None:
    with pytest.raises(EnvelopeRefused, match=signing.NO_SESSION):
        Session.opened(token, [SESSION_KEY])


def test_a_session_under_anothers_key_is_none() -> None:
    with pytest.raises(EnvelopeRefused, match=signing.NO_SESSION):
        Session.opened(session_token(COOKIE), ["another-key-of-at-least-32-letters--"])


def test_cookies_are_as_the_browser_wants_them() -> None:
    token = session_token({**COOKIE, "expires": 2e9, "sameSite": "no_restriction", "secure": True})
    assert Session.opened(token, [SESSION_KEY]).cookies == [
        {**COOKIE, "expires": 2e9, "httpOnly": False, "secure": True, "sameSite": "None"}
    ]


@pytest.mark.chromium
def test_cookies_that_the_browser_refuses_are_a_lost_session(make: Make, carry_out: Run) -> None:
    session = Session([{**COOKIE, "name": "__Secure-sid"}])
    done = carry_out(make("/form", needs_session=True), session=session)
    assert (done.status, done.error_class) == ("error", "session")
    assert done.message == "the browser refuses the session's cookies"


def test_long_words_are_hidden_to_their_end() -> None:
    word = secrets.token_urlsafe(3000)
    hidden = Redactor(["plain secret"], [word, word[:20]]).text
    assert hidden(f"sid={word}; other") == "sid=[REDACTED]; other"
    assert hidden(f'"{word[:20]}" plain secret') == '"[REDACTED]" [REDACTED]'
    assert hidden(f"/{quote(word[:500])}") == "/[REDACTED]"


def test_without_its_session_nothing_is_executed(make: Make, carry_out: Run, site: Site) -> None:
    with pytest.raises(EnvelopeRefused, match=signing.NO_SESSION):
        carry_out(make("/form", needs_session=True))
    assert site.asked == []


@pytest.mark.parametrize(
    "step",
    [
        {"do": "evaluate", "script": "alert(1)"},
        {"do": "click", "selector": "#send", "script": "alert(1)"},
        {"do": "navigate", "url": "file:///etc/passwd"},
        {"do": "navigate", "url": "javascript:alert(1)"},
    ],
)
def test_an_unknown_step_is_refused_though_it_is_signed(
    make: Make, carry_out: Run, site: Site, step: dict[str, Any]
) -> None:
    with pytest.raises(EnvelopeRefused, match="The script is not valid"):
        carry_out(make("/form", step))
    assert site.asked == []


@pytest.mark.chromium
def test_inputs_fill_the_steps(make: Make, carry_out: Run, site: Site, tmp_path: Path) -> None:
    sent = make(
        "/form",
        {"do": "fill", "selector": "#name", "value": "{{ payload.name }}"},
        {"do": "fill", "selector": "#mail", "value": "{{ case.id }}"},
        {"do": "click", "selector": "#send"},
        {"do": "expect", "selector": "#received"},
        inputs={"name": "Ana Inventada"},
    )
    done = carry_out(sent)
    assert done.status == "done", done.message
    assert site.fields["name"] == ["Ana Inventada"]
    assert site.fields["mail"] == [sent.job_id]
    assert "Inventada" not in (tmp_path / "run" / "execution.log").read_text()


@pytest.mark.chromium
def test_a_secret_input_is_typed_and_told_nowhere(
    make: Make, carry_out: Run, site: Site, tmp_path: Path
) -> None:
    sent = make(
        "/form",
        {"do": "fill", "selector": "#pass", "value": "{{ secret.pin }}"},
        {"do": "click", "selector": "#send"},
        {"do": "wait", "selector": "#received"},
        inputs={"pin": "long-and-secret"},
    )
    assert carry_out(sent).status == "done"
    assert site.fields["pass"] == ["long-and-secret"]
    assert "long-and-secret" not in (tmp_path / "run" / "execution.log").read_text()


@pytest.mark.chromium
def test_an_error_keeps_its_class_its_log_and_its_picture(make: Make, carry_out: Run) -> None:
    done = carry_out(
        make("/changed", {"do": "expect", "text": "Welcome", "error": "session", "timeout": 0.3})
    )
    assert (done.status, done.error_class) == ("error", "session")
    assert {"execution.log", "screenshot-0.png"} <= {result.name for result in done.results}


@pytest.mark.chromium
def test_a_run_that_is_cancelled_ends_and_says_so(make: Make, carry_out: Run) -> None:
    began = time.monotonic()
    done = carry_out(make("/form", NEVER), tick=lambda: False)
    assert (done.status, done.error_class, done.message) == ("cancelled", "", "cancelled")
    assert time.monotonic() - began < 5
    assert done.results[0].name == "execution.log"


@pytest.mark.chromium
def test_one_that_is_ended_after_its_irrevocable_step_is_in_doubt(
    make: Make, carry_out: Run, site: Site
) -> None:
    done = carry_out(
        make("/form", SEND, NEVER),
        tick=lambda: not site.posts,
    )
    assert (done.status, done.begun, done.error_class) == ("", True, "infrastructure")
    assert len(site.posts) == 1


@pytest.mark.chromium
def test_what_is_not_permitted_is_not_sent(make: Make, carry_out: Run, site: Site) -> None:
    done = carry_out(make("/form", SEND, NEVER), permit=lambda: False)
    assert (done.status, done.begun) == ("cancelled", False)
    assert site.posts == []


@pytest.mark.chromium
def test_a_callback_that_raises_ends_the_run_and_stores_nothing(
    make: Make, carry_out: Run, tmp_path: Path
) -> None:
    def given_back() -> bool:
        raise LookupError("stop")

    with pytest.raises(LookupError):
        carry_out(make("/form", NEVER), tick=given_back)
    assert not (tmp_path / "stored").exists()


@pytest.mark.chromium
def test_the_jobs_deadline_ends_a_run_before_the_limit(make: Make, carry_out: Run) -> None:
    done = carry_out(make("/form", NEVER, deadline=int((time.time() + 1.2) * 1000)))
    assert (done.status, done.error_class) == ("error", "timeout")
    assert done.seconds < 5


@pytest.mark.chromium
def test_without_its_results_a_run_did_not_go_well(make: Make, carry_out: Run) -> None:
    done = carry_out(make("/sent"), store=Broken())
    assert (done.status, done.error_class, done.results) == ("error", "infrastructure", ())
    assert done.message == "the results could not be stored: ConnectionError"


def test_a_bucket_takes_results_where_the_control_plane_reads_them(tmp_path: Path) -> None:
    path = tmp_path / "execution.log"
    with s3.running() as server:
        store = S3Store(
            server.bucket,
            access_key=server.access_key,
            secret_key=server.secret_key,
            endpoint=server.endpoint,
            region="us-east-1",
            own_path="control-room",
        )
        for content in ("first", "second"):
            path.write_text(content)
            store.put("results/7/9/x/execution.log", path, "text/plain")
        stored = server.folder / "control-room/results/7/9/x/execution.log"
        assert stored.read_text() == "second"


def test_a_folder_takes_nothing_that_leads_out_of_it(tmp_path: Path) -> None:
    path = tmp_path / "execution.log"
    path.write_text("log")
    with pytest.raises(ValueError, match="out of the folder"):
        FolderStore(tmp_path / "stored").put("results/../../x", path, "text/plain")
