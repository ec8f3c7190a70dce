"""Scans that people ask for: of machines, or of those that an update list concerns.

What is asked is kept beside the machine's last report until the machine tells of that very scan:
one that listens hears of it at once, any other when it checks in next.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from msgspec import Meta
from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import NotFound, WrongState
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.patterns import SLUG
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input, Output
from patchtide.server.tier_zero import left_alone

Note = Callable[[Transaction], None]
MOST = 500
"""So many machines at once: each leaves an entry, and a transaction writes a thousand rows."""


class ScanMachines(Input, kw_only=True, frozen=True):
    machines: Annotated[
        tuple[UUID, ...], Meta(min_length=1, max_length=MOST, description="The machines' ids.")
    ]


class ScanList(Input, kw_only=True, frozen=True):
    name: Annotated[str, Meta(pattern=SLUG, description="The update list.")]


class AskedMachines(Output, kw_only=True, frozen=True):
    machines: int
    """How many are asked to scan."""


class AskedOfMany(AskedMachines, kw_only=True, frozen=True):
    left_out: int
    """How many are of tier 0, and so are not asked."""


async def scan(call: Call, principal: Principal, asked: ScanMachines) -> AskedMachines:
    """Ask all of them, or none.

    Raises:
        NotFound: one of them is not there.
        WrongState: one of them is not let in.
    """
    uuids = list(dict.fromkeys(machine.bytes for machine in asked.machines))

    def work(tx: Transaction) -> None:
        note_let_in(tx, uuids)
        tx.ask_scan(uuids, now=call.now)

    await call.decide(principal, work)
    await call.context.machines_changed(uuids)
    return AskedMachines(machines=len(uuids))


def note_let_in(tx: Transaction, uuids: Sequence[bytes]) -> None:
    """Note each of them. Raises NotFound, WrongState: one is not there, or not let in."""
    known = tx.clients(uuids)
    if len(known) < len(uuids):
        raise NotFound
    if out := [client for client in known if client.state is not ClientState.ACTIVE]:
        raise WrongState(f"{out[0].name} is {out[0].state}")
    names = {client.uuid: client.name for client in known}
    for uuid in uuids:
        tx.note(uuid.hex(), name=names[uuid])


async def scan_list(call: Call, principal: Principal, asked: ScanList) -> AskedOfMany:
    """Ask whoever needs an update of the list, or of whom nobody can say that.

    Raises:
        NotFound: there is no such list.
    """
    fleet = call.context.fleet

    def question(view: View) -> tuple[Sequence[bytes], int]:
        found, alone = _concerned(view, asked.name), left_alone(fleet, view, principal)
        reached = found - alone
        return [view.members[n].client.uuid for n in reached], len(found) - len(reached)

    uuids, left_out = await call.read_fleet(lambda: fleet.ask_settled(question))
    asked_now = await ask_in_parts(call, principal, uuids, asked.name)
    return AskedOfMany(machines=asked_now, left_out=left_out)


async def ask_in_parts(
    call: Call, principal: Principal, uuids: Sequence[bytes], subject: str, **said: str
) -> int:
    """Have any number of machines scan; the audit speaks of the subject, and of how many."""
    # The first part leaves the entry for all: of a hundred thousand none would find its own.
    first, *others = [uuids[start : start + MOST] for start in range(0, len(uuids), MOST)] or [()]

    def begin(tx: Transaction) -> None:
        tx.ask_scan(first, now=call.now)
        part = {"asked": len(first)} if others else {}
        tx.note(subject, machines=len(uuids), **part, **said)

    await call.decide(principal, begin)
    await call.context.machines_changed(first)
    for part in others:
        # Between two parts the server may stop; that all were asked the last one says.
        done = partial(_note_all, subject, len(uuids)) if part is others[-1] else None
        await call.decide(principal, partial(_ask, part, call.now, done))
        await call.context.machines_changed(part)
    return len(uuids)


def _ask(uuids: Sequence[bytes], now: datetime, done: Note | None, tx: Transaction) -> None:
    tx.ask_scan(uuids, now=now)
    if done is not None:
        done(tx)


def _note_all(subject: str, machines: int, tx: Transaction) -> None:
    tx.note(subject, machines=machines, asked=machines)


def _concerned(view: View, name: str) -> BitMap:
    found = view.lists.get(name)
    if found is None:
        raise NotFound
    held = view.part(view.active).together(list(view.known(found.updates)))
    return held.required | held.doubtful
