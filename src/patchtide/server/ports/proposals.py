"""What proposals need from the database: each with its input, until it is done or over."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from patchtide.domain.access.proposals import Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProposal:
    proposal: Proposal
    asked: bytes
    """The operation's input in its canonical form: only while it is open, and not in lists."""
    told: tuple[tuple[str, Mapping[str, Any]], ...]
    """What it would do, as the audit would say it: the first of its entries."""
    changes: int
    """How many entries that would be."""
    reach: bytes = b""
    """Which machines the rights reach that it hands on, as it was proposed; not in lists."""


class ProposalWriting(Protocol):
    """Inside one decision."""

    def add(self, made: StoredProposal) -> None: ...

    def hold(self, id: str) -> StoredProposal | None:
        """Return it without its input; until the end of this transaction no other can change it."""
        ...

    def open_of(self, person: str, *, now: datetime) -> Sequence[StoredProposal]:
        """Return what somebody proposed that has not ended, without the inputs."""
        ...

    def made_since(self, person: str, since: datetime) -> int:
        """Return how many somebody proposed since then, with those that have ended."""
        ...

    def open_bytes(self, person: str, *, now: datetime) -> int:
        """Return how long the inputs are, together, of what somebody proposed and has not ended."""
        ...

    def put(self, proposal: Proposal) -> None:
        """Write down who agreed, and how it ended: then its input is gone; all else stays."""
        ...

    def void_all(self, *, by: str, now: datetime) -> None:
        """End whatever is open, as void."""
        ...


class ProposalReading(Protocol):
    def proposals(
        self, *, person: str, operations: Collection[str], is_open: bool, now: datetime, limit: int
    ) -> Sequence[StoredProposal]:
        """Return the newest of that person or of these operations, without the inputs."""
        ...

    def what_is_open(self, now: datetime) -> tuple[int, float, int]:
        """Return how many are open, and what is another one whenever these are others.

        None of them is read: that is asked with every page.
        """
        ...

    def proposal(self, id: str) -> StoredProposal | None: ...
