"""`patchtide up` as a process, on a Debian root of its own with an archive of its own."""

from __future__ import annotations

import json
import os
import pty
import signal
import socket
import subprocess
import sys
import time
import tty
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
PATIENCE_S = 120


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@dataclass(frozen=True)
class Ended:
    status: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        assert self.status == 0, self.err
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one error: what is on the last line, and nothing like a traceback before it."""
        assert self.status == 1 and self.out == "" and "Traceback" not in self.err, self.err
        return self.err.strip().splitlines()[-1]


@dataclass
class Up:
    """One home at one port. `root`: another system than this machine's own."""

    home: Path
    root: Path | None = None
    port: int = 0
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.port = self.port or free_port()

    def command(self, *options: str) -> list[str]:
        root = ("--root", str(self.root)) if self.root else ()
        where = ("--home", str(self.home), "--port", str(self.port), "--host", "127.0.0.1")
        return [sys.executable, "-m", "patchtide.entry.cli", "up", *where, *root, *options]

    def run(self, *options: str) -> Ended:
        """Bring it up until the table."""
        done = subprocess.run(
            self.command("--exit", *options),
            env=_environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
        )
        return Ended(done.returncode, done.stdout, done.stderr)

    @contextmanager
    def going_on(self) -> Iterator[subprocess.Popen[str]]:
        """Bring it up before a terminal and leave it so within the block."""
        seen, terminal = pty.openpty()
        tty.setraw(terminal)
        process = self.start(terminal)
        os.close(terminal)
        with open(seen, encoding="utf-8") as screen, self._read(process, screen):
            yield process

    @contextmanager
    def going_on_unseen(self) -> Iterator[None]:
        """Bring it up with its errors in a pipe."""
        process = self.start()
        assert process.stderr is not None
        with self._read(process, process.stderr):
            yield

    @contextmanager
    def _read(self, process: subprocess.Popen[str], lines: Iterable[str]) -> Iterator[None]:
        try:
            self.said.clear()
            for line in lines:
                self.said.append(line)
                if line.startswith("Up."):
                    break
            assert process.poll() is None, "".join(self.said)
            yield
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=30)

    def start(self, errors: int = subprocess.PIPE) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(),
            env=_environment(),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            start_new_session=True,
        )

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True

    def is_quiet_within(self, seconds: float) -> bool:
        end = time.monotonic() + seconds
        while self.answers():
            if time.monotonic() > end:
                return False
            time.sleep(0.05)
        return True


def _environment() -> dict[str, str]:
    clean = {k: v for k, v in os.environ.items() if not k.startswith("PATCHTIDE_")}
    return {**clean, "PYTHONPATH": f"{ROOT / 'src'}:{ROOT}", "LC_ALL": "C.UTF-8", "TERM": "dumb"}
