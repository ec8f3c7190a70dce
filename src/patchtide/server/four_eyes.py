"""What needs a second person: which operations, by which rule, and what people agreed to.

An operation that is covered is tried within its own transaction, and undone: what it would note is
what others are shown, and a mistake is told at once. Its author has it done once enough people
agreed. Then the proposal, the change and its audit entry become durable together, and only if all
is as it was: what people agreed to, their rights, and what it is done to.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from patchtide.domain.access.grants import come_to
from patchtide.domain.access.persons import behind
from patchtide.domain.access.principals import Principal
from patchtide.domain.access.proposals import (
    STILL_COUNTED,
    Eyes,
    Missing,
    Proposal,
    Rule,
    State,
    check_open,
    content_of,
    missing,
)
from patchtide.domain.access.rights import Right, holds
from patchtide.domain.errors import NotFound, Refused, StaleRevision, WrongState
from patchtide.server.bound_reach import Reaching, has_grown, written
from patchtide.server.ports.accounts import User
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.proposals import StoredProposal
from patchtide.server.role_book import ROLE_BOOK, read_roles, rights_by

T = TypeVar("T")
FOUR_EYES = "access.four-eyes"
Told = Sequence[tuple[str, Mapping[str, Any]]]
"""What would be noted in the audit, of what."""
SHOWN = 500
"""So many entries of the audit are told of what a proposal would do."""


class Proposed(Exception):
    """It was not done, and is no mistake either: it waits for others, as a proposal."""

    def __init__(self, proposal: Proposal, missing: Missing) -> None:
        self.proposal, self.missing = proposal, missing
        super().__init__(f"proposed: {in_words(missing)}")


class Waiting(Struct, kw_only=True, frozen=True):
    """What is answered in place of what an operation that waits would answer."""

    proposal: str
    waits: str
    missing: int
    """How many people have to agree yet."""
    possible_at: datetime | None
    """When it can be done at the earliest, where time stands for a second person."""
    expires_at: datetime


def waiting(outcome: Proposed) -> Waiting:
    return Waiting(
        proposal=outcome.proposal.id,
        waits=str(outcome),
        missing=outcome.missing.people,
        possible_at=outcome.missing.until,
        expires_at=outcome.proposal.expires_at,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What is done part by part, of which this is the first."""

    changes: int
    counted: int
    """How many of them count against the limits per hour."""
    expected: int
    """How many of them are of machines that are not there yet."""
    seen: object


@dataclass(eq=False, kw_only=True)
class Waits(Exception):
    """What was tried is undone, and needs others first."""

    content: bytes
    asked: bytes
    told: Told
    changes: int
    reach: bytes


class Void(StaleRevision):
    """What was proposed is not what it would do now: propose it again."""

    code = "proposal-void"


def read_rule(data: bytes | None) -> Rule:
    return msgspec.msgpack.decode(data, type=Rule) if data else Rule()


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """An operation that was tried, for whoever says whether the rule covers it."""

    tx: Transaction
    actor: str
    asked: Any
    rule: Rule
    changes: int
    """How many entries of the audit it would leave."""
    now: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class FourEyes:
    """Declared with an operation: when the rule covers it, and what people agree to."""

    covers: Callable[[Asking], bool] = lambda asking: True
    seen: Callable[[Transaction, Any], object] | None = None
    """What it is done to, as it is before; none: what it would note says that as well."""
    reaches: Callable[[Transaction, Any], Collection[str]] = lambda tx, asked: ()
    """Where the rights end that others agree to: at no more machines than when it was proposed."""
    approver: Right | None = None
    """What others must hold everywhere to agree, besides what it needs itself."""
    approver_for: Callable[[Told], bool] = lambda told: True
    """Whether they must, for what it would note."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """A covered operation, as somebody asks for it."""

    operation: str
    asked: Struct
    four_eyes: FourEyes
    needs: Sequence[Right]
    """What it needs itself, which others must hold to agree."""
    proposal: str = ""
    """What is enacted by it; none: it is asked for by itself."""

    def needs_for(self, told: Told) -> tuple[Right, ...]:
        """Return what others must hold to agree to what it would note."""
        return needs_of(self.needs, self.four_eyes, told)

    def carried_out(
        self,
        tx: Transaction,
        principal: Principal,
        work: Callable[[Transaction], T],
        *,
        whole: Whole | None = None,
        reaching: Reaching,
        now: datetime,
    ) -> T:
        """Do the work, if nobody else has to agree or enough people did.

        Raises:
            Waits: others have to.
            Void: what they agreed to is not what it does now.
            WrongState: the proposal has ended, or still lacks something.
        """
        rule = read_rule(tx.setting(FOUR_EYES))
        if not rule.is_on:
            if self.proposal:
                raise WrongState("no second person is asked for any more: ask for it by itself")
            return work(tx)
        held = self._held(tx, principal, rule, now) if self.proposal else None
        places = self.four_eyes.reaches(tx, self.asked)
        before = self.four_eyes.seen(tx, self.asked) if self.four_eyes.seen else None
        done = work(tx)
        told, changes = tx.noted, len(tx.noted)
        seen = [detail for _, detail in told] if before is None else before
        if whole is not None:
            seen, changes = [whole.seen, seen], whole.changes
        asked = canonical(self.asked)
        content = content_of(self.operation, asked, canonical(seen))
        if held is not None:
            if has_grown(held.reach, reaching(places)):
                raise Void
            self._enact(tx, held, content, by=principal.actor, now=now)
            return done
        asking = Asking(
            tx=tx, actor=principal.actor, asked=self.asked, rule=rule, changes=changes, now=now
        )
        if told and self.four_eyes.covers(asking):
            reach = written(reaching(places))
            told = told[:SHOWN]
            raise Waits(content=content, asked=asked, told=told, changes=changes, reach=reach)
        return done

    def _held(
        self, tx: Transaction, principal: Principal, rule: Rule, now: datetime
    ) -> StoredProposal:
        stored = tx.proposals.hold(self.proposal)
        if stored is None or stored.proposal.operation != self.operation:
            raise NotFound
        check_open(stored.proposal, now)
        if behind(principal.actor, tx.api_token_makers()) != stored.proposal.person:
            raise Refused("only who proposed it has it done")
        able = eyes(tx, self.needs_for(stored.told), now=now)
        lacks = missing(stored.proposal, rule, able, now=now)
        if not lacks.is_nothing:
            raise WrongState(f"the proposal {in_words(lacks)}")
        return stored

    def _enact(
        self, tx: Transaction, held: StoredProposal, content: bytes, *, by: str, now: datetime
    ) -> None:
        proposal = held.proposal
        if content != proposal.content:
            raise Void
        tx.proposals.put(proposal.ended(State.ENACTED, by=by, now=now))
        agreed = ", ".join(one.person for one in proposal.approvals)
        tx.remark(proposal=proposal.id, approved_by=agreed or "nobody: there was nobody else")


def needs_of(needs: Sequence[Right], four_eyes: FourEyes | None, told: Told) -> tuple[Right, ...]:
    if four_eyes is None or four_eyes.approver is None or not four_eyes.approver_for(told):
        return tuple(needs)
    return (*needs, four_eyes.approver)


def canonical(value: object) -> bytes:
    return msgspec.json.encode(value, order="deterministic")


def eyes(tx: Transaction, needs: Sequence[Right], *, now: datetime) -> Eyes:
    """Return who may agree. Until the end of this transaction the answer stays true."""
    return eyes_among([*tx.lock_users(), *tx.disabled_users()], needs, tx.setting, now=now)


def eyes_among(
    users: Iterable[User],
    needs: Sequence[Right],
    setting: Callable[[str], bytes | None],
    *,
    now: datetime,
) -> Eyes:
    able, lately, unknown = set[str](), set[str](), set[str]()
    roles = rights_by(read_roles(setting(ROLE_BOOK)).values())
    for user in users:
        if user.let_in_by:
            unknown.add(f"user:{user.id}")
        elif may_agree(come_to(user.rights, roles), needs):
            if user.is_able:
                able.add(f"user:{user.id}")
            elif user.disabled_at is not None and now - user.disabled_at < STILL_COUNTED:
                lately.add(f"user:{user.id}")
    return Eyes(able=able, lately=lately, unknown=unknown)


def may_agree(held: Iterable[Right], needs: Iterable[Right]) -> bool:
    """Say whether somebody with these rights may agree: all of them, and everywhere."""
    held = frozenset(held)
    return all(holds(held, need.everywhere) for need in needs)


def in_words(lacks: Missing) -> str:
    waits = []
    if lacks.people:
        waits.append(f"for {lacks.people} more {'person' if lacks.people == 1 else 'people'}")
    if lacks.until is not None:
        at = f"{lacks.until:%Y-%m-%d %H:%M} UTC"
        waits.append(f"until {at}, as there is nobody else who could approve it")
    return f"waits {', and '.join(waits)}" if waits else "can be done"
