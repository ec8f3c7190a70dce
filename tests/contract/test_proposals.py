"""What the storage promises about proposals on both databases."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.proposals import Approval, Proposal, State, check_open
from patchtide.domain.errors import WrongState
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.proposals import StoredProposal
from tests.simulator.reports import NOON

pytestmark = pytest.mark.anyio
TOLD = (("f" * 32, {"name": "web-1", "was": "", "machines": 3}),)


def a_proposal(id: str = "1" * 12, *, person: str = "user:1") -> StoredProposal:
    made = Proposal(
        id=id, operation="users.role", content=b"c" * 32, author=person, person=person, at=NOON,
        expires_at=NOON + timedelta(days=7),
    )  # fmt: skip
    return StoredProposal(
        proposal=made, asked=b'{"role":"auditor"}', told=TOLD, changes=7, reach=b"r"
    )


async def test_a_proposal_is_kept_as_it_was_made_and_as_it_ended(storage: Storage) -> None:
    made, other = a_proposal(), a_proposal("2" * 12, person="user:2")
    made = replace(made, proposal=replace(made.proposal, author_counts=False))
    agreed = Approval(person="user:3", by="user:3", at=NOON, content=b"c" * 32)
    ended = made.proposal.ended(State.ENACTED, by="user:1", now=NOON)

    def propose(tx: Transaction) -> None:
        tx.proposals.add(made)
        tx.proposals.add(other)
        assert tx.proposals.hold(made.proposal.id) == replace(made, asked=b"")
        assert tx.proposals.hold("3" * 12) is None
        [own] = tx.proposals.open_of("user:1", now=NOON)
        assert (own.proposal, own.asked) == (made.proposal, b"")
        assert tx.proposals.open_of("user:1", now=NOON + timedelta(days=7)) == []

    def end(tx: Transaction) -> None:
        tx.proposals.put(
            Proposal(**{f: getattr(ended, f) for f in ended.__slots__} | {"approvals": (agreed,)})
        )
        assert tx.proposals.open_of("user:1", now=NOON) == []

    await storage.decide("user:1", "x", propose, now=NOON)
    await storage.decide("user:1", "x", end, now=NOON)

    read = storage.proposals.proposal(made.proposal.id)
    assert read is not None and (read.asked, read.told, read.changes) == (b"", TOLD, 7)
    assert (read.proposal.approvals, read.proposal.state) == ((agreed,), State.ENACTED)
    assert (read.proposal.ended_at, read.proposal.ended_by) == (NOON, "user:1")
    assert not read.proposal.author_counts
    assert storage.proposals.proposal(other.proposal.id) == other
    assert storage.proposals.proposal("4" * 12) is None
    assert storage.proposals.what_is_open(NOON)[0] == 1
    assert storage.proposals.what_is_open(NOON + timedelta(days=7)) == (0, 0.0, 0)

    later = NOON + timedelta(hours=1)
    await storage.decide("a", "x", lambda tx: tx.proposals.void_all(by="a", now=later), now=later)

    void = storage.proposals.proposal(other.proposal.id)
    assert void is not None and (void.asked, void.proposal.state) == (b"", State.VOID)
    assert (void.proposal.ended_at, void.proposal.ended_by) == (later, "a")
    assert storage.proposals.proposal(made.proposal.id) == read


async def test_what_waits_is_listed_apart_from_what_has_ended(storage: Storage) -> None:
    kept = [a_proposal(f"{n:012x}", person=f"user:l{n % 2}") for n in range(0xA0, 0xA4)]

    def work(tx: Transaction) -> None:
        for one in kept:
            tx.proposals.add(one)
        tx.proposals.put(kept[0].proposal.ended(State.WITHDRAWN, by="user:l0", now=NOON))
        assert tx.proposals.made_since("user:l0", NOON - timedelta(hours=1)) == 2
        assert tx.proposals.made_since("user:l0", NOON) == 0
        assert tx.proposals.open_bytes("user:l0", now=NOON) == len(kept[2].asked)
        assert tx.proposals.open_bytes("user:none", now=NOON) == 0

    await storage.decide("user:1", "x", work, now=NOON)

    def listed(person: str, *operations: str, is_open: bool, later: int = 0) -> list[str]:
        now = NOON + timedelta(days=later)
        found = storage.proposals.proposals(
            person=person, operations=operations, is_open=is_open, now=now, limit=3
        )
        assert not any(one.asked for one in found)
        return [one.proposal.id[-2:] for one in found]

    assert listed("user:l0", is_open=True) == ["a2"]
    assert listed("user:l0", is_open=False) == ["a0"]
    assert listed("user:l0", is_open=False, later=7) == ["a0", "a2"]
    assert listed("user:none", "users.role", is_open=True) == ["a1", "a2", "a3"]
    assert listed("user:none", "roles.define", is_open=True) == []


async def test_what_is_over_keeps_no_input(storage: Storage) -> None:
    over = a_proposal("6" * 12, person="user:over")
    await storage.decide("user:1", "x", lambda tx: tx.proposals.add(over), now=NOON)
    held = []
    for later in (6, 7):
        await storage.trim(now=(NOON + timedelta(days=later)).timestamp())
        held.append(storage.proposals.proposal("6" * 12))
    assert [one.asked if one else None for one in held] == [over.asked, b""]


async def test_of_two_who_enact_at_once_one_does(storage: Storage) -> None:
    made = a_proposal("5" * 12)
    await storage.decide("user:1", "x", lambda tx: tx.proposals.add(made), now=NOON)

    def enact(tx: Transaction) -> None:
        held = tx.proposals.hold("5" * 12)
        assert held is not None
        check_open(held.proposal, NOON)
        tx.proposals.put(held.proposal.ended(State.ENACTED, by="user:1", now=NOON))
        tx.note("x")

    tried = [storage.decide("user:1", "x", enact, now=NOON) for _ in range(5)]
    outcomes = await asyncio.gather(*tried, return_exceptions=True)
    assert sum(isinstance(one, WrongState) for one in outcomes) == 4


async def test_what_is_remarked_stands_in_each_entry(storage: Storage) -> None:
    def work(tx: Transaction) -> None:
        tx.note("a", name="x")
        tx.note("b")
        assert tx.noted == [("a", {"name": "x"}), ("b", {})]
        tx.remark(proposal="1")

    await storage.decide("user:1", "x.y", work, now=NOON)

    told = [entry.detail for entry in storage.newest_audit(limit=2)]
    assert sorted(told, key=len) == [{"proposal": "1"}, {"name": "x", "proposal": "1"}]
