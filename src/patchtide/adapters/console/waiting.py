"""How many proposals wait for whoever looks at a page: for her to agree, or to have hers done."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol

from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.access.rights import Right
from patchtide.domain.errors import PatchtideError
from patchtide.server.context import Context
from patchtide.server.shown_proposals import ProposalList

KEPT_FOR = timedelta(minutes=1)
"""What others may do meanwhile, who could agree besides, changes the number only rarely."""
VISITORS = 200


What = tuple[int, float, int]
"""How many proposals are open, and what else tells one such moment from another."""
NOTHING: What = (0, 0.0, 0)


class _Desk(Protocol):
    @property
    def context(self) -> Context: ...

    async def ask(self, visit: Visit, operation: str, /) -> ProposalList: ...


@dataclass(frozen=True, slots=True)
class _Counted:
    what: What
    rights: frozenset[Right]
    at: datetime
    number: int


@dataclass(slots=True)
class Waiting:
    """The numbers as they were counted; whether they still hold is one small question."""

    _counted: OrderedDict[str, _Counted] = field(default_factory=OrderedDict)

    async def what_is_open(self, desk: _Desk) -> What:
        """Ask it while it is still looked up who visits: each wait is a lap of a busy server."""
        proposals, now = desk.context.reading.proposals, desk.context.clock.now()
        return await asyncio.to_thread(lambda: proposals.what_is_open(now))

    async def number_for(self, desk: _Desk, visit: Visit, what: What) -> int:
        who, now = visit.principal, desk.context.clock.now()
        if not what[0] or not isinstance(who, SessionHolder) or visit.wants_fragment:
            return 0
        known = self._counted.get(who.user_id)
        if (
            known is None
            or (known.what, known.rights) != (what, who.rights)
            or not timedelta() <= now - known.at < KEPT_FOR
        ):
            number = await _counted(desk, visit)
            if number is None:
                return 0
            known = _Counted(what, who.rights, now, number)
            self._counted[who.user_id] = known
            self._counted.move_to_end(who.user_id)
            while len(self._counted) > VISITORS:
                self._counted.popitem(last=False)
        return known.number


async def _counted(desk: _Desk, visit: Visit) -> int | None:
    try:
        found = (await desk.ask(visit, "proposals.list")).items
    except PatchtideError:  # whoever lacks the second factor is asked for that first
        return None
    return sum(one.may_approve or one.may_enact for one in found)
