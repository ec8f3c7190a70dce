"""How the agents of a collection's machines behave, where that is not the site's way."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.collection_asks import held
from patchtide.server.collection_checks import check_settled, one_for
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.kept_agent_settings import (
    AGENTS,
    HOUR_S,
    OF_COLLECTIONS,
    KeptAgents,
    KeptForCollection,
    Order,
    UpdatersName,
    laid_over,
    read_agents,
    read_order,
    scan_rule_of,
    settings_in,
)
from patchtide.server.ports.decisions import Transaction
from patchtide.server.site_agents import NO_ANCHOR, SaidAgents
from patchtide.server.table import Input, Nothing, Output
from patchtide.server.taking_over import check_raised, look, said

MOST = 100
"""Collections that have settings of their own."""


class SetCollectionAgents(SaidAgents, kw_only=True, frozen=True):
    """What is not said is as for the whole site."""

    collection: Annotated[UUID, Meta(description="The collection's id.")]
    place: Annotated[
        int,
        Meta(ge=0, le=MOST, description="Its place in the order; 0: where it is, else the last."),
    ] = 0


class OfCollection(Input, kw_only=True, frozen=True):
    collection: Annotated[UUID, Meta(description="The collection's id.")]


class CollectionAgents(Output, kw_only=True, frozen=True):
    place: int
    """Of the collections that a machine is in the one with the lowest place decides."""
    collection: UUID
    name: str
    poll_s: int
    """Seconds between two check-ins; 0: as for the whole site."""
    scan_every_h: int
    """Hours between two scans; 0: as for the whole site."""
    cycle: str
    """Whose days machines scan on besides; empty: as for the whole site."""
    days_after: int
    for_days: int
    at: str
    zone: str
    updaters: UpdatersName
    """What becomes of others that install updates there; empty: as for the whole site."""
    postpone_times: int | None
    """How often users may put off what is due there; null: as for the whole site."""
    postpone_h: int | None
    """For how many hours in all; null: as for the whole site."""
    machines: int
    """How many it can decide for: those in the collection, of tier 0 only if that is."""
    decides_for: int
    """How many of those are in none before it in the order."""


class CollectionAgentsList(Output, kw_only=True, frozen=True):
    items: tuple[CollectionAgents, ...]


async def show(call: Call, principal: Principal, asked: Nothing) -> CollectionAgentsList:
    lookups = call.context.lookups
    order = read_order(await call.read(lambda: lookups.setting(OF_COLLECTIONS)))
    return await _shown(call, order)


async def set_agents(
    call: Call, principal: Principal, asked: SetCollectionAgents
) -> CollectionAgentsList:
    """Put it at a place in the order.

    Raises:
        InvalidDocument: an interval is out of its limits, the words make no days, or nothing is
            said.
        NotFound: there is no such collection.
        SignInAgain: other updaters would be held back on more machines.
        WrongState: who is in it follows from how machines stand, or there are too many.
    """
    wanted = asked.kept()
    if wanted == KeptAgents():
        raise InvalidDocument([Problem("poll_s", "is missing, as is all else that can be said")])

    def work(tx: Transaction) -> Order:
        known = held(tx)
        one = one_for(principal, known, asked.collection)
        check_settled({key: each.definition for key, each in known.items()}, [one.id])
        site = read_agents(tx.setting(AGENTS))
        order = list(read_order(tx.lock_setting(OF_COLLECTIONS)))
        was = next((each for each in order if each.collection == one.id), None)
        settings_in(laid_over(site, wanted))
        kept = KeptForCollection(
            collection=one.id,
            said=_since(site, was.said if was else KeptAgents(), wanted, now=call.now),
        )
        place = asked.place - 1 if asked.place else order.index(was) if was else len(order)
        if was:
            order.remove(was)
        order.insert(place, kept)
        if len(order) > MOST:
            raise WrongState(f"{MOST} collections have settings for agents already")
        before = said(tx)
        raised = check_raised(call, principal, before, replace(before, order=tuple(order)))
        tx.put_setting(OF_COLLECTIONS, msgspec.msgpack.encode(order))
        tx.note(
            one.id.hex,
            name=one.name,
            place=order.index(kept) + 1,
            poll_s=asked.poll_s,
            scan_every_h=asked.scan_every_h,
            cycle=asked.cycle,
            updaters=asked.updaters,
            postpone_times=asked.postpone_times,
            postpone_h=asked.postpone_h,
            **raised,
        )
        return tuple(order)

    await look(call)
    return await _decided(call, await call.decide(principal, work))


async def clear(call: Call, principal: Principal, asked: OfCollection) -> CollectionAgentsList:
    """Let its machines go by the next in the order, or by the site.

    Raises:
        NotFound: there is no such collection, or it has no settings.
        SignInAgain: other updaters would be held back on more machines.
    """

    def work(tx: Transaction) -> Order:
        one = one_for(principal, held(tx), asked.collection)
        order = read_order(tx.lock_setting(OF_COLLECTIONS))
        left = tuple(each for each in order if each.collection != one.id)
        if len(left) == len(order):
            raise NotFound(f"{one.name} has no settings for agents")
        before = said(tx)
        raised = check_raised(call, principal, before, replace(before, order=left))
        tx.put_setting(OF_COLLECTIONS, msgspec.msgpack.encode(left))
        tx.note(one.id.hex, name=one.name, **raised)
        return left

    await look(call)
    return await _decided(call, await call.decide(principal, work))


def _since(site: KeptAgents, was: KeptAgents, wanted: KeptAgents, *, now: datetime) -> KeptAgents:
    """Note when the interval between scans became another, and what it was before."""
    if wanted.scan_every_s == was.scan_every_s:
        return msgspec.structs.replace(wanted, before_s=was.before_s, since=was.since)
    before_s = scan_rule_of(laid_over(site, was)).before(now.astimezone(UTC))
    return msgspec.structs.replace(wanted, before_s=before_s, since=now.timestamp())


async def _decided(call: Call, order: Order) -> CollectionAgentsList:
    agents, fleet = call.context.agents, call.context.fleet
    await call.read(lambda: agents.load(call.context.lookups, call.now))
    await call.read_fleet(lambda: agents.follow(fleet))
    return await _shown(call, order)


async def _shown(call: Call, order: Order) -> CollectionAgentsList:
    fleet = call.context.fleet
    return await call.read_fleet(lambda: fleet.ask(lambda view: _listed(fleet, view, order)))


def _listed(fleet: Fleet, view: View, order: Order) -> CollectionAgentsList:
    items, left = [], view.present.copy()
    for place, one in enumerate(order, 1):
        members = fleet.collections.targets_of(view, one.collection)
        stored = view.collections.get(one.collection)
        if stored is not None:  # else it is out of this view's reach
            own = one.said
            items.append(
                CollectionAgents(
                    place=place,
                    collection=one.collection,
                    name=stored.name,
                    poll_s=own.poll_s,
                    scan_every_h=own.scan_every_s // HOUR_S,
                    **msgspec.structs.asdict(own.anchor or NO_ANCHOR),
                    updaters=own.updaters,
                    postpone_times=own.postpone_times,
                    postpone_h=own.postpone_h,
                    machines=len(members),
                    decides_for=len(members & left),
                )
            )
        left -= members
    return CollectionAgentsList(items=tuple(items))
