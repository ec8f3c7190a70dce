"""Machines that people call: to come for their settings and orders now, or to scan.

Nothing is kept of a call but that somebody made it. Each node finds that in the log and rings at
those that listen there; any other machine comes when it is its time, and has it all then anyway.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated
from uuid import UUID

from msgspec import Meta
from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import NotFound, Unavailable, WrongState
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.machine_scans import (
    MOST,
    AskedMachines,
    AskedOfMany,
    ScanMachines,
    ask_in_parts,
    note_let_in,
)
from patchtide.server.narrowed_fleet import NarrowedFleet
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.following import DecisionEvent
from patchtide.server.table import Input
from patchtide.server.tier_zero import left_alone

MACHINES, COLLECTION = "machines.get-policy", "collections.get-policy"
"""The operations by which they are called."""


class CallCollection(Input, kw_only=True, frozen=True):
    collection: Annotated[UUID, Meta(description="The collection's id.")]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Members:
    """Those of a collection that somebody may call."""

    name: str
    uuids: Sequence[bytes]
    left_out: int
    """How many are of tier 0, which he may do nothing to."""


async def machines(call: Call, principal: Principal, asked: ScanMachines) -> AskedMachines:
    """Call all of them, or none.

    Raises:
        NotFound: one of them is not there.
        WrongState: one of them is not let in.
    """
    uuids = list(dict.fromkeys(machine.bytes for machine in asked.machines))

    await call.decide(principal, lambda tx: note_let_in(tx, uuids))
    return AskedMachines(machines=len(uuids))


async def collection(call: Call, principal: Principal, asked: CallCollection) -> AskedOfMany:
    """Call those in it that he may see, and do something to.

    Raises:
        NotFound: there is no such collection.
        Unavailable: nobody knows who is in it.
        WrongState: he may call too many of it to name each, and not all.
    """
    members = await _members(call, principal, asked.collection)
    is_whole = not members.left_out and await _are_all(call, asked.collection, members)
    if not is_whole and len(members.uuids) > MOST:
        raise WrongState(f"more than {MOST} machines of {members.name}; call some of them")

    def work(tx: Transaction) -> None:
        if is_whole or not members.uuids:
            said = {"whole": True} if is_whole and members.uuids else {}
            count = len(members.uuids)
            tx.note(asked.collection.hex, name=members.name, machines=count, **said)
            return
        for uuid in members.uuids:
            tx.note(uuid.hex(), collection=members.name)

    await call.decide(principal, work)
    return AskedOfMany(machines=len(members.uuids), left_out=members.left_out)


async def scan_collection(call: Call, principal: Principal, asked: CallCollection) -> AskedOfMany:
    """Have those in it scan that he may see, and do something to.

    Raises:
        NotFound: there is no such collection.
        Unavailable: nobody knows who is in it.
    """
    members = await _members(call, principal, asked.collection)
    subject = asked.collection.hex
    scan = await ask_in_parts(call, principal, members.uuids, subject, name=members.name)
    return AskedOfMany(machines=scan, left_out=members.left_out)


async def _members(call: Call, principal: Principal, collection: UUID) -> _Members:
    fleet = call.context.fleet

    def question(view: View) -> _Members:
        stored = view.collections.get(collection)
        if stored is None:
            raise NotFound
        found = let_in(fleet, view, collection)
        reached = found - left_alone(fleet, view, principal)
        return _Members(
            name=stored.name,
            uuids=[view.members[number].client.uuid for number in reached],
            left_out=len(found) - len(reached),
        )

    return await call.read_fleet(lambda: fleet.ask(question))


async def _are_all(call: Call, collection: UUID, members: _Members) -> bool:
    """Say whether he may see everybody in it: then it can be called by its name."""
    fleet = call.context.fleet
    if not isinstance(fleet, NarrowedFleet):
        return True
    whole = fleet.whole
    found = await call.read_fleet(
        lambda: whole.ask(lambda view: len(let_in(whole, view, collection)))
    )
    return found == len(members.uuids)


def let_in(fleet: Fleet, view: View, collection: UUID) -> BitMap:
    """Return the machines of a collection that are let in.

    Raises:
        NotFound, Unavailable: there is no such collection, or nobody knows who is in it.
    """
    return fleet.collections.members_of(view, collection) & view.active


def let_in_of(fleet: Fleet, view: View, collection: UUID) -> Sequence[bytes]:
    """Return them, or nobody where that is not known: they come when it is their time."""
    with suppress(NotFound, Unavailable):
        return [view.members[number].client.uuid for number in let_in(fleet, view, collection)]
    return []


def called_in(events: Iterable[DecisionEvent]) -> Iterator[bytes]:
    """Yield the machines that were called one by one."""
    for event in events:
        if event.operation in (MACHINES, COLLECTION) and "machines" not in event.detail:
            yield bytes.fromhex(event.subject)


def collections_called_in(events: Iterable[DecisionEvent]) -> Iterator[UUID]:
    for event in events:
        if event.operation == COLLECTION and event.detail.get("whole"):
            yield UUID(hex=event.subject)
