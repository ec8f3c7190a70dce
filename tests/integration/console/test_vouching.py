"""S15: whoever was let in by somebody else is nobody for four eyes, until others vouch for her."""

from __future__ import annotations

import re

import pytest

from patchtide.domain.access.principals import Anonymous
from patchtide.domain.access.proposals import NotVouchedFor
from patchtide.domain.errors import WrongState
from patchtide.server.four_eyes import Void
from patchtide.server.operations import OPERATIONS
from patchtide.server.sessions import Welcome
from patchtide.server.table import perform
from tests.integration.console.test_proposals import (
    ON,
    SESSION,
    act,
    do,
    number_on,
    proposed,
    waiting,
)
from tests.integration.console.visitor import ConsoleSite, Visitor

pytestmark = pytest.mark.anyio
EVE = {"name": "eve", "role": "full-administrator"}


async def opened(site: ConsoleSite, page: str) -> Visitor:
    """Open the link on that page, whoever does it, and choose a password."""
    code = re.findall(r"/welcome#(\w+)", page)[0]
    said = Welcome(code=code, password="a phrase of four words", peer="192.0.2.1")
    door = OPERATIONS["sessions.welcome"]
    begun = await perform(site.plane.context, door, principal=Anonymous(), asked=said)
    visitor = Visitor(site.plane, cookies={SESSION: begun.secret})
    await visitor.get("/tokens")
    return visitor


async def agreed(maria: Visitor, tom: Visitor, proposal: str) -> str:
    await act(tom, proposal, "approve")
    return await act(maria, proposal, "enact")


async def let_in(site: ConsoleSite, maria: Visitor, tom: Visitor) -> tuple[str, Visitor]:
    """Let eve in with four eyes; whoever sits there opened the link that maria was shown."""
    await maria.post("/proposals/rule", ON)
    done = await agreed(maria, tom, await proposed(maria, "/people", EVE))
    assert "approves nothing here until somebody" in done
    eve = await opened(site, done)
    return next(one.id for one in site.storage.users() if one.name == "eve"), eve


async def test_who_opens_a_link_that_she_was_shown_is_not_a_second_person(
    site: ConsoleSite,
) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    _, eve = await let_in(site, maria, tom)

    mallory = await proposed(maria, "/people", {**EVE, "name": "mallory"})
    page = await act(eve, mallory, "approve")
    with pytest.raises(NotVouchedFor):
        await do(site, eve, "proposals.approve", proposal=mallory)
    with pytest.raises(WrongState):
        await do(site, maria, "proposals.enact", proposal=mallory)
    own = await proposed(eve, "/people", {**EVE, "name": "trent"})
    await act(maria, own, "approve")

    assert "You cannot approve anything yet" in page and 'value="approve"' not in page
    assert [await number_on(one) for one in (eve, tom)] == ["", "2"]
    assert "waits for 1 more person" in str(await do(site, eve, "proposals.show", proposal=own))
    assert "one more person must agree" in (await tom.get(f"/proposals/{own}")).body.decode()


async def test_who_was_vouched_for_approves(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    user, eve = await let_in(site, maria, tom)
    people = (await tom.get("/people")).body.decode()
    asked_first = (await tom.post("/people/act", {"act": "vouch", "user": user})).body.decode()
    vouching = await proposed(tom, "/people/act", {"act": "vouch", "user": user, "sure": "yes"})
    with pytest.raises(NotVouchedFor):
        await do(site, eve, "proposals.approve", proposal=vouching)
    words = (await maria.get(f"/proposals/{vouching}")).body.decode()

    assert "Done." in await agreed(tom, maria, vouching)

    assert "not vouched for yet" in people
    assert "not vouched for yet" not in (await tom.get("/people")).body.decode()
    assert "spoken to them yourself" in asked_first
    assert "nor anybody else with an account here" in words
    night = {"name": "night", "rights": ["machines.read"]}
    proposal = await waiting(site, maria, "roles.define", **night)
    await agreed(maria, eve, proposal)
    assert (await do(site, maria, "proposals.show", proposal=proposal)).state == "enacted"
    with pytest.raises(WrongState, match="nothing to vouch for"):
        await do(site, maria, "users.vouch", user=user)


async def test_a_link_used_since_makes_void_what_was_said_of_who_was_there(
    site: ConsoleSite,
) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    user, _ = await let_in(site, maria, tom)
    link = await proposed(maria, "/people/act", {"act": "link", "user": user, "sure": "yes"})
    shown = await agreed(maria, tom, link)
    vouching = await waiting(site, tom, "users.vouch", user=user)
    await act(maria, vouching, "approve")
    await opened(site, shown)

    with pytest.raises(Void):
        await do(site, tom, "proposals.enact", proposal=vouching)


async def test_whoever_is_alone_vouches_when_a_day_has_passed(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    user, _ = await let_in(site, maria, tom)
    await do(site, maria, "users.disable", user=next(
        one.id for one in site.storage.users() if one.name == "tom"
    ))  # fmt: skip
    site.clock.advance(days=8)
    maria = site.visitor()
    await maria.sign_in("maria")
    vouching = await waiting(site, maria, "users.vouch", user=user)
    with pytest.raises(WrongState, match="there is nobody else"):
        await do(site, maria, "proposals.enact", proposal=vouching)
    site.clock.advance(hours=25)

    maria = site.visitor()
    await maria.sign_in("maria")
    await do(site, maria, "proposals.enact", proposal=vouching)

    assert not any(one.let_in_by for one in site.storage.users())
    assert (await do(site, maria, "settings.four-eyes")).people == 2
