"""Addresses of those who ask."""

from __future__ import annotations

import ipaddress


def counted_as(host: str | None) -> str:
    """What an address is counted under: of IPv6 the network, as one subscriber has a whole /64 of it."""
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return str(address.ipv4_mapped)
        return str(ipaddress.ip_network((address, 64), strict=False))
    return str(address)
