"""Proposals in memory, as both the writing and the reading port promise them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from patchtide.domain.access.proposals import Proposal, State
from patchtide.server.ports.proposals import StoredProposal


@dataclass
class MemoryProposals:
    kept: dict[str, StoredProposal] = field(default_factory=dict)

    def copied(self) -> MemoryProposals:
        return MemoryProposals(dict(self.kept))

    def add(self, made: StoredProposal) -> None:
        self.kept[made.proposal.id] = made

    def hold(self, id: str) -> StoredProposal | None:
        return self.kept.get(id)

    def open_of(self, person: str, *, now: datetime) -> Sequence[StoredProposal]:
        return [
            one
            for one in self.kept.values()
            if one.proposal.person == person and one.proposal.state_at(now) is State.OPEN
        ]

    def put(self, proposal: Proposal) -> None:
        self.kept[proposal.id] = replace(self.kept[proposal.id], proposal=proposal)

    def proposals(self, *, limit: int) -> Sequence[StoredProposal]:
        return [replace(one, asked=b"") for one in reversed(self.kept.values())][:limit]

    def proposal(self, id: str) -> StoredProposal | None:
        return self.kept.get(id)
