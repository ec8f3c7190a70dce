"""Fetching one file over the network, within limits. What comes back is not trusted by anybody."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from patchtide.domain.errors import PatchtideError


class TransferFailed(PatchtideError):
    """The file could not be fetched."""

    code = "transfer-failed"


class TransferTooSlow(TransferFailed):
    """The file came too slowly, or not at all any more."""

    code = "transfer-too-slow"


class TransferUntrusted(TransferFailed):
    """The server could not show that it is the one asked for."""

    code = "transfer-untrusted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    status: int
    length: int | None
    """What the server says it sends; None: it does not say."""
    start: int
    """Where in the file the bytes begin, as the server says."""
    chunks: Iterator[bytes]
    """As they arrive; raises TransferFailed where they break off."""


class Getter(Protocol):
    """Redirects are not followed and nothing is tried twice."""

    def get(
        self, url: str, *, offset: int = 0, total_s: float, stall_s: float
    ) -> AbstractContextManager[Reply]:
        """Open the file at `offset`. After `total_s` the connection is cut, whatever it is doing.

        Raises:
            TransferFailed: on entering the context, or from `chunks`.
        """
        ...
