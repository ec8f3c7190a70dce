"""Fetching from a server that does what it wants, and from addresses that nobody should ask."""

from __future__ import annotations

import ssl
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest
import trustme

from patchtide.adapters.feeds.errors import FeedDamaged, FeedUnreachable
from patchtide.adapters.feeds.web import Account, Validators, Web
from patchtide.domain.errors import PatchtideError
from tests.simulator.scripted_web import Answering, ScriptedWeb, endless, says


@pytest.fixture
def server() -> Iterator[ScriptedWeb]:
    with ScriptedWeb() as made:
        yield made


def test_what_is_known_already_is_not_sent_again(server: ScriptedWeb) -> None:
    server.paths["/a"] = says(b"text", ETag='"1"', Last_Modified="Mon, 02 Mar 2026 12:00:00 GMT")
    web = Web([server.address])

    first = web.get(f"{server.address}/a", most=10)
    server.paths["/a"] = says(b"", 304)
    again = web.get(f"{server.address}/a", most=10, known=first.validators)

    assert (first.body, again.body, again.validators) == (b"text", None, first.validators)
    sent = server.asked[-1][1]
    assert sent["If-None-Match"] == '"1"' and sent["If-Modified-Since"].startswith("Mon,")


def test_a_file_goes_on_where_it_broke_off(server: ScriptedWeb, tmp_path: Path) -> None:
    web, path = Web([server.address]), tmp_path / "part"
    server.paths["/a"] = says(b"begun, ")
    with pytest.raises(FeedUnreachable, match="ended after 7 of 17"):
        web.continue_file(f"{server.address}/a", path, size=17)

    server.paths["/a"] = says(b"and ended.", 206, Content_Range="bytes 7-16/17")
    web.continue_file(f"{server.address}/a", path, size=17)

    assert path.read_bytes() == b"begun, and ended."
    assert server.asked[-1][1]["Range"] == "bytes=7-"


@pytest.mark.parametrize(
    "answer",
    [says(b"the whole of it.."), says(b"the whole of it..", Content_Range="bytes 0-16/17")],
    ids=["no ranges", "a range that nobody asked for"],
)
def test_a_server_that_knows_no_ranges_is_taken_from_the_start(
    server: ScriptedWeb, tmp_path: Path, answer: Answering
) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"something")
    server.paths["/a"] = answer

    Web([server.address]).continue_file(f"{server.address}/a", path, size=17)

    assert path.read_bytes() == b"the whole of it.."


def test_a_body_without_an_end_is_left_at_its_limit(server: ScriptedWeb, tmp_path: Path) -> None:
    server.paths["/a"] = endless
    web = Web([server.address])

    with pytest.raises(FeedDamaged):
        web.get(f"{server.address}/a", most=1 << 20)
    with pytest.raises(FeedDamaged):
        web.continue_file(f"{server.address}/a", tmp_path / "part", size=1 << 20)
    assert (tmp_path / "part").stat().st_size <= 1 << 20


def test_a_body_that_takes_too_long_is_left(server: ScriptedWeb) -> None:
    server.paths["/a"] = endless
    ticks = iter(range(0, 10_000_000, 100))
    web = Web([server.address], total_s=1000, monotonic=lambda: float(next(ticks)))

    with pytest.raises(FeedUnreachable, match="takes longer"):
        web.get(f"{server.address}/a", most=1 << 40)


def test_a_body_that_comes_by_the_byte_is_left_in_time_too(server: ScriptedWeb) -> None:
    def drips(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        with suppress(OSError):
            while True:
                handler.wfile.write(b"a")
                time.sleep(0.05)

    server.paths["/a"] = drips
    began = time.monotonic()

    with pytest.raises(FeedUnreachable, match="takes longer"):
        Web([server.address], total_s=0.3).get(f"{server.address}/a", most=1 << 20)
    assert time.monotonic() - began < 5


def test_what_has_come_stays_when_a_server_is_only_busy(
    server: ScriptedWeb, tmp_path: Path
) -> None:
    path = tmp_path / "part"
    path.write_bytes(b"begun, ")
    server.paths["/a"] = says(b"", 503)

    with pytest.raises(FeedUnreachable, match="answered 503"):
        Web([server.address]).continue_file(f"{server.address}/a", path, size=17)

    assert path.read_bytes() == b"begun, "


@pytest.mark.parametrize("named", ["http://[", "http://[::1", "http://host:port/"])
def test_an_address_that_is_none_is_an_error_of_that_address_alone(named: str) -> None:
    with pytest.raises(FeedUnreachable):
        Web([named])
    with pytest.raises(FeedUnreachable):
        Web([]).get(named, most=10)


REDIRECTS: dict[str, tuple[str, str]] = {
    "this machine": ("http://127.0.0.1:1/", "leads to 127.0.0.1"),
    "this machine by name": ("http://localhost:1/", "leads to"),
    "this machine in six": ("http://[::1]:1/", "leads to ::1"),
    "this machine wrapped": ("http://[::ffff:127.0.0.1]:1/", "leads to 127.0.0.1"),
    "this machine as a number": ("http://2130706433:1/", "leads to 127.0.0.1"),
    "nowhere": ("http://0:1/", "leads to 0.0.0.0"),
    "the cloud's own": ("http://169.254.169.254/latest", "leads to 169.254.169.254"),
    "a private one": ("http://10.0.0.1/", "leads to 10.0.0.1"),
    "a file": ("file:///etc/passwd", "no https or http"),
    "no address": ("http://[", "leads to no address"),
    "another protocol": ("gopher://127.0.0.1:70/", "no https or http"),
}


@pytest.mark.parametrize(("target", "said"), REDIRECTS.values(), ids=REDIRECTS)
def test_a_redirect_leads_nowhere_inside(server: ScriptedWeb, target: str, said: str) -> None:
    server.paths["/a"] = says(b"", 302, Location=target)

    with pytest.raises(FeedUnreachable, match=said):
        Web([server.address]).get(f"{server.address}/a", most=10)


def test_a_redirect_within_the_named_server_is_followed_and_a_circle_ends(
    server: ScriptedWeb,
) -> None:
    server.paths |= {"/a": says(b"", 301, Location="/b"), "/b": says(b"here")}
    server.paths["/c"] = says(b"", 301, Location="/c")
    web = Web([server.address])

    assert web.get(f"{server.address}/a", most=10).body == b"here"
    with pytest.raises(FeedUnreachable, match="redirects"):
        web.get(f"{server.address}/c", most=10)


NAMES: dict[str, tuple[str, list[str], str]] = {
    "a name for this machine": ("http://toys.invalid", ["127.0.0.1"], "127.0.0.1"),
    "a name with a second face": ("http://toys.invalid", ["10.0.0.1", "::1"], "::1"),
    "a name for the cloud's own": ("http://toys.invalid", ["169.254.169.254"], "169.254"),
    "a name for nothing": ("http://toys.invalid", [], "no address"),
}


@pytest.mark.parametrize(("address", "places", "said"), NAMES.values(), ids=NAMES)
def test_a_named_host_is_no_way_to_this_machine(address: str, places: list[str], said: str) -> None:
    with pytest.raises(FeedUnreachable, match=said):
        Web([address], resolve=lambda *_: places).get(address, most=10)


def test_a_name_that_changes_its_mind_is_asked_once_for_each_request(server: ScriptedWeb) -> None:
    port = server.port
    answers = iter([["127.0.0.1"], ["169.254.169.254"]])
    web = Web([f"http://localhost:{port}"], resolve=lambda *_: next(answers))
    server.paths["/a"] = says(b"here")

    assert web.get(f"http://localhost:{port}/a", most=10).body == b"here"
    assert next(answers) == ["169.254.169.254"]


def test_no_error_tells_an_account(server: ScriptedWeb) -> None:
    server.paths["/a?token=secret"] = says(b"", 500)
    address = server.address.replace("http://", "http://me:secret@")
    web = Web([address], Account(user="me", password="secret"))

    with pytest.raises(PatchtideError) as refused:
        web.get(f"{address}/a?token=secret", most=10, known=Validators())
    assert "secret" not in str(refused.value)
    assert "authorization" not in map(str.lower, server.asked[-1][1])  # for the line is open


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def context(authority: trustme.CA, name: str, *, asks: bool = False) -> ssl.SSLContext:
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(made)
    if asks:
        made.verify_mode = ssl.CERT_REQUIRED
        authority.configure_trust(made)
    return made


def here(*_: object) -> list[str]:
    return ["127.0.0.1"]


def test_a_name_is_verified_though_an_address_is_spoken_to(
    authority: trustme.CA, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    for name, trusted, said in (
        ("localhost", ca, None),
        ("localhost", None, "certificate"),
        ("other.invalid", ca, "certificate"),
    ):
        with ScriptedWeb(tls=context(authority, name)) as web:
            web.paths["/a"] = says(b"here")
            asking = Web([web.address], Account(ca=trusted), resolve=here)
            if said is None:
                assert asking.get(f"{web.address}/a", most=10).body == b"here"
            else:
                with pytest.raises(FeedUnreachable, match=said):
                    asking.get(f"{web.address}/a", most=10)


def test_who_asks_shows_its_account_and_certificate_to_named_hosts_only(
    authority: trustme.CA, tmp_path: Path
) -> None:
    ca, own = tmp_path / "ca.pem", tmp_path / "own.pem"
    authority.cert_pem.write_to_path(str(ca))
    authority.issue_cert("server.invalid").private_key_and_cert_chain_pem.write_to_path(str(own))
    account = Account(user="me", password="secret", ca=ca, certificate=own, certificate_key=own)
    with ScriptedWeb(tls=context(authority, "localhost", asks=True)) as web:
        web.paths["/a"] = says(b"here")
        named = Web([web.address], account, resolve=here).get(f"{web.address}/a", most=10)
        without = Web([web.address], Account(ca=ca), resolve=here)

        with pytest.raises(FeedUnreachable):
            without.get(f"{web.address}/a", most=10)

    assert named.body == b"here"
    assert web.asked[0][1]["authorization"] == "Basic bWU6c2VjcmV0"


def test_a_password_is_shown_to_those_alone_that_it_is_for(
    authority: trustme.CA, tmp_path: Path
) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with ScriptedWeb(tls=context(authority, "localhost")) as web:
        web.paths["/a"] = says(b"here")
        for hosts, shown in (((web.address,), True), (("https://other.invalid",), False)):
            account = Account(user="me", password="secret", hosts=hosts, ca=ca)
            named = [web.address, "https://other.invalid"]
            Web(named, account, resolve=here).get(f"{web.address}/a", most=10)

            assert ("authorization" in web.asked[-1][1]) is shown


def test_an_open_line_is_no_place_to_be_led_to(authority: trustme.CA, tmp_path: Path) -> None:
    ca = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca))
    with ScriptedWeb(tls=context(authority, "localhost")) as web:
        web.paths["/a"] = says(b"", 302, Location="http://mirror.invalid/a")

        with pytest.raises(FeedUnreachable, match="not https any more"):
            Web([web.address], Account(ca=ca), resolve=here).get(f"{web.address}/a", most=10)
