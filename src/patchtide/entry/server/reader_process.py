"""The process that reads what a crowd reported, for the index: begun with the first crowd."""

from __future__ import annotations

import threading
from collections.abc import Sequence

from patchtide.adapters.storage.rows_beside import question, told
from patchtide.entry.server.beside import QUIET_S, CrowdBeside, ProcessBeside
from patchtide.server.member import Said

MODULE = "patchtide.entry.reader"
CROWD = 100
"""So many machines that are read at once make a process worth its memory."""


class ReaderProcess:
    """Has rows read there, once they are many; one who comes while another asks reads himself."""

    def __init__(self, url: str, *, crowd: int = CROWD, quiet_s: float = QUIET_S) -> None:
        process = ProcessBeside(
            MODULE, told=url.encode(), without_it="reports are read within the server"
        )
        self._beside = CrowdBeside(process, crowd=crowd, quiet_s=quiet_s)
        self._asking = threading.Lock()
        self._is_over = False

    @property
    def is_beside(self) -> bool:
        """There is such a process, and it is ready."""
        return self._beside.is_ready

    def __call__(self, clients: Sequence[int]) -> Sequence[Said] | None:
        if not self._asking.acquire(blocking=False):
            return None
        try:
            if self._is_over:
                return None
            answer = self._beside.ask(lambda: question(clients), of=len(clients))
        finally:
            self._asking.release()
        return None if answer is None else told(answer)

    def close(self) -> None:
        """End it for good: a view that is still being made must not begin another one."""
        with self._asking:
            self._is_over = True
            self._beside.close()
