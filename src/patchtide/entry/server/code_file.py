"""The file of the one-time code, for whoever was not looking when the server said it.

It is no second way in: the server holds the code against its own memory and never reads the file.
Who may read it may read the site's keys beside it too.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

from patchtide.adapters.trust.durable import write_durably

log = logging.getLogger(__name__)


class CodeFile:
    """Lies in the server's home from its start until the code is used or the server ends."""

    def __init__(self, home: Path) -> None:
        self.path = home / "bootstrap-code"

    @contextlib.contextmanager
    def holding(self, code: str) -> Iterator[None]:
        """Keep the code there within the block; without one, keep no old file either."""
        if code:
            write_durably(self.path, f"{code}\n".encode())
        else:
            self.remove()
        try:
            yield
        finally:
            self.remove()

    def remove(self) -> None:
        try:
            self.path.unlink(missing_ok=True)
        except OSError as error:  # the code is spent all the same
            log.warning("cannot remove %s: %s", self.path, error.strerror)
