"""Metadata over the network for the TUF client: size by the client, time by a budget here."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from tuf.api.exceptions import DownloadError, DownloadHTTPError
from tuf.ngclient import FetcherInterface

from patchtide.agent.ports.web import Getter, TransferFailed

BUDGET_S = 300.0
STALL_S = 30.0


class MetadataFetcher(FetcherInterface):
    """One budget of seconds for everything fetched since `restart`, whatever the number of files.

    Without it a server could feed an endless chain of slow roots, each within its own limit.
    """

    def __init__(
        self,
        getter: Getter,
        *,
        budget_s: float = BUDGET_S,
        stall_s: float = STALL_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._getter = getter
        self._budget_s = budget_s
        self._stall_s = stall_s
        self._monotonic = monotonic
        self._until = monotonic() + budget_s

    def restart(self) -> None:
        self._until = self._monotonic() + self._budget_s

    def _fetch(self, url: str) -> Iterator[bytes]:
        left = self._until - self._monotonic()
        if left <= 0:
            raise DownloadError(f"the repository took more than {self._budget_s:.0f} s")
        return self._body(url, left)

    def _body(self, url: str, left: float) -> Iterator[bytes]:
        try:
            with self._getter.get(url, total_s=left, stall_s=self._stall_s) as reply:
                if reply.status != 200:
                    raise DownloadHTTPError(f"{url}: {reply.status}", reply.status)
                yield from reply.chunks
        except TransferFailed as error:
            raise DownloadError(f"{url}: {error}") from error
