"""Machines as administrators see and judge them: list, approve, quarantine, release, retire."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import NotFound, WrongState
from patchtide.server.context import Call
from patchtide.server.ports.storage import Client, ClientState, Reading, Transaction
from patchtide.server.table import Input, Output

MachineId = Annotated[UUID, Meta(description="The machine's id.")]
StateName = Literal["", "waiting", "active", "quarantined", "decommissioned"]


class ListMachines(Input, kw_only=True, frozen=True):
    state: Annotated[StateName, Meta(description="Only machines in this state.")] = ""
    search: Annotated[str, Meta(max_length=128, description="Part of the name.")] = ""
    after: Annotated[
        UUID | None, Meta(description="Go on after this machine (`next` of the page before).")
    ] = None
    limit: Annotated[int, Meta(ge=1, le=500, description="How many at most.")] = 100


class OneMachine(Input, kw_only=True, frozen=True):
    machine: MachineId


class Machine(Output, kw_only=True, frozen=True):
    id: UUID
    name: str
    state: str
    site: str
    group: str
    platform: str
    agent_version: str
    enrolled_at: datetime


class MachineList(Output, kw_only=True, frozen=True):
    items: tuple[Machine, ...]
    next: UUID | None
    """Where to go on; null at the end."""


class ShownMachine(Output, kw_only=True, frozen=True):
    id: UUID
    name: str
    state: str
    site: str
    group: str
    platform: str
    agent_version: str
    enrolled_at: datetime
    full_report: bool
    """The server has asked for a full report and not got it yet."""
    scan: str
    scanned_at: datetime | None
    reported_at: datetime | None


async def list_some(call: Call, principal: Principal, asked: ListMachines) -> MachineList:
    return await call.read(lambda: _page(call.context.reading, asked))


async def show(call: Call, principal: Principal, asked: OneMachine) -> ShownMachine:
    return await call.read(lambda: _shown(call.context.reading, asked.machine))


# From which states an operation may lead, and where to.
_MOVES: Mapping[str, tuple[frozenset[ClientState], ClientState]] = MappingProxyType(
    {
        "machines.approve": (frozenset({ClientState.WAITING}), ClientState.ACTIVE),
        "machines.quarantine": (
            frozenset({ClientState.WAITING, ClientState.ACTIVE}),
            ClientState.QUARANTINED,
        ),
        "machines.release": (frozenset({ClientState.QUARANTINED}), ClientState.ACTIVE),
        "machines.decommission": (
            frozenset({ClientState.WAITING, ClientState.ACTIVE, ClientState.QUARANTINED}),
            ClientState.DECOMMISSIONED,
        ),
    }
)


async def move(call: Call, principal: Principal, asked: OneMachine) -> None:
    """Bring the machine into the state that the operation leads to.

    Raises:
        NotFound: there is no such machine.
        WrongState: it is not in a state from which this operation leads.
    """
    origins, goal = _MOVES[call.operation]
    uuid = asked.machine.bytes

    def work(tx: Transaction) -> None:
        client = _client(tx, uuid)
        if client.state not in origins or not tx.set_client_state([uuid], goal):
            raise WrongState(f"the machine is {client.state}")
        tx.note(uuid.hex(), name=client.name, was=client.state.value, state=goal.value)

    await call.decide(principal, work)
    await call.context.machines_changed([uuid])


async def ask_full_report(call: Call, principal: Principal, asked: OneMachine) -> None:
    uuid = asked.machine.bytes

    def work(tx: Transaction) -> None:
        client = _client(tx, uuid)
        if client.state is not ClientState.ACTIVE:
            raise WrongState(f"the machine is {client.state}")
        tx.ask_full_report([uuid])
        tx.note(uuid.hex(), name=client.name)

    await call.decide(principal, work)
    await call.context.machines_changed([uuid])


def _client(tx: Transaction, uuid: bytes) -> Client:
    client = tx.client(uuid)
    if client is None:
        raise NotFound
    return client


def _page(reading: Reading, asked: ListMachines) -> MachineList:
    after = _number(reading, asked.after) if asked.after else 0
    found = reading.clients(
        after=after, limit=asked.limit + 1, search=asked.search, state=asked.state
    )
    items = tuple(_machine(c) for c in found[: asked.limit])
    return MachineList(items=items, next=items[-1].id if len(found) > asked.limit else None)


def _shown(reading: Reading, machine: UUID) -> ShownMachine:
    number = _number(reading, machine)
    client = reading.clients(after=number - 1, limit=1)[0]
    states = [s for s in reading.states(after=number - 1, limit=1) if s.client == number]
    state = states[0] if states else None
    listed = _machine(client)
    return ShownMachine(
        **{name: getattr(listed, name) for name in Machine.__struct_fields__},
        full_report=client.full_report,
        scan=state.scan if state else "none",
        scanned_at=_instant(state.scanned_at) if state else None,
        reported_at=_instant(state.reported_at) if state else None,
    )


def _number(reading: Reading, machine: UUID) -> int:
    """Return the inner number, which goes into cursors but never into answers."""
    standings = reading.standings([machine.bytes])
    if not standings:
        raise NotFound
    return standings[0].number


def _instant(epoch_s: float) -> datetime | None:
    return datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None


def _machine(client: Client) -> Machine:
    return Machine(
        id=UUID(bytes=client.uuid),
        name=client.name,
        state=client.state.value,
        site=client.site,
        group=client.group,
        platform=client.platform,
        agent_version=client.agent_version,
        enrolled_at=client.enrolled_at,
    )
