"""What the use cases need for the audit: its entries, its chain, its segments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    sequence: int
    change: int
    at: datetime
    actor: str
    operation: str
    subject: str
    detail: Mapping[str, object]
    hash: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditFlaw:
    """Where the chain breaks: the first entry that is not what it was, and how it shows."""

    sequence: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditSegment:
    """Entries in a row, signed, as they are kept outside of the database."""

    first: int
    last: int
    hash: bytes
    """Of the last entry, which stands for all before it."""
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class LostDecision:
    """A decision that a segment tells of and the database does not."""

    at: datetime
    actor: str
    operation: str
    subject: str


class AuditStore(Protocol):
    """The audit as upkeep sees it."""

    async def checkpoint_audit(self, *, now: datetime) -> bool:
        """Seal the chain as it stands; False: it is sealed already."""
        ...

    def audit(self, *, after: int = 0, limit: int = 100) -> Sequence[AuditEntry]: ...

    def audit_segment(self, *, after: int = 0) -> AuditSegment | None:
        """Return what follows that entry, up to a segment's length; None: nothing does."""
        ...

    def audit_archived(self) -> int:
        """Return the last entry that is in a segment kept elsewhere."""
        ...

    async def note_archived(self, sequence: int) -> None: ...

    async def trim(self, *, now: float) -> None:
        """Remove what has had its time, a slice at a time."""
        ...
