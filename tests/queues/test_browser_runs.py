"""Runs in a real Chromium against a real, small site: every verb, every way to fail."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from queues.browser import scripts
from queues.browser.runs import Outcome, Run, StepEvent
from queues.browser.thread import BrowserThread

pytestmark = pytest.mark.chromium

FORM = """<form method="post" action="/sent" enctype="{enctype}"><input id="name" name="name">
<input id="pass" name="pass" type="password"><input id="mail" name="mail">
<select id="kind" name="kind"><option value="1">One<option value="2">Two</select>
<input id="agree" name="agree" type="checkbox"><input id="file" name="file" type="file" multiple>
<button id="send">Send</button></form><p id="number"> Reg  77 </p><i id="gone" hidden>x</i>"""
PAGES = {
    "/form": FORM.format(enctype="application/x-www-form-urlencoded"),
    "/upload": FORM.format(enctype="multipart/form-data"),
    "/sent": '<p id="received">Received</p><a id="pdf" href="/pdf">PDF</a>'
    '<a id="empty" href="/empty">PDF</a><a id="html" href="/html">PDF</a>'
    '<a id="inline" href="/inline">PDF</a>'
    '<a id="window" target="_blank" href="/inline">PDF</a><a id="none" href="/sent">PDF</a>',
    "/changed": "<p>We have a new site</p>",
    "/dialog": "<button id='ask' onclick=\"document.title = confirm('Sure?')\">Ask</button>"
    "<script>addEventListener('click', () => document.body.append(document.title))</script>",
    "/late": "<script>setTimeout(() => document.body.append('Here I am'), 400)</script>",
    "/moving": "<script>setTimeout(() => location = '/sent?case=1', 200)</script>",
    "/two": "<button>One</button><button>Two</button>",
    "/table": '<table><tr id="r1"><td> One  &amp;\n1 <td><a href="/sent?a=1">go</a>'
    '<tr id="r2"><td>Two<br>lines<td><select><option>No<option selected>Yes</select></table>'
    '<input value="typed"><p hidden> not shown </p>'
    '<div id="files"><a href="/pdf">A</a><a href="/inline">B</a><a href="/pdf">C</a></div>',
    "/dead": '<form method="post" action="/reset"><button id="send">Send</button></form>',
    "/angry": '<form method="post" action="/500"><button id="send">Send</button></form>',
}
DOWNLOADS = {
    "/pdf": b"%PDF-1.4 receipt",
    "/empty": b"",
    "/html": b"<html>Log in again</html>",
    "/inline": b"%PDF-1.4 inline",
}


class Site(ThreadingHTTPServer):
    """Counts and keeps what it is sent."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.posts: list[tuple[str, bytes]] = []
        self.asked: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"

    @property
    def fields(self) -> dict[str, list[str]]:
        return parse_qs(self.posts[-1][1].decode())

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that hangs up is no news."""


class Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_POST(self) -> None:
        length = int(self.headers.get("Content-Length", 0))
        self.server.posts.append((self.path, self.rfile.read(length)))
        self.do_GET()

    def do_GET(self) -> None:
        self.server.asked.append(self.path)
        path = self.path.partition("?")[0]
        if path == "/slow":
            time.sleep(4)
        if path == "/reset":
            linger = struct.pack("ii", 1, 0)
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            self.connection.close()
            self.close_connection = True
            return
        status = int(path[1:]) if path[1:].isdigit() else 200
        self._answer(status, path)

    def _answer(self, status: int, path: str) -> None:
        body = DOWNLOADS.get(path) or PAGES.get(path, "nothing here").encode()
        body = b"" if path == "/empty" else body
        self.send_response(status)
        kind = "application/pdf" if path in DOWNLOADS else "text/html; charset=utf-8"
        self.send_header("Content-Type", kind)
        if status == 302:  # "/302?" and where to
            self.send_header("Location", self.path.partition("?")[2])
        if path in DOWNLOADS and path != "/inline":
            self.send_header("Content-Disposition", 'attachment; filename="original.pdf"')
        if path == "/form":
            self.send_header("Set-Cookie", "session=abc")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    site = Site()
    threading.Thread(target=site.serve_forever, daemon=True).start()
    yield site
    site.shutdown()
    site.server_close()


@pytest.fixture
def site(served: Site) -> Site:
    served.posts.clear()
    served.asked.clear()
    return served


@pytest.fixture(scope="module")
def browser() -> Iterator[BrowserThread]:
    thread = BrowserThread()
    yield thread
    thread.close()


Execute = Callable[..., Outcome]


@pytest.fixture
def make(tmp_path: Path, site: Site) -> Callable[..., Run]:
    def run_of(*steps: dict[str, Any], **values: Any) -> Run:
        script = scripts.canonical([{"do": "navigate", "url": f"{site.url}/form"}, *steps])
        given = {"inputs": {}, "folder": tmp_path / "evidence", "page_timeout": 5.0, **values}
        given.setdefault("keep_session", True)
        return Run(script=script, script_hash=scripts.sha256(script), **given)

    return run_of


@pytest.fixture
def execute(make: Callable[..., Run], browser: BrowserThread) -> Execute:
    """Run the steps after a navigation to /form; other arguments go to the run or the thread."""

    def carry_out(*steps: dict[str, Any], **values: Any) -> Outcome:
        ours = {"deadline": values.pop("deadline", 30.0)}
        ours |= {key: values.pop(key) for key in ("permit", "tick", "on_event") if key in values}
        return browser.execute(make(*steps, **values), **ours)

    return carry_out


def go(site: Site, path: str, **keys: Any) -> dict[str, Any]:
    return {"do": "navigate", "url": site.url + path, **keys}


SEND = {"do": "click", "selector": "#send", "irrevocable": True}
CONFIRMED = {"do": "wait", "selector": "#received", "confirms": True}


def names(outcome: Outcome, kind: str) -> list[str]:
    return [artifact.path.name for artifact in outcome.artifacts if artifact.kind == kind]


def log_of(outcome: Outcome) -> str:
    return outcome.artifacts[0].path.read_text(encoding="utf-8")


def test_a_form_is_filed_with_its_evidence(execute: Execute, site: Site) -> None:
    events: list[StepEvent] = []
    outcome = execute(
        {"do": "fill", "selector": "#name", "value": "{{ payload.who.name }}"},
        {"do": "select", "selector": "#kind", "value": "Two"},
        {"do": "check", "selector": "#agree"},
        {"do": "read", "selector": "#number", "as": "registro"},
        SEND,
        CONFIRMED,
        {"do": "expect", "text": "received"},
        {"do": "expect", "url": "/se*t"},
        {"do": "screenshot", "name": "the end"},
        {"do": "download", "selector": "#pdf", "name": "just: 2026/1.pdf", "receipt": True},
        inputs={"payload": {"who": {"name": "Añá & Co"}}},
        on_event=events.append,
    )
    assert (outcome.ok, outcome.error_class, outcome.message) == (True, "", "")
    assert outcome.irrevocable_begun and outcome.confirmed and outcome.receipt
    assert site.fields == {"name": ["Añá & Co"], "kind": ["2"], "agree": ["on"]}
    assert outcome.values == {"registro": "Reg 77"}
    assert names(outcome, "receipt") == ["just_2026_1.pdf"]
    assert [event.index for event in events] == list(range(1, 12))
    assert all(event.ok for event in events)
    assert names(outcome, "screenshot") == PICTURES
    assert names(outcome, "trace") == ["trace.zip"]
    assert all(artifact.path.stat().st_size for artifact in outcome.artifacts)
    assert outcome.storage_state and outcome.storage_state["cookies"][0]["name"] == "session"


PICTURES = ["06-before-click.jpg", "10-the_end.jpg", "11-download.jpg"]


def test_every_part_of_the_log_has_its_line_and_no_value(execute: Execute) -> None:
    outcome = execute(
        {"do": "fill", "selector": "#name", "value": "Mr {{ payload.name }} of Nowhere"},
        {"do": "click", "selector": "#lacking", "optional": True, "timeout": 0.2},
        inputs={"payload": {"name": "Inventada"}},
    )
    lines = log_of(outcome).splitlines()
    assert [line.split(" ")[1] for line in lines] == ["started", "01", "02", "03", "ended"]
    assert "fill #name {{ payload.name }}" in lines[2] and lines[2].endswith(" ms ok")
    assert "failed" in lines[3] and lines[3].endswith("(optional)")
    assert "Inventada" not in log_of(outcome) and "Nowhere" not in log_of(outcome)


def test_a_table_is_collected_with_what_its_rows_lack(execute: Execute, site: Site) -> None:
    row = {"id": "@id", "text": "td", "link": "a@href", "choice": "select"}
    outcome = execute(
        go(site, "/table"),
        {"do": "collect", "selector": "tr", "parts": row, "as": "rows"},
        {"do": "collect", "selector": "input", "parts": {"typed": "@value"}, "as": "typed"},
        {"do": "collect", "selector": "p", "parts": {"kept": ":scope"}, "as": "own"},
        {"do": "collect", "selector": "#nothing", "parts": {"a": "b"}, "as": "none"},
    )
    assert outcome.ok, outcome.message
    one, two = json.loads(outcome.values["rows"])
    link = f"{site.url}/sent?a=1"
    assert one == {"id": "r1", "text": "One & 1", "link": link, "choice": ""}
    assert two == {"id": "r2", "text": "Two\nlines", "link": "", "choice": "Yes"}
    assert json.loads(outcome.values["typed"]) == [{"typed": "typed"}]
    assert json.loads(outcome.values["own"]) == [{"kept": "not shown"}]
    assert json.loads(outcome.values["none"]) == []
    assert len(names(outcome, "screenshot")) == 2  # of the two pages


@pytest.mark.parametrize(
    "step",
    [
        {"do": "collect", "selector": "p", "parts": {"a": "//a["}, "as": "rows"},
        {"do": "click", "selector": "p:bogus"},
        {"do": "read", "selector": "engine=p", "as": "x"},
        {"do": "fill", "selector": "#a[", "value": "x", "error": "site"},
    ],
)
def test_what_is_no_selector_is_told_so_and_never_tried_again(
    execute: Execute, site: Site, step: dict[str, Any]
) -> None:
    outcome = execute(go(site, "/changed"), step, pictures=False)
    assert (outcome.ok, outcome.error_class, outcome.failed_step) == (False, "payload", 3)
    assert "this is not a selector: " in outcome.message


def test_a_run_brings_no_more_than_it_may(execute: Execute, site: Site) -> None:
    most = 2 * len(DOWNLOADS["/pdf"]) + len(DOWNLOADS["/inline"])
    steps = [go(site, "/table"), {"do": "download_all", "selector": "#files a"}]
    outcome = execute(*steps, pictures=False, most_bytes=most - 1)
    assert (outcome.ok, outcome.error_class) == (False, "payload")
    assert "MOST_DOWNLOAD_MB" in outcome.message
    assert len(names(outcome, "download")) == 2
    assert execute(*steps, pictures=False, most_bytes=most).ok


def test_every_file_of_a_page_is_downloaded(execute: Execute, site: Site) -> None:
    outcome = execute(
        go(site, "/table"),
        {"do": "download_all", "selector": "#files a"},
        {"do": "download_all", "selector": "#nothing a"},
        pictures=False,
    )
    assert outcome.ok, outcome.message
    assert names(outcome, "screenshot") == []
    kept = [one for one in outcome.artifacts if one.kind == "download"]
    assert [one.path.read_bytes() for one in kept] == [
        DOWNLOADS["/pdf"],
        DOWNLOADS["/inline"],
        DOWNLOADS["/pdf"],
    ]
    assert [one.path.name for one in kept] == ["original.pdf", "inline.pdf", "original-2.pdf"]


@pytest.mark.parametrize(("file", "count"), [("a.pdf", 1), ("*", 2)])
def test_attachments_are_uploaded(
    execute: Execute, site: Site, tmp_path: Path, file: str, count: int
) -> None:
    files = {name: tmp_path / name for name in ("a.pdf", "b.pdf")}
    for name, path in files.items():
        path.write_text(f"content of {name}")
    outcome = execute(
        go(site, "/upload"),
        {"do": "upload", "selector": "#file", "file": file},
        SEND,
        CONFIRMED,
        files=files,
    )
    assert outcome.ok, outcome.message
    assert site.posts[0][1].count(b"content of") == count


@pytest.mark.parametrize(("file", "problem"), [("c.pdf", "c.pdf is missing"), ("*", "no attach")])
def test_a_missing_attachment_is_a_fault_of_the_payload(
    execute: Execute, file: str, problem: str
) -> None:
    outcome = execute({"do": "upload", "selector": "#file", "file": file})
    assert (outcome.ok, outcome.error_class, outcome.failed_step) == (False, "payload", 2)
    assert problem in outcome.message


def test_waits_see_what_comes_late(execute: Execute, site: Site) -> None:
    outcome = execute(
        go(site, "/late"),
        {"do": "wait", "text": "here i am"},
        {"do": "expect", "selector": "#gone", "absent": True},
        {"do": "expect", "text": "Nobody", "absent": True},
        {"do": "expect", "url": "/form", "absent": True},
        go(site, "/moving"),
        {"do": "wait", "url": "/sent?case="},
    )
    assert outcome.ok, outcome.message


@pytest.mark.parametrize(
    "step",
    [
        {"do": "expect", "text": "Reg 77", "absent": True},
        {"do": "expect", "selector": "#gone"},
        {"do": "expect", "url": "/elsewhere"},
        {"do": "expect", "url": "/form", "absent": True},
    ],
)
def test_what_is_not_as_expected_fails(execute: Execute, step: dict[str, Any]) -> None:
    outcome = execute({**step, "timeout": 0.3})
    assert (outcome.ok, outcome.error_class, outcome.failed_step) == (False, "site", 2)


@pytest.mark.parametrize(
    ("wanted", "unless", "timeout", "told"),
    [
        ("#nowhere", "#send", 30, ("session", "logged out")),
        ("#send", "#pass", 30, ("session", "logged out")),
        ("#send", "#gone", 30, None),
        ("#nowhere", "#gone", 0.3, ("site", "Timeout")),
        ("#send", "//a[", 30, ("payload", "not a selector: SyntaxError")),
    ],
)
def test_a_wait_ends_at_once_where_the_page_shows_a_complaint(
    execute: Execute, wanted: str, unless: str, timeout: float, told: tuple[str, str] | None
) -> None:
    began = time.monotonic()
    outcome = execute(
        {
            "do": "wait",
            "selector": wanted,
            "unless": unless,
            "timeout": timeout,
            "error": "session",
            "message": "logged out",
        }
    )
    assert time.monotonic() - began < 20
    if told is None:
        assert outcome.ok, outcome.message
    else:
        assert (outcome.error_class, outcome.failed_step) == (told[0], 2)
        assert told[1] in outcome.message


def test_the_token_is_only_in_the_request(execute: Execute, site: Site, tmp_path: Path) -> None:
    outcome = execute(
        {"do": "navigate", "url": "{{ direct_url }}"},
        inputs={"direct_url": f"{site.url}/sent?case=1&t={{token}}"},
        secrets={"token": "tök/en+1"},
    )
    assert outcome.ok and "/sent?case=1&t=t%C3%B6k%2Fen%2B1" in site.asked
    assert "t={token}" in log_of(outcome)
    assert secret_places(tmp_path, "tök/en+1", "t%C3%B6k%2Fen%2B1", "k%2Fen%2B1") == []


def test_no_secret_is_anywhere_in_the_evidence(
    execute: Execute, site: Site, tmp_path: Path
) -> None:
    secrets = {"password": 'p&ss "wörd\\1', "mail": "ana+x@example.test"}
    events: list[StepEvent] = []
    outcome = execute(
        {"do": "fill", "selector": "#pass", "value": "{{ secret.password }}"},
        {"do": "fill", "selector": "#mail", "value": "<{{ secret.mail }}>"},
        {"do": "click", "selector": "#send"},
        CONFIRMED | {"confirms": False},
        go(site, "/form?mail={{ secret.mail }}"),
        {"do": "expect", "url": "{{ secret.mail }}&more", "timeout": 0.2},
        secrets=secrets,
        on_event=events.append,
    )
    assert site.fields["pass"] == [secrets["password"]]
    assert site.fields["mail"] == [f"<{secrets['mail']}>"]
    assert not outcome.ok and "trace.zip" in names(outcome, "trace")
    forms = [
        *secrets.values(),
        "p%26ss",
        "p&amp;ss",
        "w\\u00f6rd",
        "ana%2Bx",
        "ana%2bx",
        "x@example",
    ]
    assert secret_places(tmp_path, *forms) == []
    told = repr(events) + repr(outcome)
    assert not any(form in told for form in forms) and "[REDACTED]" in told


def secret_places(folder: Path, *secrets: str) -> list[str]:
    """Where any of the secrets is found, zip entries unpacked."""
    contents: dict[str, bytes] = {}
    for path in filter(Path.is_file, folder.rglob("*")):
        contents[path.name] = path.name.encode() + path.read_bytes()
        if path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                contents |= {f"{path.name}/{n}": archive.read(n) for n in archive.namelist()}
    assert any(name.endswith(".trace") for name in contents)
    return [n for n, body in contents.items() for s in secrets if s.encode() in body]


def test_a_changed_script_does_not_run(
    make: Callable[..., Run], browser: BrowserThread, site: Site
) -> None:
    run = make(SEND)
    changed = Run(**{**vars(run), "script": run.script.replace("#send", "#Send")})
    outcome = browser.execute(changed, deadline=10)
    assert (outcome.ok, outcome.error_class) == (False, "payload")
    assert outcome.message == "Script integrity check failed"
    assert site.asked == [] and "integrity" in log_of(outcome)


def test_without_a_permit_nothing_is_clicked(execute: Execute, site: Site) -> None:
    outcome = execute(SEND, CONFIRMED, permit=lambda: False)
    assert (outcome.ok, outcome.error_class, outcome.message) == (
        False,
        "infrastructure",
        "lease lost",
    )
    assert not outcome.irrevocable_begun and site.posts == []


def test_the_permit_is_not_asked_for_when_there_is_nothing_to_click(
    execute: Execute, site: Site
) -> None:
    asked: list[bool] = []
    outcome = execute(
        go(site, "/changed"),
        {**SEND, "timeout": 0.3, "message": "The form has no button"},
        permit=lambda: asked.append(True) or True,
    )
    assert (outcome.error_class, outcome.message) == ("site", "The form has no button")
    assert asked == [] and not outcome.irrevocable_begun


@pytest.mark.parametrize(
    ("path", "message"), [("/dead", "cannot be reached"), ("/angry", "the site answered 500")]
)
def test_a_site_that_dies_while_it_is_sent_leaves_a_doubt(
    execute: Execute, site: Site, path: str, message: str
) -> None:
    began = time.monotonic()
    outcome = execute(go(site, path), SEND, CONFIRMED)
    assert (outcome.ok, outcome.error_class) == (False, "site")
    assert message in outcome.message and site.posts
    assert outcome.irrevocable_begun and not outcome.confirmed
    assert time.monotonic() - began < 5, "it waited for a page that cannot come"


@pytest.mark.parametrize("link", ["#empty", "#html", "#none", "#lacking"])
def test_a_missing_receipt_does_not_undo_the_confirmation(execute: Execute, link: str) -> None:
    step = {"do": "download", "selector": link, "name": "r.pdf", "receipt": True, "timeout": 1}
    outcome = execute(SEND, CONFIRMED, step)
    assert (outcome.ok, outcome.confirmed, outcome.receipt) == (False, True, False)
    assert outcome.irrevocable_begun and outcome.error_class == "site"
    assert names(outcome, "receipt") == []


@pytest.mark.parametrize("link", ["#inline", "#window"])
def test_a_receipt_that_the_browser_would_show_is_saved(execute: Execute, link: str) -> None:
    step = {"do": "download", "selector": link, "name": "r", "receipt": True, "timeout": 2}
    outcome = execute(SEND, CONFIRMED, step)
    assert outcome.receipt, outcome.message
    assert names(outcome, "receipt") == ["r.pdf"]


def test_two_downloads_of_one_name_are_both_kept(execute: Execute) -> None:
    step = {"do": "download", "selector": "#pdf", "name": "../execution.log"}
    outcome = execute(SEND, CONFIRMED, step, step)
    assert names(outcome, "download") == ["execution-2.log", "execution-3.log"]


@pytest.mark.parametrize(
    ("path", "error_class", "message"),
    [
        ("/500", "site", "step 2 (navigate): the site answered 500"),
        ("/503", "site", "step 2 (navigate): the site answered 503"),
        ("/404", "site", "step 2 (navigate): the site answered 404"),
        ("/reset", "site", "the site cannot be reached: net::ERR_"),
        ("/slow", "timeout", "Timeout 1000ms exceeded"),
    ],
)
def test_an_address_that_does_not_open(
    execute: Execute, site: Site, path: str, error_class: str, message: str
) -> None:
    outcome = execute(go(site, path, timeout=1))
    assert (outcome.ok, outcome.error_class, outcome.failed_step) == (False, error_class, 2)
    assert message in outcome.message
    assert names(outcome, "screenshot")[-1] == "02-navigate-error.jpg"


def test_a_closed_port_is_a_fault_of_the_site(execute: Execute) -> None:
    outcome = execute({"do": "navigate", "url": "http://127.0.0.1:9/"})
    assert outcome.error_class == "site" and "net::ERR_" in outcome.message


def test_a_changed_page_fails_in_the_words_of_the_flow(execute: Execute, site: Site) -> None:
    step = {"do": "wait", "selector": "#name", "timeout": 0.3}
    told = {"error": "session", "message": "Logged out of {{ payload.where }}"}
    outcome = execute(
        go(site, "/changed"), {**step, **told}, inputs={"payload": {"where": "Madrid"}}
    )
    assert (outcome.error_class, outcome.message) == ("session", "Logged out of Madrid")
    assert outcome.failed_step == 3 and outcome.storage_state is None
    assert names(outcome, "screenshot")[-1] == "03-wait-error.jpg"
    assert names(outcome, "trace") == ["trace.zip"]


def test_a_site_that_is_down_is_not_taken_for_its_answer(execute: Execute, site: Site) -> None:
    rejected = {"do": "wait", "selector": "#received", "error": "business", "message": "No"}
    outcome = execute(go(site, "/angry"), {"do": "click", "selector": "#send"}, rejected)
    assert outcome.error_class == "site" and "the site answered 500" in outcome.message


def test_two_buttons_where_one_is_meant_are_not_guessed_between(
    execute: Execute, site: Site
) -> None:
    outcome = execute(go(site, "/two"), {"do": "click", "selector": "button"})
    assert outcome.error_class == "site" and "strict mode" in outcome.message


def test_a_value_that_is_missing_is_named(execute: Execute) -> None:
    outcome = execute({"do": "fill", "selector": "#name", "value": "{{ payload.nif }}"})
    assert outcome.error_class == "payload" and "payload.nif is missing" in outcome.message


def test_a_link_without_its_token_is_a_matter_of_the_session(execute: Execute, site: Site) -> None:
    outcome = execute(go(site, "/form?t={token}"))
    assert outcome.error_class == "session" and "token" in outcome.message


def test_a_dialog_is_accepted_and_logged(execute: Execute, site: Site) -> None:
    outcome = execute(
        go(site, "/dialog"),
        {"do": "click", "selector": "#ask"},
        {"do": "expect", "text": "true"},
    )
    assert outcome.ok, outcome.message
    assert "dialog (confirm) accepted: Sure?" in log_of(outcome)


def test_a_session_is_carried_from_run_to_run(execute: Execute, site: Site, tmp_path: Path) -> None:
    first = execute(trace=False)
    again = execute(storage_state=first.storage_state, folder=tmp_path / "again", trace=False)
    other = execute(folder=tmp_path / "other", trace=False)
    assert again.ok and again.storage_state == first.storage_state == other.storage_state
    assert execute(folder=tmp_path / "kept", keep_session=False).storage_state is None
    assert names(again, "trace") == []
