"""Keeps one host: its mount and network namespaces, its boots. Runs as a process of its own.

The laboratory starts it under `unshare --mount --net`, so the host's file system and network live
exactly as long as this process, whether the host is on or off, and nothing of them is left behind
when it dies: what the host writes is in memory. It is told what to do by words on standard input
(`start`, `stop`, `kill`) and says what happened by JSON lines on standard output. When the input
ends, whoever asked for the host is gone: the host is ended too.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import msgspec

from tests.lab import cgroups
from tests.lab.commands import die_with_parent, run

RESTARTS = 133
"""How systemd-nspawn ends when the host asked for a restart."""

POWER_OFF = signal.SIGTERM
_NEWS = "\0patchtide-lab"
"""Where boots tell how far they are: a name in this network namespace, in no folder."""
_NOTED = Path("/run/systemd/nspawn")


class Asked(msgspec.Struct, kw_only=True, frozen=True):
    """What the laboratory wants."""

    host: str
    group: str
    lower: str
    """The root that hosts share."""
    place: str
    """An empty folder; the host's own files are mounted there, for this process alone."""
    memory_mib: int
    binds: dict[str, str]
    """What of the machine is to be seen in the host, read-only: here -> there."""
    files: dict[str, str]
    """Path in the host -> text. Those below a folder named `bin` can be run."""


class Keeper:
    """One host that can be started, stopped, cut off from power, and that restarts by itself."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked
        self._place = Path(asked.place)
        self._ready = selectors.DefaultSelector()
        self._process: subprocess.Popen[bytes] | None = None
        self._container = 0
        self._boots = 0
        self._power_is_cut = False
        # A notification says how far the boot is, so nobody has to ask again and again.
        self._news = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._news.bind(_NEWS)
        self._ready.register(self._news, selectors.EVENT_READ, self._heard)
        self._ready.register(sys.stdin, selectors.EVENT_READ, self._told)

    def serve(self) -> None:
        """Work until the input ends."""
        while True:
            for key, _ in self._ready.select():
                act: Callable[[], None] = key.data
                act()

    def _told(self) -> None:
        for word in os.read(sys.stdin.fileno(), 4096).decode().split() or ["end"]:
            match word:
                case "start" if self._process is None:
                    self._start()
                case "stop" if self._container:
                    _signal(self._container, POWER_OFF)
                case "kill":
                    self._kill()
                case "end":
                    self._end()

    def _start(self) -> None:
        self._boots += 1
        pairs = self._asked.binds.items()
        binds = [f"--bind-ro={_escaped(here)}:{_escaped(there)}" for here, there in pairs]
        with (self._place / "console").open("ab") as console:
            # What the first process of a namespace leaves behind is ended with it by the kernel.
            self._process = subprocess.Popen(
                [
                    *("unshare", "--pid", "--fork", "--kill-child", "--mount-proc"),
                    *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit"),
                    *("--settings=no", "--link-journal=no", "--resolv-conf=off", "--timezone=off"),
                    *("--console=read-only", "--notify-ready=yes"),
                    "--network-namespace-path=/proc/self/ns/net",
                    f"--machine={self._asked.host}",
                    f"--directory={self._place / 'root'}",
                    *binds,
                    "systemd.show_status=1",  # a boot that gets nowhere shows what it waits for
                ],
                stdin=subprocess.DEVNULL,
                stdout=console,
                stderr=console,
                env={**os.environ, "NOTIFY_SOCKET": _NEWS.replace("\0", "@"), "TERM": "dumb"},
                preexec_fn=die_with_parent,
                start_new_session=True,
            )
        ended = os.pidfd_open(self._process.pid)
        self._ready.register(ended, selectors.EVENT_READ, lambda: self._ended(ended))

    def _heard(self) -> None:
        lines = self._news.recv(4096).decode().splitlines()
        if "READY=1" not in lines or self._process is None:
            return
        for container in _children(self._process.pid):
            for leader in _children(container):  # none: it has ended, which is heard next
                self._container = container
                _say("ready", boot=self._boots, leader=leader)

    def _ended(self, descriptor: int) -> None:
        self._ready.unregister(descriptor)
        os.close(descriptor)
        status = self._process.wait() if self._process else 0
        # What a program says of one that was killed says nothing.
        status = 0 if self._power_is_cut else status
        self._process, self._container, self._power_is_cut = None, 0, False
        _say("off", boot=self._boots, status=status)
        if status == RESTARTS:
            self._start()

    def _kill(self) -> None:
        """Cut the power: nothing in the host gets a word in."""
        if self._process is not None:
            self._power_is_cut = True
            # The first of its namespace is not gone before all others there are.
            for pid in _children(self._process.pid) or [self._process.pid]:
                _signal(pid, signal.SIGKILL)

    def _end(self) -> None:
        self._kill()
        if self._process is not None:
            self._process.wait()
        cgroups.leave()
        cgroups.sweep()
        sys.exit(0)


def _escaped(path: str) -> str:
    return path.replace("\\", "\\\\").replace(":", "\\:")


def _children(pid: int) -> list[int]:
    try:
        listed = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    except OSError:  # it has ended
        return []
    return [int(child) for child in listed.split()]


def _signal(pid: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended by itself
        os.kill(pid, number)


def _say(event: str, **more: int) -> None:
    print(json.dumps({"event": event, **more}), flush=True)


def prepare(asked: Asked) -> None:
    """Lay the host's own, writable layer over the shared one, and put its first files there."""
    # Two laboratories may have hosts of the same name; what systemd-nspawn notes of them is apart.
    _NOTED.mkdir(parents=True, exist_ok=True)
    run("mount", "-t", "tmpfs", "patchtide-lab", "-o", "size=1m,mode=755", str(_NOTED))
    size = f"size={asked.memory_mib}m,mode=755"
    run("mount", "-t", "tmpfs", "patchtide-lab", "-o", size, asked.place)
    place = Path(asked.place)
    for name in ("upper", "work", "root"):
        (place / name).mkdir()
    layers = f"lowerdir={asked.lower},upperdir={place}/upper,workdir={place}/work"
    run("mount", "-t", "overlay", "patchtide-lab", "-o", layers, f"{place}/root")
    for name, text in asked.files.items():
        path = place / "root" / name.removeprefix("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(0o755 if "bin" in path.parts else 0o644)
    run("ip", "link", "set", "lo", "up")


def main() -> None:
    """`python -m tests.lab.keeper JSON`: what is `Asked`."""
    os.umask(0o022)  # whatever the test's is: the folders made here are the host's own
    asked = msgspec.json.decode(sys.argv[1], type=Asked)
    cgroups.enter(asked.group)
    prepare(asked)
    keeper = Keeper(asked)
    _say("off", boot=0, status=0)
    keeper.serve()


if __name__ == "__main__":
    main()
