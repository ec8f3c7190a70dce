"""Files that are named by what is in them."""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

from patchtide.domain.errors import Refused, Unavailable


class ContentRefused(Refused):
    """What came is not the file that was asked for."""

    code = "content-refused"


class ContentUnreachable(Unavailable):
    """The file cannot be fetched now."""

    code = "content-unreachable"


class Content(Protocol):
    """Files of any size, kept on the machine under their digests."""

    def fetch(self, digest: bytes, size: int) -> None:
        """Have the file here, whole and verified; what was fetched before a break is kept.

        Raises:
            PatchtideError: no source could give it (`download-failed`).
        """
        ...

    def keep_only(self, digests: Collection[bytes]) -> None:
        """Remove all other files, whole or begun; what cannot be removed now stays."""
        ...

    def open(self, digest: bytes, size: int) -> int:
        """Return a descriptor of the file, verified through that very descriptor.

        Raises:
            PatchtideError: it is not here, or is another file by now (`content-damaged`).
        """
        ...


class Blobs(Protocol):
    def read(self, digest: bytes, *, at_most: int) -> bytes:
        """Return a file small enough for memory, its hash checked. `at_most`: bytes.

        Raises:
            ContentRefused, ContentUnreachable
        """
        ...
