"""A booted host: a real system that restarts, loses its power, and is cut off."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import time
from pathlib import Path

from tests.lab.commands import PLAIN, ROOT, LabError, module
from tests.lab.keeper import RESTARTS
from tests.lab.network import Line, Network
from tests.lab.slow_line import Quality

BOOT_LIMIT_S = 90.0
RUN_LIMIT_S = 300.0
END_LIMIT_S = 20.0


class Host:
    """Boots as soon as it is made; whatever needs it up waits until it is."""

    def __init__(self, name: str, *, asked: bytes, console: Path) -> None:
        self.name = name
        self.boots = 0
        """How often it has been up."""
        self._console = console
        self._leader = 0
        self._last = {"event": "", "status": 0}
        self._said = b""
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--net", *module("keeper", asked.decode())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            cwd=ROOT,
        )

    @property
    def keeper(self) -> int:
        """The process that the host lives and ends with."""
        return self._keeper.pid

    def connect(self, network: Network, number: int) -> None:
        """Lay the line to the bridge, then switch it on."""
        self._await("off", within_s=BOOT_LIMIT_S)
        self.line = Line(network, number, keeper=self._keeper.pid)
        self.start()

    def run(self, *command: str, said: str = "", within_s: float = RUN_LIMIT_S) -> str:
        """Run a command that must succeed, as root; return what it printed.

        Raises:
            LabError: it ended with another status.
        """
        ran = self.attempt(*command, said=said, within_s=within_s)
        if ran.returncode:
            raise LabError(
                f"{self.name}: {' '.join(command)} ended with {ran.returncode}:"
                f" {ran.stdout[-1000:]} {ran.stderr[-2000:]}"
            )
        return ran.stdout

    def attempt(
        self, *command: str, said: str = "", within_s: float = RUN_LIMIT_S
    ) -> subprocess.CompletedProcess[str]:
        """Run a command, as root; return how it ended."""
        self.await_boot(1)
        spaces = ("--mount", "--uts", "--ipc", "--net", "--pid", "--cgroup")
        return subprocess.run(
            ["nsenter", f"--target={self._leader}", *spaces, "--root", "--wd", "--", *command],
            input=said,
            capture_output=True,
            text=True,
            timeout=within_s,
            check=False,
            env={**PLAIN, "PATH": f"/usr/local/bin:{PLAIN['PATH']}", "HOME": "/root"},
        )

    @property
    def boot_id(self) -> str:
        return self.run("cat", "/proc/sys/kernel/random/boot_id").strip()

    @property
    def machine_id(self) -> str:
        return self.run("cat", "/etc/machine-id").strip()

    def restart(self) -> None:
        """Restart it by its own means, and wait until it is up."""
        boots = self.boots
        self.run("systemctl", "--no-block", "reboot")
        self.await_boot(boots + 1)

    def stop(self) -> None:
        """Press the power button: it goes down in good order."""
        self.await_boot(1)
        self._tell("stop")
        self._await("off", within_s=BOOT_LIMIT_S)

    def power_cut(self) -> None:
        """Take its power away: no process of it gets a word in."""
        self._tell("kill")
        self._await("off", within_s=END_LIMIT_S)

    def start(self) -> None:
        """Switch it on."""
        self._tell("start")

    def await_boot(self, boots: int) -> None:
        """Wait until it is up, and has been so as often as this."""
        deadline = time.monotonic() + BOOT_LIMIT_S
        while not (self._leader and self.boots >= boots):
            self._hear(deadline)

    def cut(self) -> None:
        """Pull its plug out of the network."""
        self.line.cut()

    def worsen(self, quality: Quality) -> None:
        """Give it a bad line."""
        self.line.worsen(quality)

    def mend(self) -> None:
        """Give it a good line again."""
        self.line.mend()

    def console(self) -> str:
        """What it printed to its console, in all boots."""
        return Path(f"/proc/{self._keeper.pid}/root{self._console}").read_text(errors="replace")

    def end(self) -> None:
        """Take it away, with everything that it wrote."""
        with self._keeper, contextlib.suppress(BrokenPipeError):
            if self._keeper.stdin is not None:
                self._keeper.stdin.close()
            try:
                self._keeper.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._keeper.kill()

    def _tell(self, word: str) -> None:
        if self._keeper.stdin is None:
            raise LabError(f"{self.name} has ended")
        self._keeper.stdin.write(f"{word}\n".encode())
        self._keeper.stdin.flush()

    def _await(self, event: str, *, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while self._last["event"] != event:
            self._hear(deadline)

    def _hear(self, deadline: float) -> None:
        """Take one piece of news from the keeper."""
        if self._keeper.stdout is None:
            raise LabError(f"{self.name} has ended")
        source = self._keeper.stdout.fileno()
        while b"\n" not in self._said:
            ready, _, _ = select.select([source], [], [], max(0.0, deadline - time.monotonic()))
            piece = os.read(source, 4096) if ready else b""
            if not piece:
                raise LabError(f"{self.name} is not where it should be: {self._tail()}")
            self._said += piece
        line, _, self._said = self._said.partition(b"\n")
        self._last = json.loads(line)
        if self._last["event"] == "ready":
            self._leader, self.boots = int(self._last["leader"]), int(self._last["boot"])
        else:
            self._leader = 0
            if self._last["status"] not in (0, RESTARTS):
                raise LabError(f"{self.name} ended with {self._last['status']}: {self._tail()}")

    def _tail(self) -> str:
        try:
            return self.console()[-2000:]
        except OSError as error:
            return f"its console cannot be read ({error})"
