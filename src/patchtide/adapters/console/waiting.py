"""How many proposals wait for whoever looks at a page: for her to agree, or to have hers done."""

from __future__ import annotations

import asyncio
from typing import Protocol

from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.errors import PatchtideError
from patchtide.server.context import Context
from patchtide.server.shown_proposals import ProposalList


class _Desk(Protocol):
    @property
    def context(self) -> Context: ...

    async def ask(self, visit: Visit, operation: str, /) -> ProposalList: ...


async def waiting_for(desk: _Desk, visit: Visit) -> int:
    """Ask once whether any is open; only then look whose."""
    if not isinstance(visit.principal, SessionHolder) or visit.wants_fragment:
        return 0
    proposals, now = desk.context.reading.proposals, desk.context.clock.now()
    if not await asyncio.to_thread(lambda: proposals.any_open(now)):
        return 0
    try:
        found = (await desk.ask(visit, "proposals.list")).items
    except PatchtideError:  # whoever lacks the second factor is asked for that first
        return 0
    return sum(one.may_approve or one.may_enact for one in found)
