"""Which addresses a server may speak to when somebody else says which (S27)."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


def plain(place: Address) -> Address:
    """Return the address that an IPv6 one only wraps."""
    return getattr(place, "ipv4_mapped", None) or getattr(place, "sixtofour", None) or place


def may_be_asked(place: Address, host: str, *, is_named: bool) -> bool:
    """Say whether an address may be spoken to.

    This very machine only if it was named as that: another name for it is a trick.
    """
    if _is_nobodys(place):
        return False
    if place.is_loopback:
        return is_named and host in ("localhost", str(place))
    return is_named or place.is_global


def may_be_told(place: Address, inside: Iterable[Network]) -> bool:
    """Say whether an address may be told something: public ones, and those inside that are let."""
    if any(place in network for network in inside):
        return not (place.is_multicast or place.is_unspecified or place.is_link_local)
    return place.is_global and not _is_nobodys(place)


def _is_nobodys(place: Address) -> bool:
    return place.is_link_local or place.is_multicast or place.is_unspecified or place.is_reserved
