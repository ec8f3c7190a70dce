"""Four eyes: what one person proposes counts only once others agreed to that very thing (S15).

A proposal is bound to the SHA-256 of what would be done and of what it would be done to, and is
never edited: who wants something else proposes something else, and nobody has agreed to that yet.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256

from patchtide.domain.access.persons import is_person
from patchtide.domain.errors import Refused, WrongState

STILL_COUNTED = timedelta(days=7)
"""So long somebody who was shut out counts among those who could agree: otherwise whoever shuts
out everybody else would be alone at once, and need nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a site asks for. It begins without."""

    is_on: bool = False
    approvers: int = 1
    """So many people besides the author."""
    machines: int = 50
    """More machines than that at once are never one person's decision."""
    delay: timedelta = timedelta(hours=24)
    """What stands for the second person where there is none."""
    lasts: timedelta = timedelta(days=7)

    def is_weaker_than(self, other: Rule) -> bool:
        """Say whether it lets anything pass that the other one holds up."""
        return other.is_on and (
            not self.is_on
            or self.approvers < other.approvers
            or self.machines > other.machines
            or self.delay < other.delay
            or self.lasts > other.lasts
        )


class State(StrEnum):
    OPEN = "open"
    ENACTED = "enacted"
    REJECTED = "rejected"
    WITHDRAWN = "withdrawn"
    VOID = "void"
    """What it was about has changed, so nobody has agreed to what it would do now."""
    EXPIRED = "expired"


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    person: str
    by: str
    """With what she asked: herself, or a token of hers."""
    at: datetime
    content: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    id: str
    operation: str
    content: bytes
    """The SHA-256 of all that people agree to."""
    author: str
    person: str
    """Who stands behind the author."""
    author_counts: bool = True
    """That was a person whom others can tell from themselves, when it was proposed."""
    at: datetime
    expires_at: datetime
    state: State = State.OPEN
    approvals: tuple[Approval, ...] = ()
    ended_at: datetime | None = None
    ended_by: str = ""

    def state_at(self, now: datetime) -> State:
        is_over = self.state is State.OPEN and now >= self.expires_at
        return State.EXPIRED if is_over else self.state

    def ended(self, state: State, *, by: str, now: datetime) -> Proposal:
        """Raises WrongState: it has ended before."""
        check_open(self, now)
        return replace(self, state=state, ended_at=now, ended_by=by)


@dataclass(frozen=True, slots=True, kw_only=True)
class Eyes:
    """Who may agree to something like it."""

    able: Set[str]
    """People who hold all that it needs, and are not shut out."""
    lately: Set[str] = frozenset()
    """Those who did, and were shut out within the last days."""
    unknown: Set[str] = frozenset()
    """Accounts that somebody else let in, and for which nobody has vouched since: each may be
    whoever let it in, so it counts as nobody."""

    def knows(self, person: str) -> bool:
        """Say whether that is a person, and nobody else who counts as one."""
        return is_person(person) and person not in self.unknown


class NotVouchedFor(Refused):
    """Nobody has vouched for you since somebody else let you in, so you count as nobody here."""

    code = "not-vouched-for"


@dataclass(frozen=True, slots=True, kw_only=True)
class Missing:
    """What it lacks until it may be done: people, or time."""

    people: int = 0
    until: datetime | None = None

    @property
    def is_nothing(self) -> bool:
        return not self.people and self.until is None


def content_of(operation: str, asked: bytes, seen: bytes) -> bytes:
    """Return what people agree to: the operation, its input, and what it would be done to."""
    digest = sha256()
    for part in (operation.encode(), asked, seen):
        digest.update(len(part).to_bytes(8, "big") + part)
    return digest.digest()


def check_open(proposal: Proposal, now: datetime) -> None:
    """Raises WrongState."""
    state = proposal.state_at(now)
    if state is not State.OPEN:
        raise WrongState(f"the proposal is {state}")


def approved(
    proposal: Proposal, *, by: str, person: str, content: bytes, eyes: Eyes, now: datetime
) -> Proposal:
    """Return it with one more who agrees to that very content.

    Raises:
        Refused: it is the author, or no person, or she could not do it herself; or she looked at
            something else.
        NotVouchedFor: she may be somebody who is counted already.
        WrongState: it has ended, or she agreed before.
    """
    check_open(proposal, now)
    if not is_person(person):
        raise Refused("people approve, and no person stands behind this token")
    if person == proposal.person:
        raise Refused("whoever proposed it cannot approve it")
    if person in eyes.unknown:
        raise NotVouchedFor
    if person not in eyes.able:
        raise Refused("you could not do this yourself")
    if content != proposal.content:
        raise Refused("this is not what was proposed; look at it again")
    if any(one.person == person for one in proposal.approvals):
        raise WrongState("you have approved it already")
    approval = Approval(person=person, by=by, at=now, content=content)
    return replace(proposal, approvals=(*proposal.approvals, approval))


def missing(proposal: Proposal, rule: Rule, eyes: Eyes, *, now: datetime) -> Missing:
    """Say what it lacks; whether it has ended is asked apart.

    So many as the rule says stand behind it besides its author, or all who could, if they are
    fewer. Where those are one with the author, or none, the delay stands for the second person.

    An author who is no person, or nobody knows who she is, is none of them: one more stands behind
    it. An approval of who is shut out, or has lost the right, counts no more.
    """
    if not rule.is_on:
        return Missing()
    counts = proposal.author_counts and is_person(proposal.person)
    own = {proposal.person} if counts else set[str]()
    people = own | eyes.able | eyes.lately
    agreed = {one.person for one in proposal.approvals if one.content == proposal.content}
    standing = own | (agreed & eyes.able)
    until = proposal.at + rule.delay
    return Missing(
        people=max(0, min(rule.approvers + 1, len(people)) - len(standing)),
        until=until if len(people) < 2 and now < until else None,
    )
