"""The one check of addresses that people write: where this application may be sent to."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network
from urllib.parse import SplitResult, urlsplit

from django.conf import settings
from django.utils.http import is_same_domain
from django.utils.translation import gettext as _

from orchestrator_site.internet import Address, is_public, unmapped

SCHEMES = ("http", "https")
# What parsers read differently, a backslash or a line break, could hide another host.
WRITTEN = re.compile(r"[!-\[\]-~]+")


class AddressRefused(Exception):
    """This address must not be called; the text says what to change."""


class NameUnknown(AddressRefused):
    """The host's name cannot be looked up now."""


class OutsideNetworks(AddressRefused):
    """The host is at an address of none of the allowed networks."""


class PublicInternet:
    """All that is public, as a network among those that are allowed."""

    def __contains__(self, ip: Address) -> bool:
        return is_public(ip)

    def __str__(self) -> str:
        return _("the public internet")


Network = IPv4Network | IPv6Network | PublicInternet
PUBLIC = PublicInternet()


def check(
    url: str, *, networks: Iterable[Network] | None = None, hosts: Iterable[str] | None = None
) -> None:
    """Raises AddressRefused. A host that is allowed by its name is not looked up.

    None: the networks and hosts of the settings.
    """
    if not _is_named(_parsed(url), hosts):
        resolve(url, networks=networks, hosts=hosts)


def resolve(
    url: str, *, networks: Iterable[Network] | None = None, hosts: Iterable[str] | None = None
) -> list[str]:
    """The IP addresses of the host, each of them allowed: whoever calls must connect to these.

    A second look-up of the name could find others. Raises AddressRefused, NameUnknown.
    """
    parts = _parsed(url)
    found = _looked_up(parts)
    if not _is_named(parts, hosts):
        allowed = settings.SCRAPER_ALLOWED_NETWORKS if networks is None else tuple(networks)
        for address in found:
            _expect_inside(parts.hostname, address, allowed)
    return found


def _parsed(url: str) -> SplitResult:
    """The parts of an address that can only be read in one way."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(_("This is not an address: %s.") % error) from error
    if parts.scheme not in SCHEMES:
        raise AddressRefused(_("The address must begin with http:// or https://."))
    if "@" in parts.netloc:
        raise AddressRefused(_("The address must not hold a user or a password."))
    if not parts.hostname or port == 0 or not WRITTEN.fullmatch(url):
        raise AddressRefused(
            _("The address must name a host, and have neither spaces nor special characters.")
        )
    return parts


def _is_named(parts: SplitResult, hosts: Iterable[str] | None) -> bool:
    allowed = settings.SCRAPER_ALLOWED_HOSTS if hosts is None else hosts
    host = (parts.hostname or "").rstrip(".")
    return any(is_same_domain(host, pattern) for pattern in allowed)


def _looked_up(parts: SplitResult) -> list[str]:
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        text = _("%(host)s cannot be looked up: check the name, or the network.")
        raise NameUnknown(text % {"host": parts.hostname}) from error
    return list(dict.fromkeys(str(sockaddr[0]) for *_rest, sockaddr in found))


def _expect_inside(host: str | None, address: str, networks: Iterable[Network]) -> None:
    ip = unmapped(address)
    if any(ip in network for network in networks):
        return
    text = _(
        "%(host)s is at %(address)s, outside of the allowed networks (%(networks)s). Add its"
        " network to SCRAPER_ALLOWED_NETWORKS or its name to SCRAPER_ALLOWED_HOSTS."
    )
    told = ", ".join(map(str, networks)) or _("none")
    raise OutsideNetworks(text % {"host": host, "address": ip, "networks": told})
