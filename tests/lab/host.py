"""A booted host: a real system that restarts, loses its power, and is cut off."""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import tempfile
from pathlib import Path

from tests.lab.commands import PLAIN, ROOT, LabError, module
from tests.lab.keeper import RESTARTS
from tests.lab.network import Line, Network
from tests.lab.slow_line import Quality

SILENCE_LIMIT_S = 120
"""How long a host that is waited for may print nothing. Only seconds count in which this process
ran as well: where the whole machine stands still, no host is to blame."""
WAIT_LIMIT_S = 480
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
        self._complaints = tempfile.TemporaryFile()  # noqa: SIM115 - open as long as the host is
        self._keeper = subprocess.Popen(
            ["unshare", "--mount", "--net", *module("keeper", asked.decode())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._complaints,
            cwd=ROOT,
        )

    @property
    def keeper(self) -> int:
        """The process that the host lives and ends with."""
        return self._keeper.pid

    def connect(self, network: Network, number: int) -> None:
        """Lay the line to the bridge, then switch it on."""
        self._await("off")
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
        self._await("off")

    def power_cut(self) -> None:
        """Take its power away: no process of it gets a word in."""
        self._tell("kill")
        self._await("off")

    def start(self) -> None:
        """Switch it on."""
        self._tell("start")

    def await_boot(self, boots: int) -> None:
        """Wait until it is up, and has been so as often as this."""
        while not (self._leader and self.boots >= boots):
            self._hear()

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
        return self._console_file.read_bytes().decode(errors="replace").replace("\r", "")

    @property
    def _console_file(self) -> Path:
        return Path(f"/proc/{self._keeper.pid}/root{self._console}")

    def end(self) -> None:
        """Take it away, with everything that it wrote."""
        with self._complaints, self._keeper, contextlib.suppress(BrokenPipeError):
            if self._keeper.stdin is not None:
                self._keeper.stdin.close()
            try:
                self._keeper.wait(END_LIMIT_S)
            except subprocess.TimeoutExpired:
                self._keeper.kill()

    def _tell(self, word: str) -> None:
        if self._keeper.stdin is None:
            raise LabError(f"{self.name} has ended")
        try:
            self._keeper.stdin.write(f"{word}\n".encode())
            self._keeper.stdin.flush()
        except BrokenPipeError as error:
            raise LabError(f"{self.name}: its keeper ended: {self._complaint()}") from error

    def _await(self, event: str) -> None:
        while self._last["event"] != event:
            self._hear()

    def _hear(self) -> None:
        """Take one piece of news from the keeper."""
        while b"\n" not in self._said:
            self._said += self._next_piece()
        line, _, self._said = self._said.partition(b"\n")
        self._last = json.loads(line)
        if self._last["event"] == "ready":
            self._leader, self.boots = int(self._last["leader"]), int(self._last["boot"])
        else:
            self._leader = 0
            if self._last["status"] not in (0, RESTARTS):
                raise LabError(f"{self.name} ended with {self._last['status']}: {self._tail()}")

    def _next_piece(self) -> bytes:
        """Wait as long as something happens; return what the keeper says."""
        if self._keeper.stdout is None:
            raise LabError(f"{self.name} has ended")
        source = self._keeper.stdout.fileno()
        printed = silent_s = 0
        for _ in range(WAIT_LIMIT_S):
            if select.select([source], [], [], 1.0)[0]:
                piece = os.read(source, 4096)
                if not piece:
                    raise LabError(f"{self.name}: its keeper ended: {self._complaint()}")
                return piece
            before, printed = printed, self._console_size()
            silent_s = silent_s + 1 if printed == before else 0
            if silent_s == SILENCE_LIMIT_S:
                break
        raise LabError(
            f"{self.name} gets nowhere: last heard {self._last}, silent for {silent_s} s;"
            f" its processes: {processes(self.keeper)}; keeper: {self._complaint()};"
            f" console: {self._tail()}"
        )

    def _complaint(self) -> str:
        """How the keeper ended, if it did, and what it said on its standard error."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._keeper.wait(0.5)
        self._complaints.seek(0)
        said = self._complaints.read().decode(errors="replace")[-2000:].strip()
        status = self._keeper.returncode
        return f"{'at work' if status is None else f'status {status}'}, {said or 'no word'}"

    def _console_size(self) -> int:
        with contextlib.suppress(OSError):  # it has not printed anything yet
            return self._console_file.stat().st_size
        return 0

    def _tail(self) -> str:
        try:
            return self.console()[-3000:]
        except OSError as error:
            return f"its console cannot be read ({error})"


def processes(pid: int) -> str:
    """Name a process and all that come from it, each with what it is doing."""
    try:
        name = Path(f"/proc/{pid}/comm").read_text().strip()
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return f"{pid} gone"
    return " ".join([f"{name}:{state}", *(processes(int(child)) for child in children)])
