"""Whose other updaters are held back: a machine may get no security updates by it.

So whoever has more of them held back, or new machines reached at any hour for longer, has just
proved who she is, and what the audit says of it tells whether others have to agree.
"""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.proofs import check_proof
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.kept_agent_settings import (
    AGENTS,
    OF_COLLECTIONS,
    TAKE_OVER,
    KeptAgents,
    Order,
    read_agents,
    read_order,
)
from patchtide.server.ports.decisions import Transaction

TAKES_OVER, BUILD_WAS = "takes_over", "build_was"
"""What the audit says: of how many machines others are held back now, and what was raised."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What is said of agents, for the site and for collections."""

    site: KeptAgents
    order: Order

    @property
    def holders(self) -> Set[UUID | None]:
        """Return who says that others are held back; None: the site."""
        found: set[UUID | None] = {
            one.collection for one in self.order if one.said.updaters == TAKE_OVER
        }
        return found | {None} if self.site.updaters == TAKE_OVER else found

    def held_back(self, fleet: Fleet, view: View) -> BitMap:
        """Return the machines whose other updaters are to be held back."""
        left, held = view.present.copy(), BitMap()
        for one in self.order:
            members = fleet.collections.targets_of(view, one.collection) & left
            if (one.said.updaters or self.site.updaters) == TAKE_OVER:
                held |= members
            left -= members
        return held | left if self.site.updaters == TAKE_OVER else held


def said(tx: Transaction) -> Said:
    return Said(site=read_agents(tx.setting(AGENTS)), order=read_order(tx.setting(OF_COLLECTIONS)))


def decides_who_is_held_back(tx: Transaction, collections: Set[UUID]) -> bool:
    """Say whether others are held back somewhere, and one of these says where."""
    now = said(tx)
    return bool(now.holders) and not saying_where(now.order).isdisjoint(collections)


def saying_where(order: Order) -> frozenset[UUID]:
    """Return the collections that say of their machines whether others are held back there."""
    return frozenset(one.collection for one in order if one.said.updaters)


async def look(call: Call) -> None:
    """Find out who is in which collection, for machines' reports wait for whoever decides."""
    fleet = call.context.fleet
    await call.read_fleet(lambda: fleet.ask(fleet.collections.ground))


def check_raised(call: Call, principal: Principal, was: Said, now: Said) -> dict[str, int]:
    """Return what the audit says of what is taken from machines by this change, if anything is.

    Raises:
        SignInAgain: it is, and she must prove anew who she is.
    """
    raised = dict[str, int]()
    if now.site.build_h > was.site.build_h:
        raised[BUILD_WAS] = was.site.build_h
    if now.holders:
        fleet = call.context.fleet
        before, after = fleet.ask(
            lambda view: (was.held_back(fleet, view), now.held_back(fleet, view))
        )
        if now.holders - was.holders or after - before:
            raised[TAKES_OVER] = len(after)
    if raised:
        check_proof(principal, now=call.now, only_people=False)
    return raised
