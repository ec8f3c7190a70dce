"""What proposals need from the database: each with its input, until it is done or over."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from patchtide.domain.access.proposals import Proposal


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredProposal:
    proposal: Proposal
    asked: bytes
    """The operation's input in its canonical form; lists come without."""
    told: tuple[tuple[str, Mapping[str, Any]], ...]
    """What it would do, as the audit would say it: the first of its entries."""
    changes: int
    """How many entries that would be."""


class ProposalWriting(Protocol):
    """Inside one decision."""

    def add(self, made: StoredProposal) -> None: ...

    def hold(self, id: str) -> StoredProposal | None:
        """Return it; until the end of this transaction no other one can change it."""
        ...

    def open_of(self, person: str, *, now: datetime) -> Sequence[StoredProposal]:
        """Return what somebody proposed that has not ended, without the inputs."""
        ...

    def put(self, proposal: Proposal) -> None:
        """Write down who agreed, and how it ended; all else stays as it was proposed."""
        ...


class ProposalReading(Protocol):
    def proposals(self, *, limit: int) -> Sequence[StoredProposal]:
        """Return the newest, without the inputs."""
        ...

    def proposal(self, id: str) -> StoredProposal | None: ...
