"""What the use cases need of the store of files, which people bring part by part."""

from __future__ import annotations

from typing import Protocol


class ContentIntake(Protocol):
    """Files by their digest. They block; call them in a thread."""

    def size(self, digest: bytes) -> int | None:
        """Return the length of a whole file, None: it is not there."""
        ...

    def begun(self, digest: bytes) -> int:
        """Return how many bytes of a file that is not whole yet are there."""
        ...

    def append(self, digest: bytes, part: bytes, *, offset: int) -> None:
        """Put a part behind what is there.

        Raises:
            StaleRevision: there is more or less by now than the offset says.
        """
        ...

    def finish(self, digest: bytes) -> None:
        """Make the file whole.

        Raises:
            WrongContent: its bytes have another digest; they are gone.
        """
        ...

    def read(self, digest: bytes, *, at_most: int) -> bytes:
        """Return a whole file.

        Raises:
            NotFound: it is not there, or longer.
        """
        ...

    def keep_on(self, digest: str) -> bool:
        """Let a file's age begin anew, for it is named again; False: it is not here."""
        ...

    def drop(self, digest: str, *, unless_since: float) -> bool:
        """Remove a file, unless it was put or named again since; say whether it has gone."""
        ...

    def forget_old_parts(self) -> None:
        """Remove what came of files a week ago, or earlier, and nothing since."""
        ...
