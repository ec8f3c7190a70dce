"""Who was let in and then shut out decides nothing any more, on both databases."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.credentials import ApiTokenText
from patchtide.domain.access.principals import SignedIn
from patchtide.domain.access.proposals import Rule
from patchtide.domain.errors import PatchtideError, Refused, Unauthenticated
from patchtide.server.four_eyes import FOUR_EYES
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.decisions import Transaction
from patchtide.server.sign_in_links import issue
from patchtide.server.table import Input, perform
from patchtide.server.users import ChangeRole, CreateUser, OneUser
from tests.contract.test_accounts import PASSWORD, Site, code_of, id_of, refusal
from tests.integration.http.plane import AdministratorsPlane, token_text

pytestmark = pytest.mark.anyio
ShutOut = Callable[[Site, str, str], Awaitable[object]]


async def disabled(site: Site, user: str, admin: str) -> object:
    return await asked(site, "users.disable", OneUser(user=user), admin)


async def demoted(site: Site, user: str, admin: str) -> object:
    return await asked(site, "users.role", ChangeRole(user=user, role="auditor"), admin)


async def elsewhere_with_a_new_password(site: Site, user: str, admin: str) -> object:
    return await site.change_password(await site.sign_in(), PASSWORD, "another four words")


async def asked(site: Site, operation: str, document: Input, token: str) -> object:
    by = await site.context.api_tokens.holder(token_text(token))
    return await perform(site.context, OPERATIONS[operation], principal=by, asked=document)


@pytest.mark.parametrize(
    ("shut_out", "answer"),
    [
        (disabled, Unauthenticated),
        (demoted, Refused),
        (elsewhere_with_a_new_password, Unauthenticated),
    ],
)
async def test_a_person_who_was_shut_out_meanwhile_makes_no_token_and_no_person(
    storage: Storage, shut_out: ShutOut, answer: type[PatchtideError]
) -> None:
    site = Site(storage)
    user = await site.plane.person("jo", role="full-administrator", password=PASSWORD)
    admin = await site.plane.token(role="full-administrator")
    jo = await site.holder((await site.sign_in()).secret)

    await shut_out(site, user, admin)

    assert await refusal(site.plane.minted(jo)) is answer
    assert await refusal(made_a_person(site, jo)) is answer
    assert [token.id for token in storage.api_tokens()] == [id_of(admin)]
    assert [person.name for person in storage.users()] == ["jo"]


async def made_a_person(site: Site, by: SignedIn) -> None:
    document = CreateUser(name="friend", role="full-administrator")
    await perform(site.context, OPERATIONS["users.create"], principal=by, asked=document)


async def test_a_token_that_was_revoked_meanwhile_makes_no_other(storage: Storage) -> None:
    site = Site(storage)
    admin = await site.plane.token(role="full-administrator")
    other = await site.plane.token(role="full-administrator")
    holder = await site.context.api_tokens.holder(token_text(other))

    await site.plane.ask("DELETE", f"/api/v1/api-tokens/{id_of(other)}", token=admin)

    assert await refusal(site.plane.minted(holder)) is Unauthenticated
    assert len(storage.api_tokens()) == 2


async def test_however_they_meet_at_two_nodes_nothing_outlives_a_disabling(
    database_url: str,
) -> None:
    storages = [Storage.open(database_url) for _ in range(2)]
    try:
        here, there = (Site(storage) for storage in storages)
        admin = await here.plane.token(role="full-administrator")
        for number in range(4):
            name = f"jo{number}"
            user = await here.plane.person(name, role="full-administrator", password=PASSWORD)
            jo = await there.holder((await there.sign_in(name)).secret)

            said = await asyncio.gather(
                *(there.plane.minted(jo) for _ in range(6)),
                disabled(here, user, admin),
                return_exceptions=True,
            )

            made = [text for text in said if isinstance(text, str) and ApiTokenText.read(text)]
            there.context.api_tokens.forget()
            assert await live(there.plane, made) == []
    finally:
        for storage in storages:
            await storage.close()


async def live(plane: AdministratorsPlane, tokens: list[str]) -> list[str]:
    opened = await plane.opens(*tokens)
    return [token for token, opens in zip(tokens, opened, strict=True) if opens]


@pytest.mark.parametrize(
    ("is_on", "shown_to", "expected"),
    [
        (True, "user:tom", "user:tom"),
        (True, "api-token:root", "api-token:root"),
        (True, "", ""),
        (False, "user:tom", ""),
    ],
)
async def test_who_could_have_opened_a_link_is_remembered_where_others_must_agree(
    storage: Storage, is_on: bool, shown_to: str, expected: str
) -> None:
    site = Site(storage)
    user = await site.plane.person("jo", role="deployer")
    rule = msgspec.msgpack.encode(Rule(is_on=is_on))
    await decide(site, lambda tx: tx.put_setting(FOUR_EYES, rule))
    await decide(site, lambda tx: tx.set_let_in_by(user, "user:ann"))

    await site.welcome(await link_of(site, user, shown_to=f"user:{user}"), "four words by herself")
    [after_her_own] = storage.users()
    await site.welcome(await link_of(site, user, shown_to=shown_to), "four words by another")

    assert (after_her_own.let_in_by, storage.users()[0].let_in_by) == ("user:ann", expected)


async def decide(site: Site, work: Callable[[Transaction], object]) -> None:
    await site.storage.decide("test", "test", work, now=site.clock.now())


async def link_of(site: Site, user: str, *, shown_to: str) -> str:
    [found] = site.storage.users()
    link, issued = issue(found, now=site.clock.now(), shown_to=shown_to)
    await decide(site, lambda tx: tx.put_link(link))
    return code_of(issued)
