"""What counts as a proxy of agents, and which hosts are reached without it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.errors import InvalidDocument
from patchtide.domain.sequencer.proxies import Proxy, proxy_of

GOOD = {
    "http://proxy:3128": "http://proxy:3128",
    "http://proxy.example.org": "http://proxy.example.org:3128",
    "http://10.0.0.1:8080/": "http://10.0.0.1:8080",
    "http://[2001:db8::1]:80": "http://[2001:db8::1]:80",
}
BAD = (
    "", "proxy:3128", "https://proxy:3128", "socks5://proxy:1080", "http://user:word@proxy:3128",
    "http://proxy:99999", "http://proxy:0", "http://proxy/path", "http://proxy?x=1", "http://",
    "http://pro\r\nxy:3128", "http://-proxy:3128", "http://[fe80::1%eth0]:3128",
)  # fmt: skip


@pytest.mark.parametrize(("text", "address"), GOOD.items())
def test_an_address_of_a_proxy(text: str, address: str) -> None:
    assert proxy_of(text).address == address


@pytest.mark.parametrize("text", BAD)
def test_no_address_of_a_proxy(text: str) -> None:
    with pytest.raises(InvalidDocument, match="proxy"):
        proxy_of(text)


@given(st.text(), st.text(), st.text(), st.lists(st.text(), max_size=3))
def test_whatever_is_told_makes_one_line_for_a_proxy_or_is_refused(
    address: str, user: str, password: str, direct: list[str]
) -> None:
    try:
        proxy = proxy_of(address or "http://proxy", user=user, password=password, direct=direct)
    except InvalidDocument:
        return
    said = f"{proxy.address} {proxy.user} {proxy.password}"
    assert not any(ord(c) < 32 or ord(c) == 127 for c in said)
    assert proxy_of(proxy.address, user=user, password=password, direct=proxy.direct) == proxy


WITHOUT = {
    "updates.example.org": True,
    "Updates.Example.ORG.": True,
    "a.intern.example.org": True,
    "intern.example.org": False,
    "notintern.example.org": False,
    "example.org": False,
}


@pytest.mark.parametrize(("host", "is_direct"), WITHOUT.items())
def test_hosts_that_are_reached_without_it(host: str, is_direct: bool) -> None:
    proxy = Proxy(host="p", port=1, direct=("updates.example.org", ".intern.example.org"))

    assert proxy.is_for(host) is not is_direct


def test_a_password_is_never_shown() -> None:
    shown = repr(proxy_of("http://proxy", user="agents", password="one word"))

    assert "one word" not in shown
