"""Decisions about proposals: to agree, to end one, and to have it done."""

from __future__ import annotations

from hashlib import sha256
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from patchtide.domain.access.persons import behind
from patchtide.domain.access.principals import Principal, somebody
from patchtide.domain.access.proposals import Eyes, Proposal, State, approved, check_open
from patchtide.domain.errors import NotFound, Refused
from patchtide.server.context import Call
from patchtide.server.four_eyes import Void, eyes
from patchtide.server.patterns import SHA256, or_nothing
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.proposals import StoredProposal
from patchtide.server.shown_proposals import (
    Covered,
    OneProposal,
    ShownProposal,
    Viewer,
    input_of,
    is_cut,
    may_agree_to,
    show,
)
from patchtide.server.table import Output, perform


class ApproveProposal(OneProposal, kw_only=True, frozen=True):
    content: Annotated[
        str,
        Meta(
            pattern=or_nothing(SHA256),
            description="Only if this is the SHA-256 of what it would do, as it was shown.",
        ),
    ] = ""
    whole: Annotated[
        str,
        Meta(
            pattern=or_nothing(SHA256),
            description="The SHA-256 of its whole input, which was read: of one that is shown cut.",
        ),
    ] = ""


class Enacted(Output, kw_only=True, frozen=True):
    proposal: str
    operation: str
    answer: dict[str, Any]
    """What the operation answered."""


async def approve(
    covered: Covered, call: Call, principal: Principal, asked: ApproveProposal
) -> ShownProposal:
    """Agree to it; who proposed it has it done once enough people have.

    Raises:
        NotFound
        Refused: it is her own, or no person asks, or she looked at something else, or not at all.
        NotVouchedFor: somebody else let her in, and she counts as nobody yet.
        WrongState: it has ended, or she agreed before.
    """
    rights = somebody(principal).rights
    kept = await call.read(lambda: call.context.reading.proposals.proposal(asked.proposal))

    def work(tx: Transaction) -> None:
        stored, person = _held(tx, covered, principal, asked.proposal)
        content = bytes.fromhex(asked.content) or stored.proposal.content
        one = approved(
            stored.proposal,
            by=principal.actor,
            person=person,
            content=content,
            eyes=_eyes(tx, covered, stored, call),
            now=call.now,
        )
        if not may_agree_to(covered, stored, rights):
            raise Refused("you could not do this yourself")
        if kept is None or (is_cut(kept) and asked.whole != _digest(kept)):
            raise Refused("not all of it was on that page: read all of it, and approve it there")
        tx.proposals.put(one)
        _note(tx, one, approvals=len(one.approvals))

    await call.decide(principal, work)
    return await show(covered, call, principal, asked)


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
        if stored is None or not Viewer(call, covered, principal).sees(stored):
            raise NotFound
        check_open(stored.proposal, call.now)
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
        and not may_agree_to(covered, stored, somebody(principal).rights)
    ):
        raise NotFound
    return stored, person


def _eyes(tx: Transaction, covered: Covered, one: StoredProposal, call: Call) -> Eyes:
    operation = covered.get(one.proposal.operation)
    needs = operation.approver_needs(one.told) if operation else ()
    return eyes(tx, needs, now=call.now)


def _end(
    tx: Transaction, proposal: Proposal, state: State, call: Call, principal: Principal
) -> None:
    tx.proposals.put(proposal.ended(state, by=principal.actor, now=call.now))
    _note(tx, proposal)


def _digest(one: StoredProposal) -> str:
    return sha256(input_of(one)).hexdigest()


def _note(tx: Transaction, proposal: Proposal, **detail: int) -> None:
    tx.note(
        proposal.id,
        proposed=proposal.operation,
        content=proposal.content.hex(),
        author=proposal.author,
        **detail,
    )
