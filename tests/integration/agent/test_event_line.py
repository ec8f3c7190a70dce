"""The server's word that there is something new reaches an idle agent, which stays small."""

from __future__ import annotations

import base64
import json
import os
import re
import select
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest
import trustme

from patchtide.entry.agent import doorbell
from patchtide.entry.agent.doorbell import Doorbell
from tests.simulator.site_process import SiteProcess, site

ROOT = Path(__file__).resolve().parents[3]
LIMIT_KB = 45 * 1024


def wait_for(condition: Callable[[], bool], timeout_s: float = 40.0) -> None:
    until = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.1)


def children(pid: int) -> list[int]:
    return [int(n) for n in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def command_line(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()


def resident_kb(pid: int) -> int:
    found = re.search(r"VmRSS:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())
    assert found is not None
    return int(found[1])


def is_alive(pid: int) -> bool:
    try:
        return ") Z" not in Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False


@dataclass
class Running:
    server: SiteProcess
    loop: subprocess.Popen[str]

    def listeners(self) -> list[int]:
        found = children(self.loop.pid)
        return [pid for pid in found if "patchtide.entry.agent.listen" in command_line(pid)]

    def reported(self) -> int:
        said = self.server.tell("states")
        return int(said["required"] + said["installed"])


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Running]:
    """An agent that has reported and listens; its next poll is an hour away."""
    packages = {f"pkg-{n}": "1.0-1" for n in range(100)}
    described = {"os_id": "debian", "os_version": "12", "shards": ["debian-12"]}
    (tmp_path / "machine.json").write_text(json.dumps({**described, "packages": packages}))
    (tmp_path / "machine-id").write_text("0123456789abcdef" * 2)
    options = ["--state", str(tmp_path / "state")]
    options += ["--machine-id-file", str(tmp_path / "machine-id")]
    agent = [sys.executable, "-m", "patchtide.entry.agent"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    with site(tmp_path / "home", f"sqlite:///{tmp_path}/home/patchtide.db") as server:
        server.tell("publish 10")
        token = server.tell("token 1")["token"] + "\n"
        enrol = [*agent, "enrol", *options, "--server", server.url, "--token-file", "-"]
        subprocess.run(enrol, input=token, text=True, env=environment, check=True, timeout=60)
        run = [*agent, "run", *options, "--platform", f"simulated:{tmp_path / 'machine.json'}"]
        with subprocess.Popen(run, text=True, env=environment) as loop:
            found = Running(server, loop)
            try:
                wait_for(lambda: server.tell("listening")["machines"] == 1)
                wait_for(lambda: found.reported() == 10)
                wait_for(lambda: children(loop.pid) == found.listeners())
                yield found
            finally:
                loop.kill()


def test_a_publication_brings_the_news_at_once_and_loop_and_listener_stay_small(
    running: Running,
) -> None:
    [listener] = running.listeners()
    mapped = Path(f"/proc/{running.loop.pid}/maps").read_text()
    small = resident_kb(running.loop.pid) + resident_kb(listener)
    print(f"loop {resident_kb(running.loop.pid)} KB, listener {resident_kb(listener)} KB")

    running.server.tell("publish 5")
    wait_for(lambda: running.reported() == 15, timeout_s=15)

    assert small <= LIMIT_KB
    for library in ("libssl", "_ssl", "sqlite", "cryptography", "msgspec"):
        assert library not in mapped
    for library in ("sqlite", "cryptography", "msgspec"):
        assert library not in Path(f"/proc/{listener}/maps").read_text()


def test_a_killed_agent_leaves_no_listener_behind(
    running: Running,
) -> None:
    [listener] = running.listeners()

    running.loop.send_signal(signal.SIGKILL)
    running.loop.wait()

    wait_for(lambda: not is_alive(listener), timeout_s=5)


def test_a_stop_takes_the_listener_with_it(running: Running) -> None:
    [listener] = running.listeners()

    running.loop.terminate()

    assert running.loop.wait(10) == 0
    assert not is_alive(listener)


def ended(bell: Doorbell) -> None:
    """Wait until the listener has ended and the bell knows it."""
    while bell.reader >= 0:
        select.select([bell.reader], [], [], 10)
        assert not bell.heard()


CA = ssl.PEM_cert_to_DER_cert(trustme.CA().cert_pem.bytes().decode())


def a_request(port: int) -> bytes:
    """Return what `knock` says, for a site whose authority nobody here has."""
    ca = base64.b64encode(CA).decode()
    said = {"host": "127.0.0.1", "port": port, "ca": ca, "request": "GET / HTTP/1.1\r\n\r\n"}
    return json.dumps(said).encode() + b"\n"


def test_pauses_grow_and_are_never_the_same_for_two_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(doorbell, "FIRST_PAUSE_S", 8.0)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    waits = []
    for _ in range(2):
        bell = Doorbell()
        for _ in range(3):
            bell.hang(a_request(port))
            ended(bell)
            assert not bell.is_due()
        waits.append(bell.wait_s())

    assert all(8 < wait <= 48 for wait in waits)
    assert waits[0] != pytest.approx(waits[1], abs=0.001)


class Hello(BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked.append(self.path)

    def log_message(self, format: str, *args: object) -> None: ...


class Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        del request, client_address  # failed handshakes are what is tested


def test_a_server_that_cannot_show_who_it_is_is_told_nothing() -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    trustme.CA().issue_cert("127.0.0.1").configure_cert(context)
    with Quiet(("127.0.0.1", 0), Hello) as server:
        server.socket = context.wrap_socket(
            server.socket, server_side=True, do_handshake_on_connect=False
        )
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        bell = Doorbell()
        bell.hang(a_request(server.server_address[1]))
        ended(bell)
        server.shutdown()

    assert Hello.asked == []
