"""The network between hosts: a bridge in a namespace of its own, and lines that can be bad.

Nothing of it appears on this machine's own network. `python -m tests.lab.network MIRROR` holds the
namespace under `unshare --net` and serves the mirror there; it ends when its standard input does,
and the network with it.
"""

from __future__ import annotations

import functools
import json
import subprocess
import sys
import threading
from dataclasses import asdict
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import TracebackType

from tests.lab.commands import ROOT, LabError, module, run
from tests.lab.recipe import MIRROR
from tests.lab.slow_line import Quality

ADDRESS = MIRROR
BRIDGE = "bridge"
_HTTP = 80


class Line:
    """A host's line to the bridge. `keeper` is the process that has the other end."""

    def __init__(self, network: Network, number: int, *, keeper: int) -> None:
        self.address = f"10.231.0.{10 + number}"
        self._network = network
        self._port = f"port{number}"
        self._slow: subprocess.Popen[bytes] | None = None
        ends = f"netns {network.holder} type veth peer name eth0 netns {keeper}"
        run("ip", "link", "add", self._port, *ends.split())
        inside = ("nsenter", f"--net=/proc/{keeper}/ns/net", "ip")
        run(*inside, "address", "add", f"{self.address}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        network.ip(f"link set {self._port} master {BRIDGE}", f"link set {self._port} up")

    def cut(self) -> None:
        """Pull the plug: both ends notice at once."""
        self._network.ip(f"link set {self._port} down")

    def mend(self) -> None:
        """Make it a good line again, whatever was done to it."""
        self._network.ip(f"link set {self._port} master {BRIDGE}", f"link set {self._port} up")
        self.end()

    def worsen(self, quality: Quality) -> None:
        """Lead it through a bad line from now on."""
        self.end()
        aside, near, far = (f"{self._port}{part}" for part in ("aside", "near", "far"))
        asked = json.dumps({"near": near, "far": far, "quality": asdict(quality)})
        self._slow = subprocess.Popen(
            self._network.beside(*module("slow_line", asked)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        _await_word(self._slow)
        self._network.ip(
            f"link add {aside} type bridge",
            f"link set {near} master {aside}",
            f"link set {far} master {BRIDGE}",
            *(f"link set {name} up" for name in (aside, near, far)),
            f"link set {self._port} master {aside}",
        )

    def end(self) -> None:
        if self._slow is not None:
            _end(self._slow)
            self._slow = None
            self._network.ip(f"link delete {self._port}aside")


class Network:
    """The bridge. What runs `beside` it is reached by hosts at `ADDRESS`."""

    def __init__(self, mirror: Path) -> None:
        self._process = subprocess.Popen(
            ["unshare", "--net", *module("network", str(mirror))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )
        self.holder = self._process.pid

    def __enter__(self) -> Network:
        _await_word(self._process)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        _end(self._process)

    def beside(self, *command: str) -> list[str]:
        """Return the command that runs the given one with the bridge for its network."""
        return ["nsenter", f"--net=/proc/{self.holder}/ns/net", "--", *command]

    def ip(self, *lines: str) -> None:
        run(*self.beside("ip", "-batch", "-"), said="\n".join(lines) + "\n")


def _await_word(process: subprocess.Popen[bytes]) -> None:
    if process.stdout is None or not process.stdout.readline():
        raise LabError(f"{process.args!r} ended with {process.wait()}")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Close its input, which is how it knows; `with` waits for it."""
    with process:
        if process.stdin is not None:
            process.stdin.close()


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files and keeps silent about it: nobody reads a log that nobody asked for."""

    def log_message(self, format: str, *args: object) -> None:
        del format, args


def main() -> None:
    """Hold the network until standard input ends."""
    for words in (
        "link set lo up",
        f"link add {BRIDGE} type bridge",
        f"address add {ADDRESS}/24 dev {BRIDGE}",
        f"link set {BRIDGE} up",
    ):
        run("ip", *words.split())
    server = ThreadingHTTPServer((ADDRESS, _HTTP), functools.partial(_Quiet, directory=sys.argv[1]))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print("up", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
