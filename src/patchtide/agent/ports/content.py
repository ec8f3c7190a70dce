"""Files that are named by what is in them."""

from __future__ import annotations

from typing import Protocol

from patchtide.domain.errors import Refused, Unavailable


class ContentRefused(Refused):
    """What came is not the file that was asked for."""

    code = "content-refused"


class ContentUnreachable(Unavailable):
    """The file cannot be fetched now."""

    code = "content-unreachable"


class Blobs(Protocol):
    def read(self, digest: bytes, *, at_most: int) -> bytes:
        """Return a file small enough for memory, its hash checked. `at_most`: bytes.

        Raises:
            ContentRefused, ContentUnreachable
        """
        ...
