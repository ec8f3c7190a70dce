"""The database was put back from a backup, and somebody says so.

From within a database its own past cannot be told from its present. What happened since the
backup was taken is in machines, in published files and in nothing here.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.server.context import Call
from patchtide.server.ports.audit import LostDecision
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Output

NAMED = 1000
SHUTS_OUT = frozenset(
    {
        "users.disable",
        "users.role",
        "users.link",
        "users.password",
        "roles.define",
        "roles.remove",
        "api-tokens.revoke",
        "keys.remove",
        "keys.stop",
        "machines.quarantine",
        "machines.decommission",
        "freezes.create",
        "freezes.change",
        "settings.set-limits",
        "settings.set-four-eyes",
        "settings.set-second-factor",
    }
)
"""Decisions by which something was forbidden, as a rule; lost, they are to be made again."""


class MarkRestored(Input, kw_only=True, frozen=True):
    numbers_above: Annotated[
        int,
        Meta(
            ge=0,
            lt=1 << 31,
            description="The highest update number that any machine has seen, where it is known.",
        ),
    ] = 0


class Lost(Output, kw_only=True, frozen=True):
    """A decision that was made after the backup, as the archived audit tells it."""

    at: datetime
    actor: str
    operation: str
    subject: str


class Restored(Output, kw_only=True, frozen=True):
    lost: int
    """How many decisions of before the restore the database does not know."""
    items: tuple[Lost, ...]
    """Those first that took something from somebody: make them again. Then all others; of each
    the newest thousand, oldest first."""
    named_until: datetime | None
    """The last that the archive tells of: what was decided later, in the last hour before the
    database was lost, nobody can name. Not set: the archive tells of nothing since the backup."""


async def mark_restored(call: Call, principal: Principal, asked: MarkRestored) -> Restored:
    """Begin a new epoch, and name what was decided since the backup was made.

    Each node notices within seconds and reads again what it remembers. What lives for a day at
    most ends here: of it the database cannot tell what was used up after the backup. Proposals are
    void: some may have been rejected since.
    """
    context = call.context
    lost = await call.read(lambda: context.reading.lost_decisions(context.audit_archive.kept()))

    def work(tx: Transaction) -> None:
        tx.begin_epoch(numbers_above=asked.numbers_above)
        tx.drop_short_lived()
        tx.proposals.void_all(by=principal.actor, now=call.now)
        tx.note("database", numbers_above=asked.numbers_above, lost=len(lost))

    await call.decide(principal, work)
    until = lost[-1].at if lost else None
    return Restored(lost=len(lost), items=_told(lost), named_until=until)


def _told(lost: Sequence[LostDecision]) -> tuple[Lost, ...]:
    first = [one for one in lost if one.operation in SHUTS_OUT]
    others = [one for one in lost if one.operation not in SHUTS_OUT]
    return tuple(
        Lost(at=one.at, actor=one.actor, operation=one.operation, subject=one.subject)
        for one in (*first[-NAMED:], *others[-NAMED:])
    )
