"""A proposal is made of what was tried, kept until others agree, and called void when it is."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta

from patchtide.domain.access.persons import behind
from patchtide.domain.access.proposals import Eyes, Proposal, State, missing
from patchtide.domain.errors import TooMuch
from patchtide.server.four_eyes import (
    FOUR_EYES,
    Proposed,
    Waits,
    Watched,
    eyes,
    read_rule,
)
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.proposals import StoredProposal

PROPOSED, VOIDED = "proposals.propose", "proposals.void"
"""The audit's words for what nobody asks for by these names."""
MOST_OPEN = 50
"""So many of one person wait at once."""
MOST_AN_HOUR = 100
"""So many one person proposes within an hour, with those that have ended."""
MOST_BYTES = 20 << 20
"""So long the inputs of all that one person lets wait are together."""


def propose(
    tx: Transaction, watched: Watched, waits: Waits, *, actor: str, now: datetime
) -> Proposed:
    """Keep what waits, once: whoever asks for the same again has proposed it already.

    Raises:
        TooMuch: too many of hers wait.
    """
    rule = read_rule(tx.setting(FOUR_EYES))
    person = behind(actor, tx.api_token_makers())
    waiting = tx.proposals.open_of(person, now=now)
    same = [one.proposal for one in waiting if one.proposal.content == waits.content]
    if not same:
        _check_room(tx, person, open_=len(waiting), asked=waits.asked, now=now)
    could = eyes(tx, watched.needs_for(waits.told), now=now)
    made = same[0] if same else _made(watched, waits, actor, person, could, now, lasts=rule.lasts)
    lacks = missing(made, rule, could, now=now)
    if not same:
        tx.proposals.add(
            StoredProposal(
                proposal=made,
                asked=waits.asked,
                told=tuple(waits.told),
                changes=waits.changes,
                reach=waits.reach,
            )
        )
        tx.note(
            made.id,
            proposed=made.operation,
            content=made.content.hex(),
            until=made.expires_at.isoformat(),
            alone_from=lacks.until.isoformat() if lacks.until else "",
        )
    return Proposed(made, lacks)


def _check_room(tx: Transaction, person: str, *, open_: int, asked: bytes, now: datetime) -> None:
    """Raises TooMuch."""
    if open_ >= MOST_OPEN:
        raise TooMuch(f"{MOST_OPEN} proposals of yours wait already; withdraw some")
    if tx.proposals.made_since(person, now - timedelta(hours=1)) >= MOST_AN_HOUR:
        raise TooMuch(f"you proposed {MOST_AN_HOUR} times within an hour; wait a little")
    if tx.proposals.open_bytes(person, now=now) + len(asked) > MOST_BYTES:
        raise TooMuch(f"more than {MOST_BYTES >> 20} MB of yours would wait; withdraw some")


def _made(
    watched: Watched,
    waits: Waits,
    actor: str,
    person: str,
    could: Eyes,
    now: datetime,
    *,
    lasts: timedelta,
) -> Proposal:
    return Proposal(
        id=secrets.token_hex(6),
        operation=watched.operation,
        content=waits.content,
        author=actor,
        person=person,
        author_counts=could.knows(person),
        at=now,
        expires_at=now + lasts,
    )


def call_void(tx: Transaction, watched: Watched, *, actor: str, now: datetime) -> None:
    stored = tx.proposals.hold(watched.proposal)
    if stored is not None and stored.proposal.state_at(now) is State.OPEN:
        tx.proposals.put(stored.proposal.ended(State.VOID, by=actor, now=now))
        tx.note(watched.proposal, proposed=watched.operation)
