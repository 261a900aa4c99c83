"""Where runs may go: hosts as providers and flows declare them, with `*.example.com` and ports."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address
from typing import Any
from urllib.parse import urlsplit

from django.utils.translation import gettext as _

from brain.rules.texts import shown
from orchestrator_site.sentences import told
from queues.browser import scripts, templating
from queues.browser.scripts import Step

Network = IPv4Network | IPv6Network
MOST_HOSTS = 100
_LABEL = r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?"
_HOST = re.compile(
    rf"(?P<wild>\*\.)?(?P<name>{_LABEL}(?:\.{_LABEL})*|\[[0-9a-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?"
)
# What a browser or a resolver reads as an address, whatever it looks like: 127.1, 0x7f.1.
_NUMERIC = re.compile(r"(?:.*\.)?(?:[0-9]+|0x[0-9a-f]*)")
_LOOPBACK = ip_address("127.0.0.1")


def host_problems(hosts: Any, networks: Sequence[Network]) -> list[str]:
    """What is wrong with a list of declared hosts, each with its place."""
    if not isinstance(hosts, list):
        return [_("hosts must be a list of names, such as *.example.com")]
    if len(hosts) > MOST_HOSTS:
        return [_("hosts: at most %(most)d") % {"most": MOST_HOSTS}]
    found = ((host, _problem(host, networks)) for host in hosts)
    return [f"hosts: “{shown(str(host))}”: {problem}" for host, problem in found if problem]


def _problem(host: Any, networks: Sequence[Network]) -> str:
    parts = _HOST.fullmatch(host) if isinstance(host, str) and len(host) <= 260 else None
    if parts is None:
        return _("write a name in small letters, with *. before it or a port after it, no address")
    if parts["port"] and not 0 < int(parts["port"]) < 65536:
        return _("there is no such port")
    name = parts["name"]
    if name.startswith("[") or _NUMERIC.fullmatch(name):
        return _address_problem(name.strip("[]"), bool(parts["wild"]), networks)
    if parts["wild"] and "." not in name:
        return _("a * takes in too much before a name of one part")
    if f".{name}".endswith(".localhost") and not _is_inside(_LOOPBACK, networks):
        return _("runs may not go to this machine itself")
    return ""


def _address_problem(text: str, is_wild: bool, networks: Sequence[Network]) -> str:
    try:
        ip = ip_address(text)
    except ValueError:
        return _("this is an address in disguise")
    if is_wild:
        return _("an address takes no *")
    if not _is_inside(getattr(ip, "ipv4_mapped", None) or ip, networks):
        return _("addresses are allowed within EGRESS_ALLOWED_NETWORKS only: write the name")
    return ""


def _is_inside(ip: Any, networks: Sequence[Network]) -> bool:
    return any(ip in network for network in networks)


def host_of(url: str) -> str:
    """The host of an address as it is declared: with its port, where that is not the usual one.
    "" where the address has none."""
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        return ""
    name = _in_brackets((parts.hostname or "").rstrip("."))
    return f"{name}:{port}" if name and port and port != _usual(parts.scheme) else name


def _usual(scheme: str) -> int:
    return 443 if scheme == "https" else 80


def _in_brackets(name: str) -> str:
    return f"[{name}]" if ":" in name else name


def is_declared(url: str, hosts: Iterable[str]) -> bool:
    """Whether an address is at one of the hosts; one declared without a port: at the usual ones
    or any other."""
    host = host_of(url)
    name, _bracket, _port = host.partition(":") if not host.startswith("[") else (host, "", "")
    return any(_covers(declared, host, name) for declared in hosts)


def _covers(declared: str, host: str, name: str) -> bool:
    if declared.startswith("*."):
        suffix = declared[1:]
        return host.endswith(suffix) or name.endswith(suffix)
    return declared in (host, name)


def is_cookie_domain(domain: str, hosts: Iterable[str]) -> bool:
    """Whether a cookie of this domain is for one of the hosts, and for nobody else's."""
    wanted = domain.lstrip(".").lower()
    return any(_is_of(wanted, _bare(declared)) for declared in hosts)


def _is_of(domain: str, host: str) -> bool:
    """The host's own, one above it (a site's cookie for all its names), or one below."""
    is_above = "." in domain and host.endswith(f".{domain}")
    return domain == host or is_above or domain.endswith(f".{host}")


def _bare(declared: str) -> str:
    """A declared host without its star and its port."""
    parts = _HOST.fullmatch(declared)
    return parts["name"] if parts else declared


def step_problems(steps: Sequence[Step], hosts: Sequence[str]) -> Iterator[str]:
    """Literal addresses outside of the hosts, each with its step. Those that begin with a
    placeholder are looked at when they are opened; what is no address is not this one's matter."""
    for number, step in enumerate(steps, 1):
        url = step.get("url") if step.get("do") == "navigate" else None
        if not isinstance(url, str) or not templating.is_web(url):
            continue
        host = host_of(url)
        if not host or "{" in host:
            problem = _("the host must be written out")
        elif not is_declared(url, hosts):
            facts = {"host": host, "hosts": ", ".join(hosts) or _("none")}
            problem = _("%(host)s is not among the hosts (%(hosts)s)") % facts
        else:
            continue
        yield told(f"{scripts.place(number, step)}: url: {problem}")
