"""Which addresses are the public internet. No Django in here: isolated workers ask it too."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address
# What is given out of IPv6; in here are two ways to write an address of IPv4.
GLOBAL = IPv6Network("2000::/3")
# Where clouds tell their machines what is nobody else's business, at addresses that look public.
CLOUDS = (IPv4Network("192.0.0.0/24"), IPv4Network("168.63.129.16/32"))


def unmapped(address: str | Address) -> Address:
    """An IPv4 address in IPv6 spelling is judged as what it is."""
    ip = ip_address(address)
    return getattr(ip, "ipv4_mapped", None) or ip


def is_public(address: str | Address) -> bool:
    """Whether anybody can reach it: no network of ours, of this machine's, or of a cloud's own."""
    ip = unmapped(address)
    if isinstance(ip, IPv6Address) and (ip not in GLOBAL or ip.sixtofour or ip.teredo):
        return False
    if any(ip in network for network in CLOUDS):
        return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)
