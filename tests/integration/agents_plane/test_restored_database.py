"""A database is restored under a running node: what machines hear, without a restart."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, select

from patchtide.adapters.storage import tables
from patchtide.adapters.storage.engines import parse_url
from patchtide.domain.errors import Unavailable
from patchtide.server.epoch_watch import EpochWatch
from patchtide.wire.inventory import package_list
from patchtide.wire.messages import CheckInAnswerV1, InventoryV1, decode
from patchtide.wire.sets import pack
from tests.simulator.agents_plane import PlaneUnderTest, digest_of, enrolled
from tests.simulator.restoring import mark_restored

pytestmark = pytest.mark.anyio
BODY = package_list([("curl", "8.0", "amd64")])
LIST = sha256(BODY).digest()


@pytest.fixture
def plane(storage: Any) -> PlaneUnderTest:
    return PlaneUnderTest(storage)


def watch_of(plane: PlaneUnderTest) -> EpochWatch:
    return EpochWatch(
        plane.storage,
        standings=plane.standings,
        inventories=plane.inventories,
        clock=plane.clock,
        since=plane.storage.epoch(),
    )


async def test_every_machine_is_asked_for_everything_and_only_once(plane: PlaneUnderTest) -> None:
    watch = watch_of(plane)
    machines = [await enrolled(plane, name=f"m{n}") for n in range(3)]
    for machine in machines:
        await machine.report(required={5})

    await mark_restored(plane.storage, now=plane.clock.now())
    assert await watch.step()

    asked = [await m.check_in(digest=digest_of({5})) for m in machines]
    assert [decode(a.body, CheckInAnswerV1).full_report for a in asked] == [True] * 3
    for machine in machines:
        await machine.report(required={5})
    assert [(await m.check_in(digest=digest_of({5}))).status for m in machines] == [204] * 3
    assert not await watch.step()


async def test_counters_used_since_the_backup_stay_used(plane: PlaneUnderTest) -> None:
    watch = watch_of(plane)
    machine = await enrolled(plane)
    await machine.check_in(counter=900)

    await mark_restored(plane.storage, now=plane.clock.now())
    await watch.step()

    assert (await machine.check_in(counter=900)).status == 409
    assert (await machine.check_in(counter=901)).status == 200


async def test_a_decision_that_the_backup_does_not_have_is_gone_here_too(
    plane: PlaneUnderTest,
) -> None:
    watch = watch_of(plane)
    machine = await enrolled(plane)
    entry = plane.standings._entries[machine.client]
    entry.state = type(entry.state).QUARANTINED  # as it was decided after the backup

    await mark_restored(plane.storage, now=plane.clock.now())
    await watch.step()

    assert (await machine.check_in()).status == 200


async def test_a_machine_that_enrolled_after_the_backup_is_a_stranger(
    plane: PlaneUnderTest, database_url: str
) -> None:
    watch = watch_of(plane)
    early, late = await enrolled(plane, name="early"), await enrolled(plane, name="late")
    for machine in (early, late):
        await machine.report(required={5})
    forget(database_url, late.client)

    await mark_restored(plane.storage, now=plane.clock.now())
    await watch.step()

    assert [(await m.check_in()).status for m in (early, late)] == [200, 401]
    assert (await late.report(required={5})).status == 401


def forget(database_url: str, client: bytes) -> None:
    """Make the database one in which this client never was."""
    engine = create_engine(parse_url(database_url))
    with engine.begin() as connection:
        found = select(tables.client.c.number).where(tables.client.c.uuid == client)
        number = connection.execute(found).scalar_one()
        for table in (tables.client_state, tables.client_presence):
            connection.execute(delete(table).where(table.c.client == number))
        connection.execute(delete(tables.client).where(tables.client.c.number == number))
    engine.dispose()


async def test_lists_that_the_backup_does_not_have_are_asked_for_again(
    plane: PlaneUnderTest,
) -> None:
    watch = watch_of(plane)
    machine = await enrolled(plane)
    plane.inventories._known.add(LIST)  # as it was sent after the backup

    await mark_restored(plane.storage, now=plane.clock.now())
    await watch.step()

    said = await machine.check_in(inventory={"packages": LIST})
    assert decode(said.body, CheckInAnswerV1).inventory == ("packages",)
    listed = InventoryV1(kind="packages", digest=LIST, body=pack(BODY))
    await machine.post("agents.inventory", listed, machine.next_counter())
    assert plane.storage.inventory_digests() == [LIST]


async def test_a_reading_that_fails_half_way_is_begun_anew(
    plane: PlaneUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    watch = watch_of(plane)
    machine = await enrolled(plane)
    await machine.report(required={5})
    await mark_restored(plane.storage, now=plane.clock.now())

    def down(**_: object) -> None:
        raise Unavailable

    with monkeypatch.context() as broken:
        broken.setattr(plane.storage, "clients", down)
        with pytest.raises(Unavailable):
            await watch.step()

    assert await watch.step()
    said = await machine.check_in(digest=digest_of({5}))
    assert decode(said.body, CheckInAnswerV1).full_report
