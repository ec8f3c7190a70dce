"""S15: nobody has other updaters held back on many machines alone, or from a browser left open.

What is held back installs no security updates, and nothing else does it in its place.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

import msgspec
import pytest

from patchtide.domain.access.proofs import LASTS, SignInAgain
from patchtide.domain.access.proposals import Rule
from patchtide.server.four_eyes import FOUR_EYES, Proposed
from tests.integration.console.test_proposals import act, do, waiting
from tests.integration.console.visitor import ConsoleSite, Visitor

pytestmark = pytest.mark.anyio
SET, SET_ONE, CLEAR = (
    f"settings.{name}"
    for name in ("set-agents", "set-collection-agents", "clear-collection-agents")
)


@pytest.fixture
async def maria(site: ConsoleSite) -> Visitor:
    """One of two who administer a site of three machines, where two are many."""
    found = await site.signed_in("maria")
    await site.machines("web-1", "web-2", "db-1")
    return found


async def two_are_needed(site: ConsoleSite, *, machines: int = 1) -> None:
    rule = msgspec.msgpack.encode(Rule(is_on=True, machines=machines))
    now = site.clock.now()
    await site.storage.decide("x", "x", lambda tx: tx.put_setting(FOUR_EYES, rule), now=now)


async def made(site: ConsoleSite, maria: Visitor, name: str, *names: str) -> str:
    return str((await do(site, maria, "collections.create", name=name, names=names)).id)


async def waits(site: ConsoleSite, maria: Visitor, operation: str, **asked: Any) -> bool:
    try:
        await do(site, maria, operation, **asked)
    except Proposed:
        return True
    return False


async def test_to_hold_others_back_or_to_build_longer_asks_who_sits_there(
    site: ConsoleSite, maria: Visitor
) -> None:
    site.clock.advance(seconds=LASTS.total_seconds() + 60)

    async def is_done(**fields: str) -> bool:
        answer = await maria.post("/settings/agents", fields)
        assert answer.status == 303 or b"/prove" in answer.body, answer.body
        return answer.status == 303

    asked = [
        await is_done(poll_s="900"),
        await is_done(updaters="take-over"),
        await is_done(build_h="8"),
    ]
    await do(site, maria, SET, updaters="take-over", build_h=8)
    asked += [
        await is_done(updaters="take-over", build_h="8", poll_s="900"),
        await is_done(updaters="leave", build_h="4"),
    ]

    assert asked == [True, False, False, True, True]


async def test_many_machines_need_a_second_person_and_none_to_be_given_back(
    site: ConsoleSite, maria: Visitor
) -> None:
    tom = await site.signed_in("tom")
    small = await made(site, maria, "Small", "web-1")
    await two_are_needed(site)

    assert not await waits(site, maria, SET_ONE, collection=small, updaters="take-over")
    proposal = await waiting(site, maria, SET, updaters="take-over")
    await act(tom, proposal, "approve")
    assert "Done." in await act(maria, proposal, "enact")
    entry = site.storage.newest_audit(limit=1)[0]
    assert (entry.operation, entry.detail["takes_over"]) == (SET, 3)
    assert not await waits(site, maria, SET, updaters="take-over", poll_s=900)
    assert not await waits(site, maria, SET, updaters="leave")


async def test_a_few_at_a_time_are_many_in_the_end(site: ConsoleSite, maria: Visitor) -> None:
    first, second = await made(site, maria, "1", "web-1"), await made(site, maria, "2", "web-2")
    await two_are_needed(site)

    asked = [
        await waits(site, maria, SET_ONE, collection=one, updaters="take-over")
        for one in (first, second)
    ]

    assert asked == [False, True]


async def test_another_order_or_none_holds_others_back_as_well(
    site: ConsoleSite, maria: Visitor
) -> None:
    web = await made(site, maria, "Web", "web-1", "web-2")
    all_web = await made(site, maria, "All web", "web-1", "web-2")
    await do(site, maria, SET_ONE, collection=web, updaters="leave")
    await do(site, maria, SET_ONE, collection=all_web, updaters="take-over")
    await two_are_needed(site)

    assert await waits(site, maria, SET_ONE, collection=all_web, updaters="take-over", place=1)
    assert await waits(site, maria, CLEAR, collection=web)
    assert not await waits(site, maria, CLEAR, collection=all_web)
    assert not await waits(site, maria, CLEAR, collection=web)


async def test_who_is_moved_to_where_others_are_held_back_waits_too(
    site: ConsoleSite, maria: Visitor
) -> None:
    inner = await made(site, maria, "Inner")
    outer = str((await do(site, maria, "collections.create", name="O", include=[inner])).id)
    await do(site, maria, SET_ONE, collection=outer, updaters="take-over")
    await two_are_needed(site)

    assert await waits(site, maria, "collections.add", collection=inner, names=["db-1"])
    await do(site, maria, CLEAR, collection=outer)
    assert not await waits(site, maria, "collections.add", collection=inner, names=["db-1"])


async def test_one_more_in_the_collection_is_more_than_people_agreed_to(
    site: ConsoleSite, maria: Visitor
) -> None:
    tom = await site.signed_in("tom")
    web = await made(site, maria, "Web", "web-1", "web-2")
    await two_are_needed(site)
    proposal = await waiting(site, maria, SET_ONE, collection=web, updaters="take-over")
    await act(tom, proposal, "approve")
    await do(site, maria, "collections.add", collection=web, names=["db-1"])

    assert "propose it again" in await act(maria, proposal, "enact")


async def test_longer_in_build_is_of_nobody_knows_how_many(
    site: ConsoleSite, maria: Visitor
) -> None:
    await do(site, maria, SET, build_h=4)
    await two_are_needed(site, machines=50)

    assert await waits(site, maria, SET, build_h=5)
    assert not await waits(site, maria, SET, build_h=3)


async def test_nor_is_a_machine_moved_there_alone_by_what_is_said_of_it(
    site: ConsoleSite, maria: Visitor
) -> None:
    calm = await do(site, maria, "collections.create", name="Calm", query="tag = calm")
    await do(site, maria, SET_ONE, collection=str(calm.id), updaters="take-over")
    web = next(str(UUID(bytes=c.uuid)) for c in site.storage.clients(limit=9) if c.name == "web-1")
    moving: list[tuple[str, dict[str, Any]]] = [
        ("machines.describe", {"machines": [web], "add_tag": ["calm"]}),
        ("machines.import", {"csv": "name,tags\nweb-1,calm\n"}),
        ("collections.change", {"collection": str(calm.id), "query": "tag = quiet"}),
        ("collections.add", {"collection": str(calm.id), "names": ["web-1"]}),
    ]

    for operation, asked in moving:
        with pytest.raises(SignInAgain):
            await do(site, maria, operation, is_fresh=False, **asked)
    loud = {"machines": [web], "add_tag": ["loud"]}
    await do(site, maria, "machines.describe", is_fresh=False, **loud)
    await do(site, maria, "machines.describe", **moving[0][1])
    entry = site.storage.newest_audit(limit=1)[0]
    await two_are_needed(site, machines=50)

    assert (entry.operation, entry.detail["held_back"]) == ("machines.describe", True)
    back = {"machines": [web], "remove_tag": ["calm"]}
    assert await waits(site, maria, "machines.describe", **back)
    assert not await waits(site, maria, "machines.describe", machines=[web], owner="ops")


async def test_nor_out_of_a_freeze_by_what_is_said_of_it(site: ConsoleSite, maria: Visitor) -> None:
    calm = await do(site, maria, "collections.create", name="Calm", query="tag = calm")
    web = next(str(UUID(bytes=c.uuid)) for c in site.storage.clients(limit=9) if c.name == "web-1")
    await do(site, maria, "machines.describe", machines=[web], add_tag=["calm"])
    until = f"{site.clock.now():%Y}-12-31 00:00"
    frozen = {"collection": str(calm.id), "begins": until[:5] + "01-01 00:00", "ends": until}
    await do(site, maria, "freezes.create", reason="the audit", **frozen)
    await two_are_needed(site, machines=50)

    thaw = {"machines": [web], "remove_tag": ["calm"]}
    assert await waits(site, maria, "machines.describe", **thaw)
    assert not await waits(site, maria, "machines.describe", machines=[web], schedule=str(calm.id))
    assert await waits(site, maria, "machines.describe", machines=[web], forget=["schedule"])
    site.clock.advance(days=366)
    assert not await waits(site, maria, "machines.describe", **thaw)
