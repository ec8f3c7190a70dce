from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from patchtide.domain.access.persons import behind
from patchtide.domain.access.proposals import (
    Approval,
    Eyes,
    Missing,
    NotVouchedFor,
    Proposal,
    Rule,
    State,
    approved,
    content_of,
    missing,
)
from patchtide.domain.errors import Refused, WrongState

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
ON = Rule(is_on=True, delay=timedelta(hours=24))
MARIA, TOM, EVE, BOT = "user:maria", "user:tom", "user:eve", "api-token:bot"
HOUR = timedelta(hours=1)


def a_proposal(
    *agreed: str, person: str = MARIA, content: bytes = b"this", author_counts: bool = True
) -> Proposal:
    approvals = tuple(Approval(person=p, by=p, at=NOON, content=content) for p in agreed)
    return Proposal(
        id="1", operation="users.role", content=b"this", author=person, person=person, at=NOON,
        expires_at=NOON + ON.lasts, approvals=approvals, author_counts=author_counts,
    )  # fmt: skip


def could(*able: str, lately: tuple[str, ...] = ()) -> Eyes:
    return Eyes(able=frozenset(able), lately=frozenset(lately))


WAITS = Missing(until=NOON + ON.delay)
CASES = {
    "nobody has agreed": (a_proposal(), ON, could(MARIA, TOM), HOUR, Missing(people=1)),
    "somebody has": (a_proposal(TOM), ON, could(MARIA, TOM), HOUR, Missing()),
    "the author agreed herself": (
        a_proposal(MARIA), ON, could(MARIA, TOM), HOUR, Missing(people=1),
    ),
    "to something else": (
        a_proposal(TOM, content=b"that"), ON, could(MARIA, TOM), HOUR, Missing(people=1),
    ),
    "who agreed was shut out": (
        a_proposal(TOM), ON, could(MARIA, EVE, lately=(TOM,)), HOUR, Missing(people=1),
    ),
    "who agreed has lost the right": (
        a_proposal(TOM), ON, could(MARIA, EVE), HOUR, Missing(people=1),
    ),
    "two are asked for": (
        a_proposal(TOM), replace(ON, approvers=2), could(MARIA, TOM, EVE), HOUR, Missing(people=1),
    ),
    "two are asked for and one is there": (
        a_proposal(TOM), replace(ON, approvers=2), could(MARIA, TOM), HOUR, Missing(),
    ),
    "there is nobody else": (a_proposal(), ON, could(MARIA), HOUR, WAITS),
    "there is nobody else, a day later": (a_proposal(), ON, could(MARIA), 24 * HOUR, Missing()),
    "the other one was just shut out": (
        a_proposal(), ON, could(MARIA, lately=(TOM,)), 25 * HOUR, Missing(people=1),
    ),
    "no person proposed it": (
        a_proposal(TOM, person=BOT), ON, could(MARIA, TOM), HOUR, Missing(people=1),
    ),
    "no person proposed it, and two agreed": (
        a_proposal(TOM, MARIA, person=BOT), ON, could(MARIA, TOM), HOUR, Missing(),
    ),
    "no person proposed it, and there is one": (
        a_proposal(MARIA, person=BOT), ON, could(MARIA), HOUR, WAITS,
    ),
    "no person proposed it, and the only one has not agreed": (
        a_proposal(person=BOT), ON, could(MARIA), HOUR, replace(WAITS, people=1),
    ),
    "nobody knows who proposed it": (
        a_proposal(TOM, author_counts=False), ON, could(TOM, EVE), HOUR, Missing(people=1),
    ),
    "nobody knows who proposed it, and there is one": (
        a_proposal(TOM, author_counts=False), ON, could(TOM), HOUR, WAITS,
    ),
    "the rule is off": (a_proposal(), Rule(), could(MARIA, TOM), HOUR, Missing()),
}  # fmt: skip


@pytest.mark.parametrize(
    ("proposal", "rule", "eyes", "later", "expected"), CASES.values(), ids=CASES
)
def test_what_a_proposal_lacks(
    proposal: Proposal, rule: Rule, eyes: Eyes, later: timedelta, expected: Missing
) -> None:
    assert missing(proposal, rule, eyes, now=NOON + later) == expected


REFUSALS = {
    "its author": (a_proposal(), MARIA, b"this", HOUR, Refused),
    "no person": (a_proposal(), BOT, b"this", HOUR, Refused),
    "who saw something else": (a_proposal(), TOM, b"that", HOUR, Refused),
    "the same one twice": (a_proposal(TOM), TOM, b"this", HOUR, WrongState),
    "who has not the right": (a_proposal(), "user:ann", b"this", HOUR, Refused),
    "who was let in by somebody": (a_proposal(), "user:new", b"this", HOUR, NotVouchedFor),
    "too late": (a_proposal(), TOM, b"this", ON.lasts, WrongState),
    "after it was rejected": (
        replace(a_proposal(), state=State.REJECTED), TOM, b"this", HOUR, WrongState,
    ),
}  # fmt: skip


@pytest.mark.parametrize(
    ("proposal", "person", "content", "later", "error"), REFUSALS.values(), ids=REFUSALS
)
def test_who_cannot_approve(
    proposal: Proposal, person: str, content: bytes, later: timedelta, error: type[Exception]
) -> None:
    eyes = replace(could(MARIA, TOM, EVE), unknown={"user:new"})
    with pytest.raises(error):
        approved(proposal, by=person, person=person, content=content, eyes=eyes, now=NOON + later)


def test_what_has_ended_does_not_end_again() -> None:
    ended = a_proposal().ended(State.ENACTED, by=MARIA, now=NOON)

    with pytest.raises(WrongState, match="enacted"):
        ended.ended(State.ENACTED, by=MARIA, now=NOON)


def test_parts_that_run_together_are_not_the_same_content() -> None:
    assert content_of("a", b"bc", b"") != content_of("a", b"b", b"c")


WEAKER = {
    "off": Rule(),
    "fewer people": replace(ON, approvers=1),
    "more machines": replace(ON, approvers=2, machines=51),
    "a shorter delay": replace(ON, approvers=2, delay=HOUR),
    "a longer life": replace(ON, approvers=2, lasts=timedelta(days=8)),
}


@pytest.mark.parametrize("rule", WEAKER.values(), ids=WEAKER)
def test_a_rule_that_lets_more_pass_is_weaker(rule: Rule) -> None:
    assert rule.is_weaker_than(replace(ON, approvers=2)) and not rule.is_weaker_than(Rule())


BEHIND = {
    "a person": (MARIA, MARIA),
    "her token": ("api-token:a", MARIA),
    "a token made with it": ("api-token:b", MARIA),
    "a token that nobody made": ("api-token:root", "api-token:root"),
    "what that one made": ("api-token:c", "api-token:root"),
}


@pytest.mark.parametrize(("actor", "person"), BEHIND.values(), ids=BEHIND)
def test_who_stands_behind(actor: str, person: str) -> None:
    makers = {"a": MARIA, "b": "api-token:a", "root": "anonymous", "c": "api-token:root"}

    assert behind(actor, makers) == person
