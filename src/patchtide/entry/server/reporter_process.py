"""The process that takes a busy server's reports into its database: begun with the first crowd."""

from __future__ import annotations

import time
from collections.abc import Sequence

from patchtide.adapters.storage.beside import Group, question, told
from patchtide.entry.server.beside import ProcessBeside
from patchtide.server.ports.reports import Accepted

MODULE = "patchtide.entry.reporter"
CROWD = 16
"""So many reports that come within one commit of another make a process worth its memory."""
QUIET_S = 600.0
"""After so long without a crowd the process ends."""


class ReporterProcess:
    """Has groups taken there, once there are such groups. For one thread at a time."""

    def __init__(self, url: str, *, crowd: int = CROWD, quiet_s: float = QUIET_S) -> None:
        self._beside = ProcessBeside(
            MODULE, told=url.encode(), without_it="reports are stored within the server"
        )
        self._crowd = crowd
        self._quiet_s = quiet_s
        self._crowd_at = 0.0

    @property
    def is_beside(self) -> bool:
        """There is such a process, and it is ready."""
        return self._beside.is_ready

    def __call__(self, group: Group) -> Sequence[Accepted] | None:
        now = time.monotonic()
        if len(group) >= self._crowd:
            self._crowd_at = now
            if self._beside.begin():
                answer = self._beside.ask(question(group))
                return None if answer is None else told(answer)
        elif self.is_beside and now - self._crowd_at > self._quiet_s:
            self._beside.close()
        return None

    def close(self) -> None:
        self._beside.close()
