"""Scrapers called over real sockets, and the choice between them."""

from __future__ import annotations

import json
import logging
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from queues import connecting
from queues.scrapers import client
from queues.scrapers.client import Answer, AnswerKind, Call, post
from queues.scrapers.router import (
    NOT_SENT,
    Endpoint,
    Routed,
    after_failure,
    after_success,
    choose,
    masked,
    route,
)

CALL = Call("ROLM850214MDFDPR07", "66a1", "SISEC-7", 41, "12")
NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DONE = b'{"status": "success", "message": "Task accepted for processing"}'
Answering = Callable[[socket.socket], None]


@dataclass
class Scraper:
    """A server of the test: what it is asked, how often somebody came."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    visits: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/scrape"


@pytest.fixture(autouse=True)
def allowed(settings: Any) -> None:
    settings.SCRAPER_ALLOWED_NETWORKS = (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    settings.SCRAPER_ALLOWED_HOSTS = []


@pytest.fixture
def scraper() -> Iterator[Callable[..., Scraper]]:
    """Call it with what to do with each connection once its request was read."""
    with ExitStack() as stack:
        yield lambda answer, **how: stack.enter_context(listening(answer, **how))


@contextmanager
def listening(
    answer: Answering, tls: ssl.SSLContext | None = None, reads: bool = True
) -> Iterator[Scraper]:
    with socket.create_server(("127.0.0.1", 0), backlog=600) as server:
        found = Scraper(server.getsockname()[1])

        def serve(line: socket.socket) -> None:
            with (
                suppress(OSError),
                line if tls is None else tls.wrap_socket(line, server_side=True) as spoken,
            ):
                if reads:
                    found.requests.append(whole_request(spoken))
                answer(spoken)

        def accept() -> None:
            with suppress(OSError):
                while True:
                    line, _peer = server.accept()
                    found.visits += 1
                    threading.Thread(target=serve, args=(line,), daemon=True).start()

        threading.Thread(target=accept, daemon=True).start()
        yield found
        server.shutdown(socket.SHUT_RDWR)


def whole_request(line: socket.socket) -> bytes:
    request = b""
    while not request.endswith(b"}"):
        if not (more := line.recv(65536)):
            break
        request += more
    return request


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = (f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(lines).encode() + body


def saying(reply: bytes) -> Answering:
    return lambda line: line.sendall(reply)


def dripping(reply: bytes, start: bytes = b"") -> Answering:
    def answer(line: socket.socket) -> None:
        line.sendall(start)
        for byte in reply:
            time.sleep(0.02)
            line.sendall(bytes((byte,)))

    return answer


def resetting(start: bytes = b"") -> Answering:
    """RST instead of FIN, after this much of an answer."""

    def answer(line: socket.socket) -> None:
        line.sendall(start)
        time.sleep(0.05)  # a reset overtakes what was not read yet
        line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    return answer


def silent(line: socket.socket) -> None:
    time.sleep(3)


def closed_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


# --- One call ---------------------------------------------------------------------------------


def test_the_scraper_gets_exactly_these_fields(scraper: Callable[..., Scraper]) -> None:
    there = scraper(saying(http(DONE)))
    answer = post(f"{there.url}?instance=om", CALL)
    head, _, body = there.requests[0].partition(b"\r\n\r\n")
    assert json.loads(body) == {
        "curp": "ROLM850214MDFDPR07",
        "nbc_id": "66a1",
        "device_id": "SISEC-7",
        "taskid": 41,
        "queue_document_id": "12",
    }
    assert head.startswith(b"POST /scrape?instance=om HTTP/1.1\r\n")
    assert f"Host: 127.0.0.1:{there.port}".encode() in head.split(b"\r\n")
    assert b"Content-Type: application/json" in head.split(b"\r\n")
    assert (answer.kind, answer.http_status) == (AnswerKind.ACCEPTED, 200)
    assert answer.message == "Task accepted for processing" and 0 < answer.seconds < 5


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("reply", "kind", "status"),
    [
        (http(b"[]"), AnswerKind.ACCEPTED, 200),
        (http(b'"fine"'), AnswerKind.ACCEPTED, 200),
        (CHUNKED + b"2\r\n{}\r\n0\r\n\r\n", AnswerKind.ACCEPTED, 200),
        (b"HTTP/1.0 200 OK\r\n\r\n{}", AnswerKind.ACCEPTED, 200),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + http(b"{}"), AnswerKind.ACCEPTED, 200),
        (http(b'{"status": "Error"}'), AnswerKind.UNKNOWN, 200),
        (http(b'{"status": "failed", "message": "x"}'), AnswerKind.UNKNOWN, 200),
        (http(b"<html>Sign in</html>"), AnswerKind.UNKNOWN, 200),
        (http(b""), AnswerKind.UNKNOWN, 200),
        (http(b"\xff\xfe\x00"), AnswerKind.UNKNOWN, 200),
        (http(b"[" * 60_000), AnswerKind.UNKNOWN, 200),
        (http(b"{}", "201 Created"), AnswerKind.UNKNOWN, 201),
        (http(b"{}", "204 No Content"), AnswerKind.UNKNOWN, 204),
        (http(b"no", "400 Bad Request"), AnswerKind.BAD_REQUEST, 400),
        (http(b"", "429 Too Many Requests"), AnswerKind.BUSY, 429),
        (http(b"{}", "500 Oops"), AnswerKind.UNKNOWN, 500),
        (http(b"<h1>Not here</h1>", "404 Not Found"), AnswerKind.NOT_THERE, 404),
        (http(b"{}", "403 Forbidden"), AnswerKind.NOT_THERE, 403),
        (b"SSH-2.0-OpenSSH_9.2\r\n", AnswerKind.UNKNOWN, None),
        (b"\x00\x01\x02" * 100, AnswerKind.UNKNOWN, None),
        (b"HTTP/1.1 abc\r\n\r\n", AnswerKind.UNKNOWN, None),
        (b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 300 + b"\r\n", AnswerKind.UNKNOWN, None),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 80_000 + b"\r\n\r\n", AnswerKind.UNKNOWN, None),
    ],
    ids=lambda value: value[:34] if isinstance(value, bytes) else None,
)
def test_what_an_answer_means(
    scraper: Callable[..., Scraper], reply: bytes, kind: AnswerKind, status: int | None
) -> None:
    there = scraper(saying(reply))
    answer = post(there.url, CALL, timeout=5)
    assert (answer.kind, answer.http_status) == (kind, status)
    assert answer.message or kind is AnswerKind.ACCEPTED
    assert there.visits == 1


@pytest.mark.parametrize(
    "answering",
    [
        lambda line: None,
        resetting(),
        resetting(b"HTTP/1.1 200 OK\r\nContent-Le"),
        resetting(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n{"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n{}"),
        saying(b"HTTP/1.1 200 OK\r\nContent-Length: 64\r\n\r\n"),
        saying(CHUNKED + b"20\r\n{}"),
    ],
    ids=["closed", "reset", "reset-in-head", "reset-in-body", "short", "empty", "short-chunk"],
)
def test_a_connection_lost_after_it_was_made_leaves_nobody_knowing(
    scraper: Callable[..., Scraper], answering: Answering
) -> None:
    there = scraper(answering)
    assert post(there.url, CALL, timeout=5).kind is AnswerKind.UNANSWERED
    assert there.visits == len(there.requests) == 1


@pytest.mark.parametrize(
    "answering",
    [
        silent,
        dripping(http(DONE) * 9),
        dripping(b"x: y\r\n" * 90, b"HTTP/1.1 200 OK\r\n"),
        dripping(b" " * 400, b"HTTP/1.1 200 OK\r\nContent-Length: 400\r\n\r\n"),
        dripping(b"HTTP/1.1 100 Continue\r\n\r\n" * 20),
    ],
    ids=["silent", "status", "headers", "body", "continues"],
)
def test_nothing_holds_a_call_longer_than_its_timeout(
    scraper: Callable[..., Scraper], answering: Answering
) -> None:
    there = scraper(answering)
    started = time.monotonic()
    answer = post(there.url, CALL, timeout=0.4)
    assert answer.kind is AnswerKind.UNANSWERED
    assert 0.4 <= answer.seconds <= time.monotonic() - started < 1.5
    assert there.visits == 1


def test_the_timeout_is_the_settings_unless_another_is_given(
    scraper: Callable[..., Scraper], settings: Any
) -> None:
    settings.SCRAPER_TIMEOUT = timedelta(seconds=0.3)
    assert post(scraper(silent).url, CALL).kind is AnswerKind.UNANSWERED


@pytest.mark.parametrize(
    ("status", "kind"),
    [("200 OK", AnswerKind.UNKNOWN), ("429 Slow Down", AnswerKind.BUSY)],
)
def test_only_the_beginning_of_a_huge_answer_is_read(
    scraper: Callable[..., Scraper], status: str, kind: AnswerKind
) -> None:
    size, sent = 100 * 1024 * 1024, []

    def flooding(line: socket.socket) -> None:
        line.sendall(f"HTTP/1.1 {status}\r\nContent-Length: {size}\r\n\r\n".encode())
        for _ in range(size // 65536):
            line.sendall(b"7" * 65536)
            sent.append(65536)

    answer = post(scraper(flooding).url, CALL, timeout=20)
    assert answer.kind is kind and answer.message == "7" * 500
    time.sleep(0.1)
    assert sum(sent) < size / 4


@pytest.mark.parametrize("status", ["301 Moved", "302 Found", "307 Temporary", "308 Permanent"])
def test_a_redirect_is_not_followed(scraper: Callable[..., Scraper], status: str) -> None:
    other = scraper(saying(http(DONE)))
    there = scraper(saying(http(b"", status, f"Location: {other.url}")))
    answer = post(there.url, CALL)
    assert (answer.kind, answer.http_status) == (AnswerKind.UNKNOWN, int(status[:3]))
    assert (there.visits, other.visits) == (1, 0)


# --- No connection ----------------------------------------------------------------------------


def test_a_refused_port_and_an_unknown_name_are_unreachable() -> None:
    for host in (f"127.0.0.1:{closed_port()}", "no-such-host.invalid"):
        answer = post(f"http://{host}/", CALL)
        assert (answer.kind, answer.http_status) == (AnswerKind.UNREACHABLE, None)
        assert answer.message


def test_a_port_that_accepts_nobody_is_unreachable_after_the_connect_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server, ExitStack() as stack:
        for _ in range(4):  # the backlog is full: more are not answered at all
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(server.getsockname())
        answer = post(f"http://127.0.0.1:{server.getsockname()[1]}/", CALL, timeout=30)
    assert answer.kind is AnswerKind.UNREACHABLE
    assert 0.3 <= answer.seconds < 1.5


@pytest.mark.parametrize("url", ["http://10.0.0.1/", "ftp://127.0.0.1/", "http://u:p@[::1/"])
def test_an_address_that_is_not_allowed_is_refused(url: str) -> None:
    answer = post(url, CALL, timeout=1)
    assert answer.kind is AnswerKind.REFUSED and answer.message
    assert answer.seconds < 0.5


def test_the_address_that_was_checked_is_the_one_connected_to(
    scraper: Callable[..., Scraper], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads elsewhere when it is asked for once more."""
    there, asked, real = scraper(saying(http(DONE))), [], socket.getaddrinfo

    def rebinding(host: str, *args: Any, **kwargs: Any) -> Any:
        if host == "scraper.test":
            asked.append(host)
            host = "127.0.0.1" if len(asked) == 1 else "127.0.0.99"
        return real(host, *args, **kwargs)

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    answer = post(f"http://scraper.test:{there.port}/", CALL)
    assert answer.kind is AnswerKind.ACCEPTED and len(asked) == 1
    assert f"Host: scraper.test:{there.port}".encode() in there.requests[0]


def test_a_name_that_leads_outside_later_is_refused_when_it_is_called(
    scraper: Callable[..., Scraper], settings: Any
) -> None:
    there = scraper(saying(http(DONE)))
    settings.SCRAPER_ALLOWED_NETWORKS = (ip_network("10.0.0.0/8"),)
    answer = post(there.url, CALL)
    assert answer.kind is AnswerKind.REFUSED and there.visits == 0


def test_the_next_address_of_a_name_is_tried(
    scraper: Callable[..., Scraper], monkeypatch: pytest.MonkeyPatch
) -> None:
    there = scraper(saying(http(DONE)))
    monkeypatch.setattr(client.addresses, "resolve", lambda url: ["::1", "127.0.0.1"])
    assert post(f"http://localhost:{there.port}/", CALL).kind is AnswerKind.ACCEPTED
    assert there.visits == 1


# --- TLS --------------------------------------------------------------------------------------


@pytest.fixture
def tls(tmp_path: Path) -> ssl.SSLContext:
    """A server's, for `localhost` alone; the certificate is in certificate.pem."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    today = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(7)
        .not_valid_before(today - timedelta(days=1))
        .not_valid_after(today + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    (tmp_path / "key.pem").write_bytes(secret)
    (tmp_path / "certificate.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "certificate.pem", tmp_path / "key.pem")
    return context


def test_https_by_the_name_and_not_by_the_address(
    scraper: Callable[..., Scraper],
    tls: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    there = scraper(saying(http(DONE)), tls=tls)
    trusting = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    assert post(f"https://localhost:{there.port}/", CALL).kind is AnswerKind.UNREACHABLE
    monkeypatch.setattr(connecting, "_tls", lambda: trusting)
    assert post(f"https://127.0.0.1:{there.port}/", CALL).kind is AnswerKind.UNREACHABLE
    assert there.requests == []
    assert post(f"https://localhost:{there.port}/", CALL).kind is AnswerKind.ACCEPTED
    assert len(there.requests) == 1


def test_https_ends_in_time_and_tells_a_lost_answer(
    scraper: Callable[..., Scraper],
    tls: ssl.SSLContext,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    trusting = ssl.create_default_context(cafile=str(tmp_path / "certificate.pem"))
    monkeypatch.setattr(connecting, "_tls", lambda: trusting)
    for answering in (resetting(), dripping(http(DONE) * 9), lambda line: None):
        there = scraper(answering, tls=tls)
        answer = post(f"https://localhost:{there.port}/", CALL, timeout=0.6)
        assert answer.kind is AnswerKind.UNANSWERED and answer.seconds < 1.5


@pytest.mark.parametrize("answering", [saying(http(DONE)), silent, resetting()])
def test_a_failed_handshake_is_no_connection(
    scraper: Callable[..., Scraper], monkeypatch: pytest.MonkeyPatch, answering: Answering
) -> None:
    monkeypatch.setattr(connecting, "CONNECT_SECONDS", 0.4)
    there = scraper(answering, reads=False)
    answer = post(f"https://127.0.0.1:{there.port}/", CALL, timeout=30)
    assert answer.kind is AnswerKind.UNREACHABLE and answer.seconds < 1.5


# --- Details of an answer ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("5", 5),
        (" 0 ", 0),
        ("99999", 3600),
        ("9" * 5000, None),
        ("Sat, 21 Nov 2026 12:01:30 GMT", 90),
        ("Sat, 21 Nov 2026 12:01:30 -0000", 90),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("Sat, 21 Nov 2099 11:00:00 GMT", 3600),
        ("-5", None),
        ("soon", None),
        ("", None),
    ],
)
def test_when_a_busy_scraper_may_be_asked_again(header: str, seconds: float | None) -> None:
    assert client._retry_after(header, NOW) == seconds


def test_a_busy_answer_carries_its_time(scraper: Callable[..., Scraper]) -> None:
    there = scraper(saying(http(b"{}", "429 Too Many Requests", "Retry-After: 7")))
    assert post(there.url, CALL).retry_after == 7


def test_a_message_is_one_short_line_without_secrets(scraper: Callable[..., Scraper]) -> None:
    body = b"line\r\n\x00 two\t\x1b[31m token=HUSHHUSH " + b"x" * 900
    answer = post(scraper(saying(http(body, "500 Oops"))).url, CALL)
    assert answer.message.startswith("line two [31m token=[REDACTED] xxx")
    assert len(answer.message) == 500


def test_a_call_does_not_show_the_person() -> None:
    assert CALL.curp not in repr(CALL)


def test_hundreds_of_calls_wait_at_once(scraper: Callable[..., Scraper]) -> None:
    def slow(line: socket.socket) -> None:
        time.sleep(0.5)
        line.sendall(http(DONE))

    there = scraper(slow)
    with ThreadPoolExecutor(200) as pool:
        started = time.monotonic()
        answers = list(pool.map(lambda _: post(there.url, CALL, timeout=30), range(200)))
    assert {answer.kind for answer in answers} == {AnswerKind.ACCEPTED}
    assert time.monotonic() - started < 10  # one after the other: 100 s


# --- The choice -------------------------------------------------------------------------------

SOON, PAST = NOW + timedelta(seconds=1), NOW - timedelta(seconds=1)


def test_the_own_instance_goes_first_and_closed_breakers_before_half_open_ones() -> None:
    endpoints = [
        Endpoint(1, "http://a/"),
        Endpoint(2, "http://b/", "SISEC-OM", open_until=PAST),
        Endpoint(3, "http://c/", open_until=NOW),
        Endpoint(4, "http://d/", "SISEC-OM"),
        Endpoint(5, "http://e/", "SISEC-OM", open_until=SOON),
        Endpoint(6, "http://f/", "SISEC-OM", is_enabled=False),
        Endpoint(7, "http://g/", "OTHER"),
        Endpoint(8, "http://h/"),
    ]
    assert [e.id for e in choose(endpoints, "SISEC-OM", NOW)] == [4, 2, 1, 8, 3]
    assert [e.id for e in choose(endpoints, "", NOW)] == [1, 8, 3]


def test_the_breaker_opens_at_the_fifth_failure_and_longer_each_time() -> None:
    failures, waits = 0, []
    for _ in range(12):
        failures, open_until = after_failure(failures, NOW)
        waits.append(open_until and (open_until - NOW).total_seconds())
    assert waits == [None] * 4 + [30, 60, 120, 240, 480, 600, 600, 600]
    assert after_failure(10**9, NOW) == (10**9 + 1, NOW + timedelta(minutes=10))
    assert after_success() == (0, None)


ENDPOINTS = [Endpoint(n, f"http://{n}.test/") for n in (1, 2, 3)]


def routed(*kinds: AnswerKind) -> Routed:
    """The endpoints answer in this order."""
    answers = iter(kinds)
    return route(ENDPOINTS, "", CALL, post=lambda url, call: Answer(next(answers)), now=NOW)


@pytest.mark.parametrize("kind", [k for k in AnswerKind if k not in NOT_SENT])
def test_the_first_that_was_reached_ends_the_search(kind: AnswerKind) -> None:
    found = routed(AnswerKind.UNREACHABLE, kind)
    assert found.endpoint == ENDPOINTS[1] and found.answer == Answer(kind)
    assert found.tried == ((1, Answer(AnswerKind.UNREACHABLE)), (2, Answer(kind)))
    assert found.outcome == ("assigned" if kind is AnswerKind.ACCEPTED else kind.value)


def test_the_search_goes_on_while_nothing_was_sent() -> None:
    found = routed(AnswerKind.REFUSED, AnswerKind.UNREACHABLE, AnswerKind.NOT_THERE)
    assert found.endpoint is None and found.answer.kind is AnswerKind.NOT_THERE
    assert [pk for pk, _answer in found.tried] == [1, 2, 3]


def test_without_an_endpoint_nothing_is_sent() -> None:
    found = route([], "SISEC-OM", CALL, now=NOW)
    assert (found.outcome, found.endpoint, found.tried) == ("unreachable", None, ())
    assert found.answer.message


def test_the_living_endpoint_gets_the_task_once(scraper: Callable[..., Scraper]) -> None:
    living, spare = scraper(saying(http(DONE))), scraper(saying(http(DONE)))
    urls = (f"http://127.0.0.1:{closed_port()}/", living.url, spare.url)
    endpoints = [Endpoint(n, url) for n, url in enumerate(urls, start=1)]
    found = route(endpoints, "SISEC-OM", CALL, now=NOW)
    assert (found.outcome, found.endpoint) == ("assigned", endpoints[1])
    assert (living.visits, spare.visits) == (1, 0)


def test_an_endpoint_that_hangs_up_is_not_followed_by_another(
    scraper: Callable[..., Scraper],
) -> None:
    dying, spare = scraper(resetting()), scraper(saying(http(DONE)))
    found = route([Endpoint(1, dying.url), Endpoint(2, spare.url)], "", CALL, now=NOW)
    assert found.outcome == "unanswered" and (dying.visits, spare.visits) == (1, 0)


def test_the_log_names_the_call_but_not_the_person(
    scraper: Callable[..., Scraper], caplog: pytest.LogCaptureFixture
) -> None:
    there = scraper(saying(http(DONE)))
    endpoints = [Endpoint(8, "http://u:p@127.0.0.1/"), Endpoint(9, f"{there.url}?key=HUSH")]
    with caplog.at_level(logging.INFO, "queues.scrapers.router"):
        route(endpoints, "", CALL, now=NOW)
    refused, accepted = (record.getMessage() for record in caplog.records)
    assert f"endpoint 9 {there.url}: task 41, device SISEC-7, ROLM*" in accepted
    assert "accepted (200)" in accepted and "refused (-)" in refused
    assert "endpoint 8 http://127.0.0.1/: task 41" in refused and "HUSH" not in caplog.text
    assert CALL.curp not in caplog.text and masked(CALL.curp) in caplog.text
