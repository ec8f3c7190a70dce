"""Proposals as people see them: what each would do, who agreed to it, and what may be done now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from patchtide.domain.access.persons import behind
from patchtide.domain.access.principals import Principal, SignedIn, may_read
from patchtide.domain.access.proposals import (
    Proposal,
    State,
    approved,
    missing,
)
from patchtide.domain.access.rights import Kind, Right
from patchtide.domain.errors import NotFound, Refused, Unauthenticated
from patchtide.server.context import Call
from patchtide.server.four_eyes import (
    FOUR_EYES,
    Void,
    eyes,
    eyes_among,
    in_words,
    may_agree,
    read_rule,
)
from patchtide.server.patterns import SHA256, SHORT_ID, or_nothing
from patchtide.server.ports.accounts import User
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.proposals import StoredProposal
from patchtide.server.table import Input, Operation, Output, perform

Covered = Mapping[str, Operation]
NEWEST = 500
ASKED_SHOWN = 20_000
"""So many letters of an input are shown; a file of machines may be longer."""
ProposalId = Annotated[str, Meta(max_length=12, pattern=SHORT_ID, description="The proposal's id.")]


class OneProposal(Input, kw_only=True, frozen=True):
    proposal: ProposalId


class ApproveProposal(OneProposal, kw_only=True, frozen=True):
    content: Annotated[
        str,
        Meta(
            pattern=or_nothing(SHA256),
            description="Only if this is the SHA-256 of what it would do, as it was shown.",
        ),
    ] = ""


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
    """With what it was asked, as JSON; lists come without."""
    is_own: bool
    may_approve: bool
    may_enact: bool


class ProposalList(Output, kw_only=True, frozen=True):
    items: tuple[ShownProposal, ...]


class Enacted(Output, kw_only=True, frozen=True):
    proposal: str
    operation: str
    answer: dict[str, Any]
    """What the operation answered."""


class _Viewer:
    """Who asks, and what there is to tell him: read once for all that is shown."""

    def __init__(self, call: Call, covered: Covered, principal: Principal) -> None:
        lookups = call.context.lookups
        self._covered, self._now = covered, call.now
        self._users: Sequence[User] = lookups.users()
        self._setting = lookups.setting
        tokens = lookups.api_tokens()
        self.person = behind(principal.actor, {t.id: t.created_by for t in tokens})
        self._rights = _signed_in(principal).rights
        self._rule = read_rule(lookups.setting(FOUR_EYES)).rule()
        self._names = {principal.actor: _signed_in(principal).name}
        if may_read(self._rights, Kind.ACCOUNTS):
            self._names |= {f"user:{user.id}": user.name for user in self._users}
            self._names |= {f"api-token:{token.id}": token.name for token in tokens}

    def sees(self, one: StoredProposal) -> bool:
        return one.proposal.person == self.person or self.may_agree(one)

    def may_agree(self, one: StoredProposal) -> bool:
        return may_agree_to(self._covered, one.proposal, self._rights)

    def shown(self, one: StoredProposal) -> ShownProposal:
        proposal, state = one.proposal, one.proposal.state_at(self._now)
        operation = self._covered.get(proposal.operation)
        needs: Sequence[Right] = operation.approver_needs if operation else ()
        able = eyes_among(self._users, needs, self._setting, now=self._now)
        lacks = missing(proposal, self._rule, able, now=self._now)
        is_open = state is State.OPEN
        is_own = proposal.person == self.person
        has_agreed = any(a.person == self.person for a in proposal.approvals)
        return ShownProposal(
            id=proposal.id,
            operation=proposal.operation,
            sentence=operation.sentence if operation else "",
            state=state.value,
            waits=in_words(lacks) if is_open else "",
            missing=lacks.people if is_open else 0,
            possible_at=lacks.until if is_open else None,
            author=proposal.author,
            author_name=self.name(proposal.author),
            proposed_at=proposal.at,
            expires_at=proposal.expires_at,
            ended_at=proposal.ended_at,
            ended_by=self.name(proposal.ended_by),
            content=proposal.content.hex(),
            approvals=tuple(
                ShownApproval(person=a.person, name=self.name(a.person), at=a.at)
                for a in proposal.approvals
            ),
            told=tuple(ShownEntry(subject=s, detail=dict(detail)) for s, detail in one.told),
            changes=one.changes,
            asked=one.asked.decode()[:ASKED_SHOWN],
            is_own=is_own,
            may_approve=is_open and not is_own and not has_agreed and self.may_agree(one),
            may_enact=is_open and is_own and lacks.is_nothing,
        )

    def name(self, actor: str) -> str:
        return self._names.get(actor, actor)


def may_agree_to(covered: Covered, proposal: Proposal, rights: frozenset[Right]) -> bool:
    operation = covered.get(proposal.operation)
    return operation is not None and may_agree(rights, operation.approver_needs)


async def list_some(
    covered: Covered, call: Call, principal: Principal, asked: ListProposals
) -> ProposalList:
    """List those of one's own, and those that one could agree to."""

    def found() -> ProposalList:
        viewer = _Viewer(call, covered, principal)
        stored = call.context.reading.proposals.proposals(limit=NEWEST)
        shown = (viewer.shown(one) for one in stored if viewer.sees(one))
        return ProposalList(
            items=tuple(one for one in shown if asked.all or one.state == State.OPEN)
        )

    return await call.read(found)


async def show(
    covered: Covered, call: Call, principal: Principal, asked: OneProposal
) -> ShownProposal:
    """Raises NotFound."""
    return await call.read(lambda: _shown(covered, call, principal, asked.proposal))


async def approve(
    covered: Covered, call: Call, principal: Principal, asked: ApproveProposal
) -> ShownProposal:
    """Agree to it; who proposed it has it done once enough people have.

    Raises:
        NotFound
        Refused: it is her own, or no person asks, or she looked at something else.
        WrongState: it has ended, or she agreed before.
    """
    rights = _signed_in(principal).rights

    def work(tx: Transaction) -> None:
        stored, person = _held(tx, covered, principal, asked.proposal)
        content = bytes.fromhex(asked.content) or stored.proposal.content
        one = approved(
            stored.proposal, by=principal.actor, person=person, content=content, now=call.now
        )
        if not may_agree_to(covered, one, rights) or person not in _able(tx, covered, one, call):
            raise Refused("you could not do this yourself")
        tx.proposals.put(one)
        _note(tx, one, approvals=len(one.approvals))

    await call.decide(principal, work)
    return await call.read(lambda: _shown(covered, call, principal, asked.proposal))


async def reject(covered: Covered, call: Call, principal: Principal, asked: OneProposal) -> None:
    """Raises NotFound; Refused: it is one's own; WrongState: it has ended."""

    def work(tx: Transaction) -> None:
        stored, person = _held(tx, covered, principal, asked.proposal)
        if stored.proposal.person == person:
            raise Refused("this is your own: withdraw it")
        _end(tx, stored.proposal, State.REJECTED, call, principal)

    await call.decide(principal, work)


async def withdraw(covered: Covered, call: Call, principal: Principal, asked: OneProposal) -> None:
    """Raises NotFound; Refused: it is somebody else's; WrongState: it has ended."""

    def work(tx: Transaction) -> None:
        stored, person = _held(tx, covered, principal, asked.proposal)
        if stored.proposal.person != person:
            raise Refused("this is not your own: reject it")
        _end(tx, stored.proposal, State.WITHDRAWN, call, principal)

    await call.decide(principal, work)


async def enact(covered: Covered, call: Call, principal: Principal, asked: OneProposal) -> Enacted:
    """Have it done, as its author and with the rights of now; the audit has it under its name.

    Raises:
        NotFound
        Void: it would not do any more what people agreed to.
        WrongState: it has ended, or others have to agree first.
        What the operation itself raises.
    """

    def question() -> StoredProposal:
        stored = call.context.reading.proposals.proposal(asked.proposal)
        if stored is None or not _Viewer(call, covered, principal).sees(stored):
            raise NotFound
        return stored

    stored = await call.read(question)
    operation = covered.get(stored.proposal.operation)
    try:
        if operation is None:
            raise Void
        wanted = msgspec.json.decode(stored.asked, type=operation.input)
    except msgspec.MsgspecError as error:  # an older version understood it
        raise Void from error
    answer = await perform(
        call.context, operation, principal=principal, asked=wanted, proposal=asked.proposal
    )
    return Enacted(
        proposal=asked.proposal,
        operation=operation.name,
        answer={} if answer is None else msgspec.to_builtins(answer),
    )


def _held(
    tx: Transaction, covered: Covered, principal: Principal, id: str
) -> tuple[StoredProposal, str]:
    """Return it with the person who asks. Raises NotFound: there is none, for him."""
    stored = tx.proposals.hold(id)
    person = behind(principal.actor, tx.api_token_makers())
    if stored is None or (
        stored.proposal.person != person
        and not may_agree_to(covered, stored.proposal, _signed_in(principal).rights)
    ):
        raise NotFound
    return stored, person


def _able(tx: Transaction, covered: Covered, one: Proposal, call: Call) -> frozenset[str]:
    return frozenset(eyes(tx, covered[one.operation].approver_needs, now=call.now).able)


def _end(
    tx: Transaction, proposal: Proposal, state: State, call: Call, principal: Principal
) -> None:
    tx.proposals.put(proposal.ended(state, by=principal.actor, now=call.now))
    _note(tx, proposal)


def _note(tx: Transaction, proposal: Proposal, **detail: int) -> None:
    tx.note(
        proposal.id,
        proposed=proposal.operation,
        content=proposal.content.hex(),
        author=proposal.author,
        **detail,
    )


def _shown(covered: Covered, call: Call, principal: Principal, id: str) -> ShownProposal:
    viewer = _Viewer(call, covered, principal)
    stored = call.context.reading.proposals.proposal(id)
    if stored is None or not viewer.sees(stored):
        raise NotFound
    return viewer.shown(stored)


def _signed_in(principal: Principal) -> SignedIn:
    if not isinstance(principal, SignedIn):
        raise Unauthenticated
    return principal
