"""Machines as administrators judge them: approve, quarantine, release, retire."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import NotFound, WrongState
from patchtide.server.building import build_ends
from patchtide.server.context import Call
from patchtide.server.ports.clients import Client, ClientState
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input

MachineId = Annotated[UUID, Meta(description="The machine's id.")]


class OneMachine(Input, kw_only=True, frozen=True):
    machine: MachineId


APPROVE = "machines.approve"
# From which states an operation may lead, and where to.
_MOVES: Mapping[str, tuple[frozenset[ClientState], ClientState]] = MappingProxyType(
    {
        APPROVE: (frozenset({ClientState.WAITING}), ClientState.ACTIVE),
        "machines.quarantine": (
            frozenset({ClientState.WAITING, ClientState.ACTIVE}),
            ClientState.QUARANTINED,
        ),
        "machines.release": (frozenset({ClientState.QUARANTINED}), ClientState.ACTIVE),
        "machines.decommission": (
            frozenset(ClientState) - {ClientState.DECOMMISSIONED},
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
        if call.operation == APPROVE and _is_new(tx, client):
            tx.begin_build([uuid], until=build_ends(tx, call.now))
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


def _is_new(tx: Transaction, client: Client) -> bool:
    """Say whether its machine was never known under another key: such a one was at work before."""
    alike = tx.clients_like(public_key=client.public_key, machine=client.machine)
    return all(one.uuid == client.uuid for one in alike)


def _client(tx: Transaction, uuid: bytes) -> Client:
    client = tx.client(uuid)
    if client is None:
        raise NotFound
    return client
