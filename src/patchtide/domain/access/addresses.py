"""Which addresses a server may speak to when somebody else says which (S27)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network


_NAT64, _NAT64_HERE = IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48")
_NO_NETWORK = IPv4Network("0.0.0.0/8")


def plain(place: Address) -> Address:
    """Return the IPv4 address that an IPv6 one only spells otherwise."""
    return getattr(place, "ipv4_mapped", None) or place


def may_be_asked(place: Address, host: str, *, is_named: bool) -> bool:
    """Say whether an address may be spoken to.

    This very machine only if it was named as that: another name for it is a trick.
    """

    def may(one: Address) -> bool:
        if _is_nobodys(one):
            return False
        if one.is_loopback:
            return is_named and host in ("localhost", str(one))
        return is_named or one.is_global

    return all(map(may, _ends(place)))


def may_be_told(place: Address, inside: Iterable[Network]) -> bool:
    """Say whether an address may be told something: public ones, and those inside that are let."""
    let = tuple(inside)

    def may(one: Address) -> bool:
        if any(one in network or place in network for network in let):
            return not (one.is_multicast or one.is_unspecified or one.is_link_local)
        return one.is_global and not _is_nobodys(one)

    return all(map(may, _ends(place)))


def _ends(place: Address) -> Sequence[Address]:
    """Return where what is sent to an address comes out: a gateway may turn it into IPv4.

    A site's own gateway may have the IPv4 address in either of two places, so both are judged.
    """
    if isinstance(place, IPv4Address):
        return (place,)
    if inner := place.ipv4_mapped or place.sixtofour:
        return (inner,)
    number = int(place)
    found = [IPv4Address(number & 0xFFFF_FFFF)]
    if place in _NAT64:
        return found
    if place not in _NAT64_HERE:
        return (place,)
    # Bits 64 to 71 belong to nobody (RFC 6052).
    found.append(IPv4Address((number >> 64 & 0xFFFF) << 16 | number >> 40 & 0xFFFF))
    return [one for one in found if one not in _NO_NETWORK] or (place,)


def _is_nobodys(place: Address) -> bool:
    return place.is_link_local or place.is_multicast or place.is_unspecified or place.is_reserved
