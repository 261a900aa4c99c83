"""The one check of addresses that people write."""

from __future__ import annotations

import socket
from ipaddress import ip_network
from typing import Any

import pytest

from orchestrator_site import addresses
from orchestrator_site.addresses import AddressRefused, NameUnknown

LOOPBACK = (ip_network("127.0.0.0/8"), ip_network("::1/128"))


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """What the look-up of a name finds; names that are not in it do not exist."""
    known: dict[str, list[str]] = {}

    def looked_up(host: str, *args: Any, **kwargs: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_UNSPEC, socket.SOCK_STREAM, 6, "", (ip, 0)) for ip in known[host]]

    monkeypatch.setattr(addresses.socket, "getaddrinfo", looked_up)
    return known


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1/",
        "http://127.9.8.7:8001/scrapers/sisec/om/",
        "https://[::1]:8443/x?instance=om",
        "http://[::ffff:127.0.0.1]/",
        "HTTP://127.0.0.1",
        "http://2130706433/",  # 127.0.0.1 as a number: judged by what it leads to
    ],
)
def test_an_address_in_an_allowed_network_passes(url: str) -> None:
    addresses.check(url, networks=LOOPBACK, hosts=())


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/",
        "http://0.0.0.0/",  # this machine, under another name
        "http://169.254.169.254/latest/meta-data",
        "http://[::ffff:10.0.0.1]/",
        "http://[::]/",
        "http://167772161/",
    ],
)
def test_an_address_outside_is_refused_and_told_what_to_change(url: str) -> None:
    with pytest.raises(AddressRefused, match="SCRAPER_ALLOWED_NETWORKS") as refused:
        addresses.check(url, networks=LOOPBACK, hosts=())
    assert "127.0.0.0/8, ::1/128" in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "127.0.0.1/x",
        "//127.0.0.1/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "http:///x",
        "http://:80/",
        "http://127.0.0.1:0/",
        "http://127.0.0.1:99999/",
        "http://127.0.0.1:x/",
        "http://[::1/",
        "http://user@127.0.0.1/",
        "http://user:pass@127.0.0.1/",
        "http://@127.0.0.1/",
        "http://127.0.0.1\\@10.0.0.1/",
        "http://127.0.0.1\\x",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nHost: x",
        "http://127.0.0.1/ñ",
        " http://127.0.0.1/",
        "http://a..b/",
        f"http://{'a' * 64}.example/",
    ],
)
def test_what_is_not_plainly_an_address_is_refused(url: str) -> None:
    with pytest.raises(AddressRefused):
        addresses.check(url, networks=(ip_network("0.0.0.0/0"), ip_network("::/0")), hosts=())


def test_a_name_must_lead_to_allowed_addresses_only(names: dict[str, list[str]]) -> None:
    names["scraper.test"] = ["127.0.0.5", "::1"]
    addresses.check("http://scraper.test/", networks=LOOPBACK, hosts=())
    names["scraper.test"].append("10.0.0.1")
    with pytest.raises(AddressRefused, match=r"scraper\.test is at 10\.0\.0\.1"):
        addresses.check("http://scraper.test/", networks=LOOPBACK, hosts=())


def test_a_name_that_does_not_exist_is_refused_as_that(names: dict[str, list[str]]) -> None:
    with pytest.raises(NameUnknown, match=r"gone\.test cannot be looked up"):
        addresses.check("http://gone.test/", networks=LOOPBACK, hosts=("other.test",))


@pytest.mark.parametrize("host", ["scraper.test", "SCRAPER.test", "scraper.test.", "a.farm.test"])
def test_an_allowed_name_may_be_anywhere_and_needs_no_look_up(
    names: dict[str, list[str]], host: str
) -> None:
    hosts = ("Scraper.test", ".farm.test")
    addresses.check(f"http://{host}/", networks=(), hosts=hosts)
    names[host.lower()] = ["203.0.113.9"]
    assert addresses.resolve(f"http://{host}/", networks=(), hosts=hosts) == ["203.0.113.9"]


@pytest.mark.parametrize("host", ["xscraper.test", "a.scraper.test", "farm.test.evil.test", "test"])
def test_a_name_that_only_looks_like_an_allowed_one_is_looked_up(
    names: dict[str, list[str]], host: str
) -> None:
    names[host] = ["203.0.113.9"]
    with pytest.raises(AddressRefused, match=r"203\.0\.113\.9"):
        addresses.check(f"http://{host}/", networks=LOOPBACK, hosts=("scraper.test", ".farm.test"))


def test_the_settings_hold_where_nothing_else_is_said(
    names: dict[str, list[str]], settings: Any
) -> None:
    names["scraper.test"] = ["10.1.2.3"]
    settings.SCRAPER_ALLOWED_NETWORKS, settings.SCRAPER_ALLOWED_HOSTS = (), []
    with pytest.raises(AddressRefused, match=r"\(none\)"):
        addresses.check("http://scraper.test/")
    settings.SCRAPER_ALLOWED_NETWORKS = (ip_network("10.0.0.0/8"),)
    addresses.check("http://scraper.test/")
    settings.SCRAPER_ALLOWED_NETWORKS, settings.SCRAPER_ALLOWED_HOSTS = (), ["scraper.test"]
    addresses.check("http://scraper.test/")
