"""Proposals in memory, as both the writing and the reading port promise them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
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
        held = self.kept.get(id)
        return None if held is None else replace(held, asked=b"")

    def open_of(self, person: str, *, now: datetime) -> Sequence[StoredProposal]:
        return [replace(one, asked=b"", reach=b"") for one in self._open_of(person, now)]

    def _open_of(self, person: str, now: datetime) -> list[StoredProposal]:
        return [
            one
            for one in self.kept.values()
            if one.proposal.person == person and one.proposal.state_at(now) is State.OPEN
        ]

    def made_since(self, person: str, since: datetime) -> int:
        made = [one.proposal for one in self.kept.values() if one.proposal.person == person]
        return sum(one.at > since for one in made)

    def open_bytes(self, person: str, *, now: datetime) -> int:
        return sum(len(one.asked) for one in self._open_of(person, now))

    def put(self, proposal: Proposal) -> None:
        was = self.kept[proposal.id]
        asked = was.asked if proposal.ended_at is None else b""
        self.kept[proposal.id] = replace(was, proposal=proposal, asked=asked)

    def void_all(self, *, by: str, now: datetime) -> None:
        for one in list(self.kept.values()):
            if one.proposal.state_at(now) is State.OPEN:
                self.put(one.proposal.ended(State.VOID, by=by, now=now))

    def proposals(
        self, *, person: str, operations: Collection[str], is_open: bool, now: datetime, limit: int
    ) -> Sequence[StoredProposal]:
        found = [
            replace(one, asked=b"", reach=b"")
            for one in reversed(self.kept.values())
            if (one.proposal.person == person or one.proposal.operation in operations)
            and (one.proposal.state_at(now) is State.OPEN) is is_open
        ]
        return found[:limit]

    def what_is_open(self, now: datetime) -> tuple[int, float, int]:
        found = [p.proposal for p in self.kept.values() if p.proposal.state_at(now) is State.OPEN]
        newest = max((one.at.timestamp() for one in found), default=0.0)
        return len(found), newest, sum(len(one.approvals) for one in found)

    def proposal(self, id: str) -> StoredProposal | None:
        return self.kept.get(id)
