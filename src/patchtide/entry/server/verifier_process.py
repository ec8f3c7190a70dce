"""The process that verifies signatures for a busy server: begun with the first crowd."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from patchtide.adapters.platforms.commands import ENVIRONMENT, CommandFailed, Running
from patchtide.adapters.sodium.beside import ask, is_ready
from patchtide.adapters.sodium.verifier import Claim, verdicts
from patchtide.entry.server.feed_process import own_path

log = logging.getLogger(__name__)

MODULE = "patchtide.entry.verifier"
AGAIN_S = 60.0
"""After a process that ended there is none for so long."""
_PATIENCE_S = 2.0


class VerifierProcess:
    """Verifies there, or here as long as there is no such process. For one thread at a time."""

    def __init__(self) -> None:
        self._line: socket.socket | None = None
        self._process: Running | None = None
        self._not_before = 0.0
        self.is_beside = False
        """There is such a process, and it is ready."""

    def __call__(self, claims: Sequence[Claim]) -> Sequence[bool]:
        try:
            line = self._ready_line()
            return verdicts(claims) if line is None else ask(line, claims)
        except (OSError, CommandFailed) as error:
            log.warning("signatures are verified within the server for a while: %s", error)
            self.close()
            self._not_before = time.monotonic() + AGAIN_S
            return verdicts(claims)

    def close(self) -> None:
        line, process = self._line, self._process
        self._line, self._process, self.is_beside = None, None, False
        if line is not None:
            line.close()
        if process is not None:
            process.stop(patience_s=_PATIENCE_S)

    def _ready_line(self) -> socket.socket | None:
        if self._line is None:
            if time.monotonic() >= self._not_before:
                self._start()
            return None
        self.is_beside = self.is_beside or is_ready(self._line)
        return self._line if self.is_beside else None

    def _start(self) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = Running(
                [sys.executable, "-P", "-m", MODULE, str(theirs.fileno())],
                log=Path(os.devnull),
                environment={**ENVIRONMENT, **own_path()},
                keep=theirs.fileno(),
            )
