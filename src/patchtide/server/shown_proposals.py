"""Proposals as people see them: what each would do, who agreed to it, and what may be done now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from patchtide.domain.access.persons import behind, is_person
from patchtide.domain.access.principals import Principal, may_read, somebody
from patchtide.domain.access.proposals import Eyes, Missing, State, missing
from patchtide.domain.access.rights import Kind, Right, Verb, holds
from patchtide.domain.errors import NotFound
from patchtide.server.context import Call
from patchtide.server.four_eyes import FOUR_EYES, eyes_among, in_words, may_agree, read_rule
from patchtide.server.machine_descriptions import RIGHTS_END_AT
from patchtide.server.patterns import SHORT_ID
from patchtide.server.ports.accounts import User
from patchtide.server.ports.proposals import StoredProposal
from patchtide.server.table import Input, Operation, Output

Covered = Mapping[str, Operation]
_COLLECTIONS = Right(Kind.COLLECTIONS, Verb.READ)
NEWEST = 500
"""So many are listed that wait, and so many that have ended."""
TOLD_IN_LISTS = 20
"""Of what each would do."""
ASKED_SHOWN = 20_000
"""So many letters of an input are shown; a file of machines may be longer."""
ProposalId = Annotated[str, Meta(max_length=12, pattern=SHORT_ID, description="The proposal's id.")]


class OneProposal(Input, kw_only=True, frozen=True):
    proposal: ProposalId


class ListProposals(Input, kw_only=True, frozen=True):
    all: Annotated[bool, Meta(description="Those that have ended, too.")] = False


class ShownApproval(Output, kw_only=True, frozen=True):
    person: str
    name: str
    at: datetime


class ShownEntry(Output, kw_only=True, frozen=True):
    """What would stand in the audit."""

    subject: str
    detail: dict[str, Any]


class ShownProposal(Output, kw_only=True, frozen=True):
    id: str
    operation: str
    sentence: str
    state: str
    waits: str
    """What it lacks, in words; empty: it has ended."""
    missing: int
    """How many people have to agree yet."""
    possible_at: datetime | None
    """When it can be done at the earliest, where time stands for a second person."""
    author: str
    author_name: str
    author_counts: bool
    """False: no person, or one for whom nobody had vouched; so one more must agree."""
    proposed_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str
    content: str
    """The SHA-256 of what people agree to."""
    approvals: tuple[ShownApproval, ...]
    told: tuple[ShownEntry, ...]
    """What it would do: the first entries of the audit that it would leave."""
    changes: int
    """How many entries that would be."""
    asked: str
    """With what it was asked, as JSON, or the beginning of it; lists come without."""
    asked_letters: int
    """How many letters all of that has. What has ended keeps none."""
    is_cut: bool
    """This is not all of it: who approves it must have read all of its input."""
    is_own: bool
    may_approve: bool
    must_be_vouched_for: bool
    """Whoever looks could approve it, had somebody vouched for her."""
    may_enact: bool


class ProposalList(Output, kw_only=True, frozen=True):
    items: tuple[ShownProposal, ...]


class Viewer:
    """Who asks, and what there is to tell him: read once for all that is shown."""

    def __init__(self, call: Call, covered: Covered, principal: Principal) -> None:
        lookups = call.context.lookups
        self._covered, self._now = covered, call.now
        self._users: Sequence[User] = lookups.users()
        self._setting = lookups.setting
        tokens = lookups.api_tokens()
        self.person = behind(principal.actor, {t.id: t.created_by for t in tokens})
        self._rights = somebody(principal).rights
        self.may_do = frozenset(
            name for name, one in covered.items() if may_agree(self._rights, one.rights_needed)
        )
        self._eyes = dict[tuple[Right, ...], Eyes]()
        self._rule = read_rule(lookups.setting(FOUR_EYES))
        self._names = {principal.actor: somebody(principal).name}
        if may_read(self._rights, Kind.ACCOUNTS):
            self._names |= {f"user:{user.id}": user.name for user in self._users}
            self._names |= {f"api-token:{token.id}": token.name for token in tokens}

    def sees(self, one: StoredProposal) -> bool:
        return one.proposal.person == self.person or self.may_agree(one)

    def may_agree(self, one: StoredProposal) -> bool:
        return may_agree_to(self._covered, one, self._rights)

    def _lacks(self, one: StoredProposal) -> Missing:
        """Say what an open one lacks."""
        return missing(one.proposal, self._rule, self._could(one), now=self._now)

    def _could(self, one: StoredProposal) -> Eyes:
        """Return who could agree, which is worked out once for the same needs."""
        operation = self._covered.get(one.proposal.operation)
        needs = operation.approver_needs(one.told) if operation else ()
        if needs not in self._eyes:
            self._eyes[needs] = eyes_among(self._users, needs, self._setting, now=self._now)
        return self._eyes[needs]

    def _tellable(self, detail: Mapping[str, Any]) -> dict[str, Any]:
        """Leave out how collections are called that he may not read."""
        if RIGHTS_END_AT not in detail or holds(self._rights, _COLLECTIONS):
            return dict(detail)
        return {**detail, RIGHTS_END_AT: "a collection"}

    def shown(self, one: StoredProposal, *, told: int | None = None) -> ShownProposal:
        proposal, state = one.proposal, one.proposal.state_at(self._now)
        operation = self._covered.get(proposal.operation)
        asked = one.asked.decode()
        is_open = state is State.OPEN
        lacks = self._lacks(one) if is_open else Missing()
        is_own = proposal.person == self.person
        has_agreed = any(a.person == self.person for a in proposal.approvals)
        could_approve = is_open and not is_own and not has_agreed and self.may_agree(one)
        is_known = could_approve and self.person not in self._could(one).unknown
        return ShownProposal(
            id=proposal.id,
            operation=proposal.operation,
            sentence=operation.sentence if operation else "",
            state=state.value,
            waits=in_words(lacks) if is_open else "",
            missing=lacks.people,
            possible_at=lacks.until,
            author=proposal.author,
            author_name=self.name(proposal.author),
            author_counts=proposal.author_counts and is_person(proposal.person),
            proposed_at=proposal.at,
            expires_at=proposal.expires_at,
            ended_at=proposal.ended_at,
            ended_by=self.name(proposal.ended_by),
            content=proposal.content.hex(),
            approvals=tuple(
                ShownApproval(person=a.person, name=self.name(a.person), at=a.at)
                for a in proposal.approvals
            ),
            told=tuple(
                ShownEntry(subject=s, detail=self._tellable(detail))
                for s, detail in one.told[:told]
            ),
            changes=one.changes,
            asked=asked[:ASKED_SHOWN],
            asked_letters=len(asked),
            is_cut=is_cut(one),
            is_own=is_own,
            may_approve=could_approve and is_known,
            must_be_vouched_for=could_approve and not is_known,
            may_enact=is_open and is_own and lacks.is_nothing,
        )

    def name(self, actor: str) -> str:
        return self._names.get(actor, actor)


def is_cut(one: StoredProposal) -> bool:
    return len(one.asked.decode()) > ASKED_SHOWN or one.changes > len(one.told)


def input_of(one: StoredProposal) -> bytes:
    """Return the whole input as people read it."""
    return msgspec.json.format(one.asked, indent=2)


def may_agree_to(covered: Covered, one: StoredProposal, rights: frozenset[Right]) -> bool:
    operation = covered.get(one.proposal.operation)
    return operation is not None and may_agree(rights, operation.approver_needs(one.told))


async def list_some(
    covered: Covered, call: Call, principal: Principal, asked: ListProposals
) -> ProposalList:
    """List those of one's own, and those that one could agree to."""

    def found() -> ProposalList:
        viewer = Viewer(call, covered, principal)
        newest = partial(
            call.context.reading.proposals.proposals,
            person=viewer.person,
            operations=viewer.may_do,
            now=call.now,
            limit=NEWEST,
        )
        # Apart: what has ended takes no place of what waits.
        found = [*newest(is_open=True), *(newest(is_open=False) if asked.all else ())]
        some = (viewer.shown(one, told=TOLD_IN_LISTS) for one in found if viewer.sees(one))
        return ProposalList(items=tuple(some))

    return await call.read(found)


async def show(
    covered: Covered, call: Call, principal: Principal, asked: OneProposal
) -> ShownProposal:
    """Raises NotFound."""
    return await call.read(lambda: _shown(covered, call, principal, asked.proposal))


async def whole_input(
    covered: Covered, call: Call, principal: Principal, asked: OneProposal
) -> bytes:
    """Raises NotFound: there is none, or it has ended and keeps no input."""

    def found() -> bytes:
        stored = _seen(Viewer(call, covered, principal), call, asked.proposal)
        if stored.proposal.state_at(call.now) is not State.OPEN:
            raise NotFound("what has ended keeps no input")
        return input_of(stored)

    return await call.read(found)


def _shown(covered: Covered, call: Call, principal: Principal, id: str) -> ShownProposal:
    viewer = Viewer(call, covered, principal)
    return viewer.shown(_seen(viewer, call, id))


def _seen(viewer: Viewer, call: Call, id: str) -> StoredProposal:
    """Raises NotFound."""
    stored = call.context.reading.proposals.proposal(id)
    if stored is None or not viewer.sees(stored):
        raise NotFound
    return stored
