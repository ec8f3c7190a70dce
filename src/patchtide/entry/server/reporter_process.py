"""The process that takes a busy server's reports into its database: begun with the first crowd."""

from __future__ import annotations

from collections.abc import Sequence

from patchtide.adapters.storage.beside import Group, question, told
from patchtide.entry.server.beside import QUIET_S, CrowdBeside, ProcessBeside
from patchtide.server.ports.reports import Accepted

MODULE = "patchtide.entry.reporter"
CROWD = 16
"""So many reports that come within one commit of another make a process worth its memory."""


class ReporterProcess:
    """Has groups taken there, once there are such groups. For one thread at a time."""

    def __init__(self, url: str, *, crowd: int = CROWD, quiet_s: float = QUIET_S) -> None:
        process = ProcessBeside(
            MODULE, told=url.encode(), without_it="reports are stored within the server"
        )
        self._beside = CrowdBeside(process, crowd=crowd, quiet_s=quiet_s)

    @property
    def is_beside(self) -> bool:
        """There is such a process, and it is ready."""
        return self._beside.is_ready

    def __call__(self, group: Group) -> Sequence[Accepted] | None:
        answer = self._beside.ask(lambda: question(group), of=len(group))
        return None if answer is None else told(answer)

    def close(self) -> None:
        self._beside.close()
