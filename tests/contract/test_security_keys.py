"""S18: the second factor over real databases, with a key in Python that answers wrongly too."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from typing import Any

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.principals import Anonymous, Principal, SessionHolder
from patchtide.domain.access.proofs import SignInAgain
from patchtide.domain.access.rights import ROLES
from patchtide.domain.access.second_factor import Owed, SecondFactorNeeded
from patchtide.domain.errors import NotFound, PatchtideError, Unauthenticated, WrongState
from patchtide.server.first_administrator import sign_in_link
from patchtide.server.operations import OPERATIONS
from patchtide.server.own_keys import to_register
from patchtide.server.ports.security_keys import SecurityKey, WrongKey
from patchtide.server.session_holders import holder_of
from patchtide.server.sessions import WrongPassword
from patchtide.server.showing_keys import CopiedKey, NoKeysHere, to_show
from patchtide.server.table import perform
from tests.integration.http.plane import AdministratorsPlane, token_text
from tests.simulator.security_keys import SoftKey

pytestmark = pytest.mark.anyio
HOST = "site.example:8540"
ORIGIN = f"https://{HOST}"
NUMBERS = "127.0.0.1:8540"
PASSWORD = "correct horse battery"


@dataclass
class Site:
    storage: Storage
    plane: AdministratorsPlane = field(init=False)

    def __post_init__(self) -> None:
        self.plane = AdministratorsPlane(storage=self.storage)
        self.context, self.clock = self.plane.context, self.plane.clock

    async def ask(self, operation: str, who: Principal, **asked: Any) -> Any:
        declared = OPERATIONS[operation]
        return await perform(self.context, declared, principal=who, asked=declared.input(**asked))

    async def sign_in(self, name: str = "maria") -> Browser:
        asked = {"name": name, "password": PASSWORD, "peer": "192.0.2.1"}
        return Browser(self, (await self.ask("sessions.sign-in", Anonymous(), **asked)).secret)

    async def registered(self, name: str = "maria", role: str = "auditor") -> SoftKey:
        """Make a person who has a key."""
        await self.plane.person(name, role=role, password=PASSWORD)
        browser, key = await self.sign_in(name), SoftKey()
        await browser.register(key)
        return key

    async def administrator(self) -> Principal:
        token = await self.plane.token(role="full-administrator")
        return await self.context.api_tokens.holder(token_text(token))

    def kept(self, name: str = "maria") -> list[SecurityKey]:
        [user] = [one.id for one in self.storage.users() if one.name == name]
        return list(self.storage.security_keys.of(user))

    def decided(self) -> list[str]:
        return [entry.operation for entry in self.storage.audit(limit=1000)]


@dataclass
class Browser:
    site: Site
    secret: str

    async def who(self) -> SessionHolder:
        return await holder_of(self.site.context, self.secret, is_use=True)

    async def owes(self) -> Owed:
        return (await self.who()).owes

    async def ask(self, operation: str, **asked: Any) -> Any:
        return await self.site.ask(operation, await self.who(), **asked)

    async def asked_to_register(self) -> str:
        return (await to_register(self.site.context, await self.who(), host=HOST)).options

    async def asked_to_show(self) -> str:
        return (await to_show(self.site.context, await self.who(), host=HOST)).options

    async def register(self, key: SoftKey, **wrong: Any) -> None:
        said = key.registers(await self.asked_to_register(), **{"origin": ORIGIN, **wrong})
        await self.ask("keys.add", name="blue", credential=said, host=HOST)

    async def show(self, key: SoftKey, **wrong: Any) -> None:
        await self.bring(key.shows(await self.asked_to_show(), **{"origin": ORIGIN, **wrong}))

    async def bring(self, said: str, host: str = HOST) -> None:
        await self.ask("sessions.show-key", credential=said, host=host)

    async def prove(self, password: str, said: str) -> None:
        await self.ask("sessions.prove", password=password, credential=said, host=HOST)


@pytest.fixture
def site(storage: Storage) -> Site:
    return Site(storage)


async def refusal(asked: Awaitable[object]) -> type[PatchtideError]:
    with pytest.raises(PatchtideError) as caught:
        await asked
    return caught.type


async def test_a_password_opens_nothing_until_the_key_was_shown(site: Site) -> None:
    key = await site.registered()
    browser = await site.sign_in()

    before = await browser.who()
    refused = await refusal(browser.ask("audit.list"))
    await browser.show(key)
    after = await browser.who()

    assert (before.owes, before.rights, refused) == (Owed.KEY, frozenset(), SecondFactorNeeded)
    assert (after.owes, after.rights) == (Owed.NOTHING, ROLES["auditor"])
    assert site.decided()[-2:] == ["sessions.sign-in", "sessions.show-key"]


WRONG = {
    "at another origin": {"origin": "https://evil.example"},
    "at another port": {"origin": "https://site.example:9999"},
    "without TLS": {"origin": f"http://{HOST}"},
    "for another name": {"rp": "evil.example"},
    "to another challenge": {"challenge": "A" * 43},
    "as if to register": {"type": "webauthn.create"},
    "in a page within another's": {"crossOrigin": True},
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
async def test_a_key_shown_wrongly_opens_nothing(site: Site, wrong: dict[str, Any]) -> None:
    key = await site.registered()
    browser = await site.sign_in()

    assert await refusal(browser.show(key, **wrong)) is WrongKey
    assert await browser.owes() is Owed.KEY


@pytest.mark.parametrize("said", ["", "{}", "null", "[" * 9000, '{"response": 7}', "\x00"])
async def test_what_is_no_answer_at_all_opens_nothing(site: Site, said: str) -> None:
    await site.registered()
    browser = await site.sign_in()
    await browser.asked_to_show()

    assert await refusal(browser.bring(said)) is WrongKey


async def test_an_answer_is_good_once_and_in_its_own_session(site: Site) -> None:
    key = await site.registered()
    first, second = await site.sign_in(), await site.sign_in()
    said = key.shows(await first.asked_to_show(), origin=ORIGIN)
    await second.asked_to_show()

    elsewhere = await refusal(second.bring(said))
    await first.bring(said)
    again = await refusal(first.bring(said))

    assert (elsewhere, again) == (WrongKey, WrongKey)
    assert await second.owes() is Owed.KEY


async def test_a_wrong_answer_uses_the_challenge_up(site: Site) -> None:
    key = await site.registered()
    browser = await site.sign_in()
    options = await browser.asked_to_show()

    await refusal(browser.bring(key.shows(options, origin="https://evil.example")))

    assert await refusal(browser.bring(key.shows(options, origin=ORIGIN))) is WrongKey


async def test_a_late_answer_opens_nothing(site: Site) -> None:
    key = await site.registered()
    browser = await site.sign_in()
    said = key.shows(await browser.asked_to_show(), origin=ORIGIN)
    site.clock.advance(minutes=5)

    assert await refusal(browser.bring(said)) is WrongKey


async def test_another_persons_key_opens_nothing(site: Site) -> None:
    theirs = await site.registered("jo")
    await site.registered("maria")
    browser = await site.sign_in("maria")

    assert await refusal(browser.show(theirs)) is WrongKey
    assert await browser.owes() is Owed.KEY


async def test_guessing_at_keys_ends_soon(site: Site) -> None:
    key = await site.registered()
    browser = await site.sign_in()

    codes = [(await refusal(browser.show(key, origin="https://x"))).code for _ in range(6)]

    assert codes == ["wrong-key"] * 5 + ["too-many-attempts"]


async def test_a_count_that_goes_back_stops_the_key_and_its_copy(site: Site) -> None:
    key = await site.registered()
    copy = key.copied()
    await (await site.sign_in()).show(copy)
    browser = await site.sign_in()

    assert await refusal(browser.show(key)) is CopiedKey
    assert site.decided()[-1] == "keys.stop"
    assert site.kept()[0].stopped_at == site.clock.now()
    assert await browser.asked_to_show() == ""
    assert await browser.owes() is Owed.KEY


async def test_a_key_that_counts_nothing_is_no_copy(site: Site) -> None:
    key = SoftKey(counts=False)
    await site.plane.person("maria", password=PASSWORD)
    await (await site.sign_in()).register(key)
    await (await site.sign_in()).show(key)
    browser = await site.sign_in()

    await browser.show(key)

    assert await browser.owes() is Owed.NOTHING


async def test_a_stolen_password_registers_no_key_beside_hers(site: Site) -> None:
    await site.registered()
    browser = await site.sign_in()
    his = {"name": "x", "credential": "", "host": HOST}

    assert await refusal(browser.asked_to_register()) is SecondFactorNeeded
    assert await refusal(browser.ask("keys.add", **his)) is SecondFactorNeeded
    removed = browser.ask("keys.remove", key=site.kept()[0].id)
    assert await refusal(removed) is SecondFactorNeeded


async def test_of_two_browsers_that_register_a_first_key_one_does(site: Site) -> None:
    await site.plane.person("maria", password=PASSWORD)
    hers, his = await site.sign_in(), await site.sign_in()
    let_in = await his.who()
    said = SoftKey().registers(await his.asked_to_register(), origin=ORIGIN)
    await hers.register(SoftKey())

    late = site.ask("keys.add", let_in, name="mine", credential=said, host=HOST)

    assert await refusal(late) is SecondFactorNeeded
    assert [key.name for key in site.kept()] == ["blue"]
    assert await his.owes() is Owed.KEY


async def test_a_key_is_registered_where_and_for_what_was_asked(site: Site) -> None:
    await site.plane.person("maria", password=PASSWORD)
    browser, key = await site.sign_in(), SoftKey()

    elsewhere = await refusal(browser.register(key, origin="https://evil.example"))
    shown = await refusal(browser.register(key, type="webauthn.get"))
    await browser.register(key)
    twice = await refusal(browser.register(SoftKey(id=key.id)))

    assert (elsewhere, shown, twice) == (WrongKey, WrongKey, WrongState)
    assert [one.place for one in site.kept()] == ["site.example"]


async def test_where_the_address_is_made_of_numbers_no_key_is_asked_for(site: Site) -> None:
    key = await site.registered()
    browser = await site.sign_in()

    found = await to_show(site.context, await browser.who(), host=NUMBERS)
    said = key.shows(await browser.asked_to_show(), origin=ORIGIN)

    assert (found.options, found.elsewhere) == ("", ("https://site.example:8540",))
    assert await refusal(browser.bring(said, NUMBERS)) is NoKeysHere
    assert await refusal(browser.bring(said, "evil.example")) is NoKeysHere
    assert await browser.owes() is Owed.KEY


async def test_who_has_a_key_proves_herself_with_both(site: Site) -> None:
    key = await site.registered()
    browser = await site.sign_in()
    await browser.show(key)
    site.clock.advance(minutes=6)
    [kept] = site.kept()

    stale = await refusal(browser.ask("keys.remove", key=kept.id))
    no_key = await refusal(browser.prove(PASSWORD, ""))
    said = key.shows(await browser.asked_to_show(), origin=ORIGIN)
    no_password = await refusal(browser.prove("guess", said))
    await browser.prove(PASSWORD, key.shows(await browser.asked_to_show(), origin=ORIGIN))
    other = await site.sign_in()
    await browser.ask("keys.remove", key=kept.id)

    assert await refusal(other.who()) is Unauthenticated
    assert (stale, no_key, no_password) == (SignInAgain, WrongKey, WrongPassword)
    assert site.kept() == []


async def test_a_key_is_its_owners_alone(site: Site) -> None:
    await site.registered("jo")
    [theirs] = site.kept("jo")
    await site.plane.person("maria", password=PASSWORD)
    browser = await site.sign_in("maria")

    assert await refusal(browser.ask("keys.remove", key=theirs.id)) is NotFound
    assert await refusal(browser.ask("keys.rename", key=theirs.id, name="mine")) is NotFound
    assert site.kept("jo") == [theirs]


async def test_required_it_lets_a_privileged_person_only_register(site: Site) -> None:
    await site.plane.person("jo", role="auditor", password=PASSWORD)
    await site.plane.person("ann", role="update-administrator", password=PASSWORD)
    await site.registered("maria", role="full-administrator")
    open_before = await site.sign_in("ann")

    shown = await site.ask("settings.set-second-factor", await site.administrator(), required=True)
    ann, jo = await site.sign_in("ann"), await site.sign_in("jo")

    assert (shown.required, shown.lacking) == (True, ("ann",))
    assert (await ann.owes(), await open_before.owes()) == (Owed.REGISTRATION,) * 2
    assert await refusal(ann.ask("whoami")) is SecondFactorNeeded
    assert await jo.owes() is Owed.NOTHING
    await ann.register(SoftKey())
    assert (await ann.who()).rights == ROLES["update-administrator"]
    assert await open_before.owes() is Owed.KEY


async def test_nobody_requires_of_others_what_she_lacks(site: Site) -> None:
    await site.plane.person("maria", role="full-administrator", password=PASSWORD)
    browser = await site.sign_in()

    asked = browser.ask("settings.set-second-factor", required=True)

    assert await refusal(asked) is WrongState


@pytest.mark.parametrize("forget", [False, True])
async def test_a_new_link_asks_for_the_keys_unless_it_says_otherwise(
    site: Site, forget: bool
) -> None:
    await site.registered()
    before = await site.sign_in()
    issued = await site.ask(
        "users.link", await site.administrator(), user=site.kept()[0].user, forget_keys=forget
    )

    code, words = issued.link.partition("#")[2], "other words by far"
    begun = await site.ask("sessions.welcome", Anonymous(), code=code, password=words, peer="x")

    assert await refusal(before.who()) is Unauthenticated
    assert await Browser(site, begun.secret).owes() is (Owed.NOTHING if forget else Owed.KEY)
    assert len(site.kept()) == (0 if forget else 1)
    [made] = [e for e in site.storage.audit(limit=1000) if e.operation == "users.link"]
    assert made.detail["forget_keys"] is forget


async def test_until_such_a_link_is_used_the_old_password_needs_the_key(site: Site) -> None:
    key = await site.registered()
    user = site.kept()[0].user
    await site.ask("users.link", await site.administrator(), user=user, forget_keys=True)

    browser = await site.sign_in()

    assert await browser.owes() is Owed.KEY
    await browser.show(key)


async def test_whoever_holds_the_home_folder_gets_in_without_a_key(site: Site) -> None:
    await site.registered("maria", role="full-administrator")
    link = await sign_in_link(site.storage, now=site.clock.now())

    code = link.link.partition("#")[2]
    begun = await site.ask("sessions.enter", Anonymous(), code=code, peer="x")

    browser = Browser(site, begun.secret)
    assert await browser.owes() is Owed.NOTHING
    await browser.ask("keys.remove", key=site.kept()[0].id)
