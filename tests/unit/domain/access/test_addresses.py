"""Where an address leads in the end is what is judged: also through a gateway into IPv4."""

from __future__ import annotations

from ipaddress import ip_address, ip_network

import pytest

from patchtide.domain.access.addresses import may_be_asked, may_be_told

INSIDE = {
    "its own network": "10.1.2.3",
    "a cloud's keys": "169.254.169.254",
    "spelled as IPv6": "::ffff:10.1.2.3",
    "through 6to4": "2002:a01:203::",
    "through NAT64": "64:ff9b::10.1.2.3",
    "through NAT64 to the cloud's keys": "64:ff9b::169.254.169.254",
    "through the site's own NAT64": "64:ff9b:1::10.1.2.3",
    "through the site's own NAT64, in its other place": "64:ff9b:1:a01:2:300::",
    "in the one place while the other is public": "64:ff9b:1:a01:2:300:808:808",
}


@pytest.mark.parametrize("text", INSIDE.values(), ids=INSIDE)
def test_what_leads_inside_is_not_told_and_not_asked_by_a_redirect(text: str) -> None:
    place = ip_address(text)

    assert not may_be_told(place, ())
    assert not may_be_asked(place, "feed.example", is_named=False)


@pytest.mark.parametrize(
    "text", ["8.8.8.8", "2606:4700::1111", "64:ff9b::8.8.8.8", "2002:808:808::"]
)
def test_what_leads_outside_is_told(text: str) -> None:
    assert may_be_told(ip_address(text), ())


def test_what_is_let_is_told_by_either_of_its_names_but_never_a_cloud_s_keys() -> None:
    through = ip_address("64:ff9b::10.1.2.3")
    gateway = [ip_network("64:ff9b::/96")]

    assert may_be_told(through, [ip_network("10.0.0.0/8")]) and may_be_told(through, gateway)
    assert not may_be_told(ip_address("64:ff9b::169.254.169.254"), gateway)
