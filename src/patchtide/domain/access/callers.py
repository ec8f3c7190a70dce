"""For whom something is counted that a stranger may do only so often."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address


def caller_key(address: str) -> str:
    """Return the address, of IPv6 its network: whoever has one address there has all of them."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
