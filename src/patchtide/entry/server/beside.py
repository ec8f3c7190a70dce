"""A process of the server's own that works beside it once there is a crowd."""

from __future__ import annotations

import logging
import os
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path

from patchtide.adapters.beside.line import ask, is_ready, tell
from patchtide.adapters.platforms.commands import ENVIRONMENT, CommandFailed, Running
from patchtide.entry.server.feed_process import own_path

log = logging.getLogger(__name__)

AGAIN_S = 60.0
"""After a process that ended there is none for so long."""
QUIET_S = 600.0
"""After so long without a crowd its process ends."""
_PATIENCE_S = 2.0


class ProcessBeside:
    """Begun when first asked, and asked when it is ready. For one thread at a time."""

    def __init__(self, module: str, *, told: bytes = b"", without_it: str) -> None:
        """`told` is what it needs to begin, `without_it` what is said where there is none."""
        self._module = module
        self._told = told
        self._without_it = without_it
        self._line: socket.socket | None = None
        self._process: Running | None = None
        self._not_before = 0.0
        self.is_ready = False
        """There is such a process, and it can be asked."""

    def begin(self) -> bool:
        """Have it begun; say whether it can be asked already."""
        try:
            return self._is_ready()
        except (OSError, CommandFailed) as error:
            self._give_up(error)
            return False

    def ask(self, question: bytes) -> bytes | None:
        """Return its answer; None: it has ended, or does not answer, and is ended then."""
        if self._line is None:
            return None
        try:
            return ask(self._line, question)
        except OSError as error:
            self._give_up(error)
            return None

    def close(self) -> None:
        line, process = self._line, self._process
        self._line, self._process, self.is_ready = None, None, False
        if line is not None:
            line.close()
        if process is not None:
            process.stop(patience_s=_PATIENCE_S)

    def _give_up(self, error: Exception) -> None:
        log.warning("%s for a while: %s", self._without_it, error)
        self.close()
        self._not_before = time.monotonic() + AGAIN_S

    def _is_ready(self) -> bool:
        if self._line is None:
            if time.monotonic() >= self._not_before:
                self._start()
            return False
        self.is_ready = self.is_ready or is_ready(self._line)
        return self.is_ready

    def _start(self) -> None:
        self._line, theirs = socket.socketpair()
        with theirs:
            self._process = Running(
                [sys.executable, "-P", "-m", self._module, str(theirs.fileno())],
                log=Path(os.devnull),
                environment={**ENVIRONMENT, **own_path()},
                keep=theirs.fileno(),
            )
        tell(self._line, self._told)


class CrowdBeside:
    """One that is begun with the first crowd, and ended when there was none for long."""

    def __init__(self, beside: ProcessBeside, *, crowd: int, quiet_s: float = QUIET_S) -> None:
        """`crowd`: so many at once make a process worth its memory."""
        self._beside = beside
        self._crowd = crowd
        self._quiet_s = quiet_s
        self._crowd_at = 0.0

    @property
    def is_ready(self) -> bool:
        return self._beside.is_ready

    def ask(self, question: Callable[[], bytes], *, of: int) -> bytes | None:
        """Return the answer to a question about so many; None: it is to be answered here."""
        now = time.monotonic()
        if of >= self._crowd:
            self._crowd_at = now
            if self._beside.begin():
                return self._beside.ask(question())
        elif self.is_ready and now - self._crowd_at > self._quiet_s:
            self.close()
        return None

    def close(self) -> None:
        self._beside.close()
