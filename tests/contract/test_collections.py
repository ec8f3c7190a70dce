"""What the storage promises about collections on both databases, and what the fleet makes of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.collections.definitions import ALL_MACHINES, Definition
from patchtide.domain.errors import StaleRevision
from patchtide.server.fleet import Fleet
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.decisions import Transaction
from tests.simulator.catalogs import Catalog
from tests.simulator.clock import FakeClock
from tests.simulator.reports import NOON, enrolled

pytestmark = pytest.mark.anyio
WEB, DB, BOTH = (UUID(int=n) for n in (1, 2, 3))


def a_collection(key: UUID, name: str, **definition: object) -> StoredCollection:
    made = Definition(id=key, name=name, **definition)  # type: ignore[arg-type]
    return StoredCollection(definition=made, revision=1, by="admin", at=NOON)


async def decide(storage: Storage, key: UUID, work: Callable[[Transaction], object]) -> None:
    def noted(tx: Transaction) -> None:
        work(tx)
        tx.note(key.hex)

    await storage.decide("admin", "collections.change", noted, now=NOON)


async def make(storage: Storage, one: StoredCollection, *clients: int) -> None:
    def work(tx: Transaction) -> None:
        tx.collections.add(one)
        tx.collections.put_in(one.id, clients)

    await decide(storage, one.id, work)


async def test_what_is_defined_is_read_again_and_a_second_of_its_name_is_refused(
    storage: Storage,
) -> None:
    web = a_collection(WEB, "Web", limiting=DB, include=(DB, BOTH), exclude=(BOTH,), query="x = y")
    await make(storage, web, 7, 5, 7)

    def work(tx: Transaction) -> None:
        assert tx.collections.hold() == [web]
        assert tx.collections.put_in(WEB, [5, 9]) == [9]
        assert tx.collections.take_out(WEB, [7, 8]) == [7]
        assert tx.collections.size(WEB) == len(tx.collections.named(WEB)) == 2
        renamed = replace(web, definition=replace(web.definition, name="Net", include=(DB,)))
        tx.collections.change(renamed)

    await decide(storage, WEB, work)
    with pytest.raises(StaleRevision):
        await make(storage, a_collection(DB, "nET"))

    [read] = storage.collections.all()
    assert (read.name, read.definition.include, list(read.definition.direct)) == (
        "Net",
        (DB,),
        [5, 9],
    )
    assert storage.collections.all([DB]) == []
    await decide(storage, WEB, lambda tx: tx.collections.drop(WEB))
    assert storage.collections.all() == []


async def test_the_fleet_follows_who_is_in_which_collection(storage: Storage) -> None:
    clients = await enrolled(storage, 4)
    first, second, third, _ = (client.number for client in clients)
    fleet = Fleet(storage, Catalog(storage), FakeClock(NOON), patience_s=10)

    def members(key: UUID) -> list[int]:
        return list(fleet.ask(lambda view: fleet.collections.ground(view).members_of(key)))

    everybody = members(ALL_MACHINES)
    await make(storage, a_collection(WEB, "web"), first, second)
    await make(storage, a_collection(DB, "db", limiting=WEB), second, third)
    await make(storage, a_collection(BOTH, "both", include=(WEB,), exclude=(DB,)))

    assert everybody == [client.number for client in clients]
    assert [members(key) for key in (WEB, DB, BOTH)] == [[first, second], [second], [first]]
    in_which = fleet.ask(lambda view: fleet.collections.ground(view).of(first))
    assert set(in_which) == {ALL_MACHINES, WEB, BOTH}

    retired = ClientState.DECOMMISSIONED
    await storage.decide(
        "admin",
        "machines.decommission",
        lambda tx: (
            tx.set_client_state([clients[1].uuid], retired),
            tx.note(clients[1].uuid.hex()),
        ),
        now=NOON,
    )
    await decide(storage, WEB, lambda tx: tx.collections.take_out(WEB, [first]))
    assert [members(key) for key in (WEB, DB, BOTH)] == [[], [], []]
    await decide(storage, WEB, lambda tx: tx.collections.drop(WEB))
    assert members(ALL_MACHINES) == [n for n in everybody if n != second]
