"""Where a run may go: its hosts, at public addresses, whatever a page tries."""

# ruff: noqa: F811 (fixtures are imported by name)
from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Iterator
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import pytest

from orchestrator_site.internet import is_public
from queues.browser import execution, scripts
from queues.browser.egress import FORBIDDEN, GRANTED, UNREACHABLE, Egress, _covers
from queues.browser.runs import Outcome, Run, StepEvent
from queues.browser.thread import BrowserThread
from tests.queues.test_browser_runs import PAGES, Site, served, site  # noqa: F401

LOOPBACK = (ip_network("127.0.0.0/8"),)


@pytest.mark.parametrize(
    ("declared", "host", "port", "is_covered"),
    [
        ("example.com", "example.com", 443, True),
        ("example.com", "www.example.com", 443, False),
        ("example.com", "example.com.evil.example", 443, False),
        ("example.com:8443", "example.com", 8443, True),
        ("example.com:8443", "example.com", 443, False),
        ("*.example.com", "a.b.example.com", 80, True),
        ("*.example.com", "example.com", 80, False),
        ("*.example.com", "badexample.com", 80, False),
        ("*.example.com:81", "a.example.com", 80, False),
        ("127.0.0.1:8000", "127.0.0.1", 8000, True),
        ("[::1]:8000", "::1", 8000, True),
        ("[::1]:8000", "::1", 80, False),
        ("[::1]", "::1", 80, True),
        ("::1", "::1", 80, True),
    ],
)
def test_a_host_is_covered_by_what_was_declared(
    declared: str, host: str, port: int, is_covered: bool
) -> None:
    assert _covers(declared, host, port) is is_covered


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "0.0.0.0"),
        *("100.64.0.1", "224.0.0.1", "255.255.255.255", "240.0.0.1", "192.0.2.1"),
        *("::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1", "::ffff:10.0.0.1"),
        *("::ffff:169.254.169.254", "::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::"),
        *("2001:0:4136:e378:8000:63bf:3fff:fdd2", "fec0::1"),
        *("192.0.0.192", "168.63.129.16"),  # clouds' own
    ],
)
def test_an_address_of_a_network_of_ones_own_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1", "::ffff:8.8.8.8"])
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


async def asked(egress: Egress, host: str, port: int) -> int:
    """The proxy's answer to a wish to connect."""
    place = egress.address.rpartition(":")[2]
    reader, writer = await asyncio.open_connection("127.0.0.1", int(place))
    name = host.encode()
    writer.write(b"\x05\x01\x00")
    await reader.readexactly(2)
    writer.write(b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
    answer = await reader.readexactly(10)
    writer.close()
    return answer[1]


def answers(egress: Egress, *wishes: tuple[str, int]) -> list[int]:
    async def ask() -> list[int]:
        await egress.open()
        try:
            return [await asked(egress, *wish) for wish in wishes]
        finally:
            egress.close()

    return asyncio.run(ask())


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Have names stand for addresses, one more each time they are looked up."""
    known: dict[str, Iterator[list[str]]] = {}

    def told(host: str, *each_time: list[str]) -> None:
        known[host] = iter(each_time)

    def look(host: Any, *_: Any, **__: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror("no such name")
        return [(2, 1, 6, "", (address, 0)) for address in next(known[host])]

    monkeypatch.setattr(socket, "getaddrinfo", look)
    return told


def test_a_declared_name_at_a_private_address_is_refused(names: Callable[..., None]) -> None:
    names("inside.example", ["10.0.0.1"])
    names("both.example", ["93.184.216.34", "169.254.169.254"])
    told: list[str] = []
    egress = Egress(["*.example"], on_refused=told.append)
    assert answers(egress, ("inside.example", 80), ("both.example", 80), ("both.example", 81)) == (
        [FORBIDDEN] * 3
    )
    assert told == ["inside.example", "both.example"]


def test_a_name_that_changes_its_address_is_still_where_it_was(
    names: Callable[..., None], site: Site
) -> None:
    names("moving.example", ["127.0.0.1"], ["169.254.169.254"])
    egress = Egress(["moving.example"], LOOPBACK)
    wish = ("moving.example", site.server_port)
    assert answers(egress, wish, wish) == [GRANTED, GRANTED]


def test_an_unknown_name_is_no_refusal(names: Callable[..., None]) -> None:
    names("none.example", [])
    egress = Egress(["*.example"])
    assert answers(egress, ("gone.example", 80), ("none.example", 80)) == [UNREACHABLE] * 2
    assert "no such name" in egress.faults["gone.example"]
    assert egress.refusal("http://gone.example/") == ""


def test_what_does_not_speak_socks_is_hung_up_on() -> None:
    async def ask() -> bytes:
        egress = Egress(["127.0.0.1"], LOOPBACK)
        await egress.open()
        port = int(egress.address.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET http://127.0.0.1/ HTTP/1.1\r\n\r\n")
        answer = await reader.read()
        writer.close()
        egress.close()
        return answer

    assert asyncio.run(ask()) == b""


@pytest.fixture(scope="module")
def confined() -> Iterator[BrowserThread]:
    browser = execution.new_browser()
    yield browser
    browser.close()


Visit = Callable[..., tuple[Outcome, list[str]]]


@pytest.fixture
def visit(confined: BrowserThread, tmp_path: Path) -> Visit:
    """Open an address in a run with `hosts`; what came of it, and the lines that were told."""

    def go(
        url: str, *more: dict[str, Any], hosts: list[str], networks: Any = LOOPBACK
    ) -> tuple[Outcome, list[str]]:
        script = scripts.canonical([{"do": "navigate", "url": url}, *more])
        lines: list[StepEvent] = []
        run = Run(
            script,
            scripts.sha256(script),
            {},
            tmp_path / "run",
            5.0,
            trace=False,
            hosts=hosts,
            networks=networks,
            numbered=True,
        )
        outcome = confined.execute(run, deadline=20, on_event=lines.append)
        return outcome, [execution.line_of(line) for line in lines]

    return go


@pytest.mark.chromium
@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://169.254.169.254/latest/meta-data/", "169.254.169.254"),
        ("http://localhost:8099/", "localhost"),
        ("http://2130706433/", "127.0.0.1"),
        ("http://0x7f.1/", "127.0.0.1"),
        ("http://[::1]/", "::1"),
        ("http://[::ffff:169.254.169.254]/", "::ffff:a9fe:a9fe"),
        ("https://other.example/", "other.example"),
    ],
)
def test_an_address_that_was_not_declared_is_refused(visit: Visit, url: str, host: str) -> None:
    outcome, lines = visit(url, hosts=["site.example"], networks=())
    assert (outcome.error_class, outcome.message) == ("payload", f"egress refused: {host}")
    assert lines[0] == f"egress refused: {host}"


@pytest.mark.chromium
def test_a_declared_host_at_a_private_address_is_refused_too(visit: Visit, site: Site) -> None:
    outcome, _ = visit(f"{site.url}/form", hosts=[f"127.0.0.1:{site.server_port}"], networks=())
    assert outcome.message == "egress refused: 127.0.0.1"
    assert site.asked == []


@pytest.mark.chromium
def test_a_run_goes_to_its_hosts_over_the_proxy(visit: Visit, site: Site) -> None:
    outcome, lines = visit(
        f"{site.url}/form",
        {"do": "fill", "selector": "#name", "value": "Ana"},
        {"do": "click", "selector": "#send"},
        {"do": "expect", "selector": "#received"},
        {"do": "download", "selector": "#pdf", "name": "receipt"},
        hosts=[f"127.0.0.1:{site.server_port}"],
    )
    assert outcome.ok, outcome.message
    assert site.fields["name"] == ["Ana"]
    assert [line for line in lines if "egress" in line] == []


@pytest.mark.chromium
@pytest.mark.parametrize(
    ("page", "host"),
    [
        ('<script>location = "http://169.254.169.254/latest"</script>', "169.254.169.254"),
        ('<meta http-equiv="refresh" content="0;url=http://localhost:8099/">', "localhost"),
    ],
)
def test_a_page_that_leads_away_ends_the_run(
    visit: Visit, site: Site, monkeypatch: pytest.MonkeyPatch, page: str, host: str
) -> None:
    monkeypatch.setitem(PAGES, "/leading", page)
    outcome, _ = visit(
        f"{site.url}/leading",
        {"do": "wait", "text": "never", "timeout": 4, "error": "business"},
        hosts=[f"127.0.0.1:{site.server_port}"],
    )
    assert (outcome.error_class, outcome.message) == ("payload", f"egress refused: {host}")


@pytest.mark.chromium
def test_a_redirect_elsewhere_ends_the_run(visit: Visit, site: Site) -> None:
    outcome, _ = visit(
        f"{site.url}/302?http://169.254.169.254/latest",
        hosts=[f"127.0.0.1:{site.server_port}"],
    )
    assert outcome.message == "egress refused: 169.254.169.254"
    assert outcome.error_class == "payload"


@pytest.mark.chromium
def test_what_a_page_asks_for_besides_is_refused_and_told(
    visit: Visit, site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = """<img src="http://10.0.0.1/x.png"><iframe src="http://localhost:8099/"></iframe>
    <script>new WebSocket("ws://10.0.0.2/");
    fetch("http://10.0.0.3/").catch(() => document.body.append("refused"));
    navigator.serviceWorker?.register("/sw.js").catch(() => 0);
    fetch("file:///etc/passwd").catch(() => document.body.append(" unread"));
    setTimeout(() => location = "file:///etc/passwd", 50);
    setTimeout(() => document.body.append(" still here"), 300)</script>"""
    monkeypatch.setitem(PAGES, "/busy", page)
    outcome, lines = visit(
        f"{site.url}/busy",
        *({"do": "wait", "text": word} for word in ("refused", "unread", "still here")),
        {"do": "read", "selector": "body", "as": "text"},
        hosts=[f"127.0.0.1:{site.server_port}"],
    )
    assert outcome.ok, outcome.message
    assert "root:" not in outcome.values["text"]
    refused = {line for line in lines if line.startswith("egress refused")}
    assert refused == {
        *(f"egress refused: 10.0.0.{last}" for last in (1, 2, 3)),
        "egress refused: localhost",
    }


@pytest.mark.chromium
def test_a_browser_for_jobs_goes_nowhere_without_its_proxy(
    confined: BrowserThread, site: Site, tmp_path: Path
) -> None:
    script = scripts.canonical([{"do": "navigate", "url": f"{site.url}/form"}])
    run = Run(script, scripts.sha256(script), {}, tmp_path / "run", 5.0, trace=False)
    assert not confined.execute(run, deadline=10).ok
    assert site.asked == []
