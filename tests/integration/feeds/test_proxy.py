"""Feeds through a proxy: what it is shown, what is never asked of it, and where a way ends."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
import trustme

from patchtide.adapters.feeds.errors import FeedUnreachable
from patchtide.adapters.feeds.proxy import Proxy, read_proxy
from patchtide.adapters.feeds.web import Account, Web
from patchtide.entry.server.feed_process import FeedProcess, Through
from patchtide.server.ports.feed import Step
from tests.simulator.apt_repository import AptRepository, SigningKey, apt_folder, needs_apt
from tests.simulator.connect_proxy import ConnectProxy
from tests.simulator.rpm_repository import RpmSystem
from tests.simulator.scripted_web import ScriptedWeb, says

VENDOR = "vendor.invalid"
SECRET = "s/e:c r@t%"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def ca(authority: trustme.CA, tmp_path: Path) -> Path:
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


@pytest.fixture
def vendor(authority: trustme.CA) -> Iterator[ScriptedWeb]:
    """A server that only the proxy knows how to reach."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(VENDOR).configure_cert(tls)
    with ScriptedWeb(tls=tls) as made:
        made.paths["/a"] = says(b"here")
        yield made


@pytest.fixture
def account(tmp_path: Path) -> Path:
    path = tmp_path / "proxy-account"
    path.touch(0o600)
    path.write_text(f"me:{SECRET}\n")
    return path


def test_a_tunnel_leads_to_a_name_that_only_the_proxy_knows(
    vendor: ScriptedWeb, ca: Path, account: Path
) -> None:
    place = f"https://{VENDOR}:{vendor.port}"
    with ConnectProxy({VENDOR: vendor.port}, account=f"me:{SECRET}") as proxy:
        web = Web(
            [place],
            Account(user="customer", password="vendors", ca=ca),
            proxy=read_proxy(proxy.address, account),
        )
        answer = web.get(f"{place}/a", most=10)

    assert answer.body == b"here"
    assert proxy.asked == [("CONNECT", f"{VENDOR}:{vendor.port}", f"me:{SECRET}")]
    said = {name.lower(): value for name, value in vendor.asked[0][1].items()}
    assert "proxy-authorization" not in said and said["authorization"].startswith("Basic ")


def test_an_open_line_goes_through_it_too() -> None:
    with ScriptedWeb() as server, ConnectProxy({VENDOR: server.port}) as proxy:
        server.paths["/a"] = says(b"here")
        web = Web([f"http://{VENDOR}"], proxy=read_proxy(proxy.address))

        assert web.get(f"http://{VENDOR}/a", most=10).body == b"here"
    assert proxy.asked == [("GET", f"http://{VENDOR}/a", "")]


INSIDE = {
    "this machine": "http://127.0.0.1:1/",
    "this machine by name": "http://localhost:1/",
    "this machine under its name": "http://x.localhost:1/",
    "this machine in six": "http://[::1]:1/",
    "this machine wrapped": "http://[::ffff:127.0.0.1]:1/",
    "this machine as a number": "http://2130706433:1/",
    "the cloud's own": "http://169.254.169.254/latest",
    "a private one": "http://10.0.0.1/",
    "a private one by a name": "http://inside.invalid/",
    "a name that only the proxy knows": "http://unknown.invalid/",
}


@pytest.mark.parametrize("target", INSIDE.values(), ids=INSIDE)
def test_a_redirect_leads_nowhere_inside_through_a_proxy_either(target: str) -> None:
    def resolve(host: str, port: int) -> list[str]:
        if host == "inside.invalid":
            return ["10.0.0.2"]
        return [str(place[0]) for *_, place in socket.getaddrinfo(host, port)]

    with ScriptedWeb() as server:
        names = {VENDOR: server.port, "10.0.0.1": server.port, "inside.invalid": server.port}
        names["unknown.invalid"] = server.port
        server.paths["/a"] = says(b"", 302, Location=target)
        with ConnectProxy(names) as proxy:
            web = Web([f"http://{VENDOR}"], proxy=read_proxy(proxy.address), resolve=resolve)
            with pytest.raises(FeedUnreachable):
                web.get(f"http://{VENDOR}/a", most=10)

    assert [target for _, target, _ in proxy.asked] == [f"http://{VENDOR}/a"]


def test_this_machine_and_what_is_named_are_asked_directly() -> None:
    with ScriptedWeb() as server, ConnectProxy({}) as proxy:
        server.paths["/a"] = says(b"here")
        places = [server.address, f"http://direct.invalid:{server.port}"]
        web = Web(
            places,
            proxy=read_proxy(proxy.address, direct=["direct.invalid"]),
            resolve=lambda host, port: ["127.0.0.1"],
        )

        assert web.get(f"{places[0]}/a", most=10).body == b"here"
        with pytest.raises(FeedUnreachable, match=r"leads to 127\.0\.0\.1"):
            web.get(f"{places[1]}/a", most=10)
    assert proxy.asked == []


def dead_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


def step(web: Web, address: str) -> tuple[Step | None, str]:
    with pytest.raises(FeedUnreachable) as failed:
        web.get(address, most=10)
    return failed.value.step, str(failed.value)


def test_an_error_names_the_step_at_which_a_direct_way_ends(vendor: ScriptedWeb, ca: Path) -> None:
    here = lambda host, port: ["127.0.0.1"]  # noqa: E731
    vendor.paths |= {"/closed": says(b"", 401), "/none": says(b"", 404)}
    place = vendor.address
    known = Web([place], Account(ca=ca), resolve=here)
    dead = f"http://localhost:{dead_port()}"
    unsure = Web(["https://nowhere.invalid"])

    assert step(Web([dead]), f"{dead}/a")[0] is Step.CONNECTION
    assert step(unsure, "https://nowhere.invalid/a")[0] is Step.NAME
    assert step(Web([place], resolve=here), f"{place}/a")[0] is Step.TLS
    assert step(known, f"{place}/a")[0] is Step.TLS  # its certificate is for another name


def test_an_error_names_the_step_at_which_a_way_through_a_proxy_ends(
    vendor: ScriptedWeb, ca: Path
) -> None:
    vendor.paths |= {"/closed": says(b"", 401), "/none": says(b"", 404)}
    place = f"https://{VENDOR}:{vendor.port}"

    def through(proxy: Proxy) -> Web:
        return Web([place], Account(ca=ca), proxy=proxy)

    dead = f"http://127.0.0.1:{dead_port()}"
    with ConnectProxy({VENDOR: vendor.port}, account="me:other") as proxy:
        wants = step(through(read_proxy(proxy.address)), f"{place}/a")
    with ConnectProxy({}, refuses=403) as proxy:
        refuses = step(through(read_proxy(proxy.address)), f"{place}/a")
    with ConnectProxy({VENDOR: vendor.port}) as proxy:
        lets = through(read_proxy(proxy.address))
        closed, none = step(lets, f"{place}/closed"), step(lets, f"{place}/none")
        untrusted = step(Web([place], proxy=read_proxy(proxy.address)), f"{place}/a")
    gone = step(through(read_proxy(dead)), f"{place}/a")
    unknown = step(through(read_proxy("http://nowhere.invalid:3128")), f"{place}/a")

    found = [wants, refuses, closed, none, untrusted, gone, unknown]
    assert [at for at, _ in found] == [
        Step.ACCOUNT, Step.PROXY, Step.ACCOUNT, Step.STATUS, Step.TLS, Step.CONNECTION, Step.NAME,
    ]  # fmt: skip
    assert all(place in said for _, said in found)
    assert "(407)" in wants[1] and "proxy answered 403" in refuses[1] and "proxy" in gone[1]


def test_an_account_is_read_only_from_a_file_of_nobody_elses(account: Path) -> None:
    account.chmod(0o640)
    with pytest.raises(FeedUnreachable, match="others may read"):
        read_proxy("http://proxy", account)
    account.chmod(0o600)

    assert SECRET not in repr(read_proxy("http://proxy", account))
    with pytest.raises(ValueError, match="an account does not belong"):
        read_proxy("http://me:secret@proxy")
    with pytest.raises(ValueError, match="is no host"):
        read_proxy('http://pro"xy')  # it goes into apt's configuration
    assert read_proxy("http://[::1]:3128").address == "http://[::1]:3128"


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[tuple[AptRepository, Path]]:
    """A signed archive, and a root whose sources name it by a name that only a proxy knows."""
    with SigningKey("vendor") as key:
        made = AptRepository(folder=tmp_path / "archive", key=key)
        made.add("bookworm-security", "toy", "1.0-1+deb12u1")
        made.publish("bookworm-security", label="Debian-Security")
        keyring = key.keyring(tmp_path / "vendor.gpg")
        line = f"deb [signed-by={keyring}] http://{VENDOR}/ bookworm-security main"
        apt_folder(tmp_path / "root/etc/apt", line)
        yield made, tmp_path / "root"


@needs_apt
def test_apt_goes_the_same_way_and_the_secret_stays_where_it_is(
    archive: tuple[AptRepository, Path], account: Path, tmp_path: Path
) -> None:
    made, root = archive
    with (
        ScriptedWeb(made.folder) as server,
        ConnectProxy({VENDOR: server.port}, account=f"me:{SECRET}") as proxy,
    ):
        through = Through(proxy=proxy.address, account=account)
        process = FeedProcess(tmp_path / "spool", root=root, through=through, heard=lambda *_: None)
        process.fetch()
        tried = process.try_all()

    assert len(process.read(now=datetime.now(UTC)).shards["debian-12"]) == 1
    assert [(each.address, each.step) for each in tried] == [
        (f"http://{VENDOR}/dists/bookworm-security/InRelease", None)
    ]
    assert {shown for _, _, shown in proxy.asked} == {f"me:{SECRET}"}
    assert not any(SECRET in word for word in through.words())
    holding = [p for p in (tmp_path / "spool").rglob("*") if p.is_file() and _tells(p)]
    assert {p.name for p in holding} == {"apt.conf"}
    assert all(p.stat().st_mode & 0o077 == 0 for p in holding)


def _tells(path: Path) -> bool:
    data = path.read_bytes()
    return SECRET.encode() in data or b"s%2Fe%3Ac" in data


@needs_apt
def test_a_try_names_every_address_that_fails_and_why(
    archive: tuple[AptRepository, Path], tmp_path: Path
) -> None:
    made, root = archive
    dead = dead_port()
    lines = (f"deb http://{VENDOR}/ {suite} main" for suite in ("bookworm-security", "lost"))
    local = f"deb http://127.0.0.1:{dead}/ one main"
    apt_folder(root / "etc/apt", *lines, local, "deb file:/nowhere flat/")
    with ScriptedWeb(made.folder) as server, ConnectProxy({VENDOR: server.port}) as proxy:
        process = FeedProcess(
            tmp_path / "spool", root=root, through=Through(proxy=proxy.address), heard=print
        )
        tried = process.try_all()
    gone = FeedProcess(
        tmp_path / "other", root=root, through=Through(proxy=proxy.address), heard=print
    ).try_all()

    assert [each.step for each in tried] == [None, Step.STATUS, Step.CONNECTION]
    assert tried[1].address == f"http://{VENDOR}/dists/lost/InRelease" and "404" in tried[1].detail
    assert [each.step for each in gone] == [Step.CONNECTION] * 3


def test_repositories_are_tried_each_through_the_proxy(tmp_path: Path) -> None:
    system = RpmSystem(root=tmp_path / "root")
    for name in ("one", "two", "three"):
        system.source(name, f"https://{name}.invalid/repo")
    with ScriptedWeb() as server, ConnectProxy({"one.invalid": server.port}) as proxy:
        process = FeedProcess(
            tmp_path / "spool",
            kind="rpm",
            root=system.root,
            through=Through(proxy=proxy.address, direct=("three.invalid",)),
            heard=lambda *_: None,
        )
        tried = {each.address: each.step for each in process.try_all()}

    # The first one speaks no TLS, the second one the proxy does not know, the third is asked here.
    assert tried == {
        "https://one.invalid/repo/repodata/repomd.xml": Step.TLS,
        "https://two.invalid/repo/repodata/repomd.xml": Step.PROXY,
        "https://three.invalid/repo/repodata/repomd.xml": Step.NAME,
    }
