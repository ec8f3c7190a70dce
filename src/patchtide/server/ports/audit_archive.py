"""Where segments of the audit are kept, apart from the database whose story they tell."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from patchtide.server.ports.audit import AuditSegment


class AuditArchive(Protocol):
    def keep(self, segment: AuditSegment) -> None:
        """Return once it is on stable storage. What is kept already is never replaced."""
        ...

    def kept(self) -> Iterable[bytes]:
        """Yield every segment that is kept, of whatever history."""
        ...
