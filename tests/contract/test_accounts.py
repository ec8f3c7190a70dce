"""People, their sessions and their one-time links, over the real databases (S32)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from datetime import timedelta

import pytest
from msgspec import Struct

from patchtide.adapters.storage import Storage
from patchtide.domain.access.credentials import hash_of
from patchtide.domain.access.principals import Anonymous, SessionHolder
from patchtide.domain.access.rights import ROLES, Kind, Right, Verb
from patchtide.domain.errors import InvalidDocument, PatchtideError, Unauthenticated, Unavailable
from patchtide.server.attempts import KEPT, TooManyAttempts
from patchtide.server.first_administrator import sign_in_link
from patchtide.server.operations import OPERATIONS
from patchtide.server.own_password import ChangePassword
from patchtide.server.ports.accounts import LinkUse
from patchtide.server.session_holders import holder_of
from patchtide.server.sessions import (
    Begun,
    Enter,
    LinkSpent,
    SignIn,
    SignOut,
    Welcome,
    WrongPassword,
)
from patchtide.server.sign_in_links import IssuedLink, issue
from patchtide.server.sign_in_operations import SESSIONS
from patchtide.server.table import perform
from patchtide.server.users import ChangeRole, OneUser
from tests.integration.http.plane import CODE, AdministratorsPlane

pytestmark = pytest.mark.anyio
PASSWORD = "correct horse battery"
HERE = "192.0.2.1"
DOOR = {operation.name: operation for operation in SESSIONS}


class Site:
    """A site with its door: what a browser may ask before anybody is signed in."""

    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.plane = AdministratorsPlane(storage=storage)
        self.context = self.plane.context
        self.clock = self.plane.clock

    async def sign_in(
        self, name: str = "jo", password: str = PASSWORD, *, peer: str = HERE, replaces: str = ""
    ) -> Begun:
        return await self._ask(
            "sign-in", SignIn(name=name, password=password, peer=peer, replaces=replaces)
        )

    async def welcome(self, code: str, password: str = PASSWORD) -> Begun:
        return await self._ask("welcome", Welcome(code=code, password=password, peer=HERE))

    async def enter(self, code: str) -> Begun:
        return await self._ask("enter", Enter(code=code, peer=HERE))

    async def change_password(self, begun: Begun, old: str, new: str) -> None:
        holder = await self.holder(begun.secret)
        asked = ChangePassword(old=old, new=new)
        await perform(self.context, OPERATIONS["users.password"], principal=holder, asked=asked)

    async def _ask(self, name: str, asked: Struct) -> Begun:
        operation = DOOR[f"sessions.{name}"]
        made: Begun = await perform(self.context, operation, principal=Anonymous(), asked=asked)
        return made

    async def holder(self, secret: str, *, is_use: bool = True) -> SessionHolder:
        return await holder_of(self.context, secret, is_use=is_use)

    async def link(self, user: str, use: LinkUse = LinkUse.CHOOSE_PASSWORD) -> str:
        found = next(u for u in self.storage.users() if u.id == user)
        link, issued = issue(found, now=self.clock.now(), use=use)
        await self.storage.decide(
            "test", "test", lambda tx: tx.put_link(link), now=self.clock.now()
        )
        return code_of(issued)

    async def administrators_link(self) -> IssuedLink:
        return await sign_in_link(self.storage, now=self.clock.now())


def code_of(issued: IssuedLink) -> str:
    return issued.link.partition("#")[2]


async def _unavailable(*_: object, **__: object) -> None:
    raise Unavailable


def id_of(token: str) -> str:
    return token.split("_")[1]


@pytest.fixture
def site(storage: Storage) -> Site:
    return Site(storage)


async def refusal(asked: Awaitable[object]) -> type[PatchtideError]:
    with pytest.raises(PatchtideError) as caught:
        await asked
    return caught.type


async def test_a_password_opens_a_session_with_its_persons_rights(site: Site) -> None:
    user = await site.plane.person("jo", role="deployer", password=PASSWORD)

    begun = await site.sign_in(" Jo ")

    assert await site.holder(begun.secret) == SessionHolder(
        user_id=user, name="jo", rights=ROLES["deployer"]
    )


async def test_every_sign_in_has_a_secret_of_its_own_and_ends_the_browsers_last_session(
    site: Site,
) -> None:
    await site.plane.person("jo", password=PASSWORD)
    first, elsewhere = await site.sign_in(), await site.sign_in()

    second = await site.sign_in(replaces=first.secret)

    assert len({first.secret, second.secret, elsewhere.secret}) == 3
    assert await refusal(site.holder(first.secret)) is Unauthenticated
    assert (await site.holder(second.secret)).name == "jo"
    assert (await site.holder(elsewhere.secret)).name == "jo"


async def test_wrong_unknown_disabled_and_not_yet_chosen_are_answered_alike(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    await site.plane.person("max", password=PASSWORD, is_disabled=True)
    await site.plane.person("new")

    found = [
        await refusal(site.sign_in("jo", "not this one at all")),
        await refusal(site.sign_in("nobody")),
        await refusal(site.sign_in("max")),
        await refusal(site.sign_in("new")),
    ]

    assert found == [WrongPassword] * 4


async def test_a_session_ends_after_a_quarter_of_an_hour_without_use(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    secret = (await site.sign_in()).secret
    for _ in range(3):
        site.clock.advance(minutes=14)
        await site.holder(secret)

    site.clock.advance(minutes=14)
    await site.holder(secret, is_use=False)  # a page that only looks for news is no use
    site.clock.advance(minutes=1)

    assert await refusal(site.holder(secret)) is Unauthenticated


async def test_a_session_ends_after_half_a_day_however_much_it_is_used(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    secret = (await site.sign_in()).secret
    for _ in range(71):
        site.clock.advance(minutes=10)
        await site.holder(secret)

    site.clock.advance(minutes=10)

    assert await refusal(site.holder(secret)) is Unauthenticated


async def test_use_is_noted_without_an_audit_entry(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    secret = (await site.sign_in()).secret
    before = len(site.storage.audit())
    site.clock.advance(minutes=2)

    await site.holder(secret)

    found = site.storage.session(hash_of(secret))
    assert found is not None
    assert found[0].seen_at == site.clock.now()
    assert len(site.storage.audit()) == before


async def test_signing_out_ends_this_session_and_no_other(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    here, there = await site.sign_in(), await site.sign_in()

    await perform(
        site.context,
        DOOR["sessions.sign-out"],
        principal=await site.holder(here.secret),
        asked=SignOut(secret=here.secret),
    )

    assert await refusal(site.holder(here.secret)) is Unauthenticated
    assert (await site.holder(there.secret)).name == "jo"


async def test_whoever_is_disabled_is_out_at_once(site: Site) -> None:
    user = await site.plane.person("jo", password=PASSWORD)
    secret = (await site.sign_in()).secret
    token = await site.plane.token(role="full-administrator")

    answer = await site.plane.ask("POST", f"/api/v1/users/{user}/disable", token=token)

    assert answer.status == 204
    assert await refusal(site.holder(secret)) is Unauthenticated
    assert site.storage.session(hash_of(secret)) is None


async def test_whoever_is_disabled_is_out_with_every_token_that_stands_for_him(site: Site) -> None:
    user = await site.plane.person("jo", role="full-administrator", password=PASSWORD)
    admin = await site.plane.token(role="full-administrator")
    jo = await site.holder((await site.sign_in()).secret)
    first = await site.plane.minted(jo)
    second = await site.plane.minted(first)
    await site.plane.ask("DELETE", f"/api/v1/api-tokens/{id_of(first)}", token=admin)
    others = await site.plane.minted(admin)

    await site.plane.ask("POST", f"/api/v1/users/{user}/disable", token=admin)

    assert await site.plane.opens(first, second, others) == [False, False, True]


async def test_a_reset_link_takes_back_the_tokens_that_the_lost_password_could_have_made(
    site: Site,
) -> None:
    user = await site.plane.person("jo", role="full-administrator", password=PASSWORD)
    admin = await site.plane.token(role="full-administrator")
    minted = await site.plane.minted(await site.holder((await site.sign_in()).secret))

    answer = await site.plane.ask("POST", f"/api/v1/users/{user}/link", token=admin)

    assert answer.status == 201
    assert await site.plane.opens(minted, admin) == [False, True]


async def test_a_reset_link_shuts_out_whoever_holds_the_lost_password_and_what_he_makes_with_it(
    site: Site,
) -> None:
    user = await site.plane.person("jo", role="full-administrator", password=PASSWORD)
    admin = await site.plane.token(role="full-administrator")
    thief = await site.sign_in()
    issued = await site.plane.ask("POST", f"/api/v1/users/{user}/link", token=admin)

    assert await refusal(site.holder(thief.secret)) is Unauthenticated
    again = await site.sign_in()  # the lost password is good until another one is chosen
    minted = await site.plane.minted(await site.holder(again.secret))
    await site.welcome(issued.json["link"].partition("#")[2], "another four words")

    assert await refusal(site.holder(again.secret)) is Unauthenticated
    assert await site.plane.opens(minted, admin) == [False, True]
    [entry] = [e for e in site.storage.audit() if e.operation == "sessions.welcome"]
    assert entry.detail == {"name": "jo", "sessions": 1, "tokens": 1}


async def test_a_link_of_before_does_not_let_in_whoever_is_enabled_again(site: Site) -> None:
    user = await site.plane.person("jo")
    token = await site.plane.token(role="full-administrator")
    code = await site.link(user)

    for act in ("disable", "enable"):
        await site.plane.ask("POST", f"/api/v1/users/{user}/{act}", token=token)

    assert await refusal(site.welcome(code)) is LinkSpent


async def test_a_token_that_ends_lets_nobody_in_for_longer(site: Site) -> None:
    user = await site.plane.person("jo", password=PASSWORD)
    gone = await site.plane.person("max", password=PASSWORD, is_disabled=True)
    ending = await site.plane.minted(await site.plane.token(role="full-administrator"), days=1)
    maria = {"name": "maria", "role": "auditor"}

    asked = [
        await site.plane.ask("POST", "/api/v1/users", token=ending, document=maria),
        await site.plane.ask("POST", f"/api/v1/users/{user}/link", token=ending),
        await site.plane.ask("POST", f"/api/v1/users/{gone}/enable", token=ending),
    ]

    assert [answer.status for answer in asked] == [403] * 3
    assert "this token ends" in asked[0].json["detail"]
    assert [u.name for u in site.storage.users()] == ["jo", "max"]
    shut_out = await site.plane.ask("POST", f"/api/v1/users/{user}/disable", token=ending)
    assert shut_out.status == 204


async def test_another_role_holds_with_the_next_request_and_takes_back_what_goes_beyond_it(
    site: Site,
) -> None:
    user = await site.plane.person("jo", role="full-administrator", password=PASSWORD)
    admin = await site.plane.token(role="full-administrator")
    secret = (await site.sign_in()).secret
    jo = await site.holder(secret)
    more, less = await site.plane.minted(jo), await site.plane.minted(jo, role="auditor")

    answer = await site.plane.ask(
        "POST", f"/api/v1/users/{user}/role", token=admin, document={"role": "auditor"}
    )

    assert answer.status == 200
    assert (await site.holder(secret)).rights == ROLES["auditor"]
    assert await site.plane.opens(more, less) == [False, True]
    [entry] = [e for e in site.storage.audit() if e.operation == "users.role"]
    assert (entry.subject, entry.detail["name"], entry.detail["tokens"]) == (user, "jo", 1)


@pytest.mark.parametrize(
    ("asker", "holds", "wanted", "status"),
    [
        ("accounts.administer", "auditor", "machine-owner", 403),
        ("full-administrator", "auditor", "auditor", 409),
        ("ending", "auditor", "deployer", 403),
        ("ending", "deployer", "machine-owner", 200),
        ("full-administrator", "auditor", "", 400),
    ],
    ids=["has less than that person", "nothing changes", "more, by a token that ends",
         "less, by a token that ends", "no role"],
)  # fmt: skip
async def test_nobody_gives_a_role_beyond_his_own_reach(
    site: Site, asker: str, holds: str, wanted: str, status: int
) -> None:
    user = await site.plane.person("jo", role=holds, password=PASSWORD)
    token = await site.plane.token(role="full-administrator")
    if asker == "accounts.administer":
        token = await site.plane.token(rights=frozenset({Right(Kind.ACCOUNTS, Verb.ADMINISTER)}))
    elif asker == "ending":
        token = await site.plane.minted(token)

    answer = await site.plane.ask(
        "POST", f"/api/v1/users/{user}/role", token=token, document={"role": wanted}
    )

    assert answer.status == status


async def test_the_only_one_who_can_hand_on_rights_keeps_them(site: Site) -> None:
    begun = await site.welcome(CODE)
    holder = await site.holder(begun.secret)
    asked = ChangeRole(user=holder.user_id, role="auditor")

    found = await refusal(
        perform(site.context, OPERATIONS["users.role"], principal=holder, asked=asked)
    )

    assert found.code == "last-administrator"


async def test_a_person_changes_her_password_and_every_other_browser_is_out(site: Site) -> None:
    user = await site.plane.person("jo", password=PASSWORD)
    here, there = await site.sign_in(), await site.sign_in()
    link = await site.link(user)

    await site.change_password(here, PASSWORD, "another four words")

    assert (await site.holder(here.secret)).name == "jo"
    assert await refusal(site.holder(there.secret)) is Unauthenticated
    assert await refusal(site.welcome(link)) is LinkSpent
    assert await refusal(site.sign_in()) is WrongPassword
    assert (await site.sign_in(password="another four words")).name == "jo"
    [entry] = [e for e in site.storage.audit() if e.operation == "users.password"]
    assert (entry.actor, entry.detail) == (f"user:{user}", {"name": "jo", "sessions": 1})


async def test_whoever_finds_an_open_browser_cannot_guess_the_password_in_it(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    here = await site.sign_in()
    for _ in range(5):
        guess = site.change_password(here, "guess after guess", "another four words")
        assert await refusal(guess) is WrongPassword

    found = await refusal(site.change_password(here, PASSWORD, "another four words"))

    assert found is TooManyAttempts
    assert (await site.sign_in()).name == "jo"


async def test_a_person_has_her_few_guesses_however_many_tokens_she_guesses_with(
    site: Site,
) -> None:
    await site.plane.person("jo", role="full-administrator", password=PASSWORD)
    jo = await site.holder((await site.sign_in()).secret)
    guess = {"old": "guess after guess", "new": "another four words"}

    answers = [
        await site.plane.ask(
            "POST", "/api/v1/password", token=await site.plane.minted(jo), document=guess
        )
        for _ in range(7)
    ]

    assert [answer.status for answer in answers] == [401] * 5 + [429] * 2
    await site.context.failed_sign_ins.write()
    told = site.storage.audit()[-1].detail
    assert (told["failures"], told["addresses"], told["as_people"]) == (7, 0, "jo (7)")


async def test_a_new_password_is_another_one_and_no_weak_one(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    here = await site.sign_in()

    for new in (PASSWORD, "jojojojojojo"):
        assert await refusal(site.change_password(here, PASSWORD, new)) is InvalidDocument


async def test_by_a_token_only_the_person_who_made_it_changes_her_password(site: Site) -> None:
    await site.plane.person("jo", role="full-administrator", password=PASSWORD)
    begun = await site.sign_in()
    own = await site.plane.minted(await site.holder(begun.secret))
    document = {"old": PASSWORD, "new": "another four words"}

    asked = [
        await site.plane.ask("POST", "/api/v1/password", token=token, document=document)
        for token in (await site.plane.minted(own), own)
    ]

    assert [answer.status for answer in asked] == [403, 204]
    assert await refusal(site.holder(begun.secret)) is Unauthenticated


async def test_whoever_has_less_takes_no_token_from_whoever_has_more(site: Site) -> None:
    keeper = await site.plane.token(rights=frozenset({Right(Kind.ACCOUNTS, Verb.ADMINISTER)}))
    more, alike = (
        await site.plane.token(role="auditor"),
        await site.plane.token(rights=frozenset({Right(Kind.ACCOUNTS, Verb.READ)})),
    )

    asked = [
        await site.plane.ask("DELETE", f"/api/v1/api-tokens/{id_of(token)}", token=keeper)
        for token in (more, alike)
    ]

    assert [answer.status for answer in asked] == [403, 204]
    assert await site.plane.opens(more, alike) == [True, False]


async def test_a_link_lets_its_person_choose_a_password_once(site: Site) -> None:
    user = await site.plane.person("jo", password="the old one of before")
    before = await site.sign_in(password="the old one of before")
    code = await site.link(user)

    begun = await site.welcome(code)

    assert (await site.holder(begun.secret)).name == "jo"
    assert await refusal(site.holder(before.secret)) is Unauthenticated
    assert await refusal(site.welcome(code, "and another one again")) is LinkSpent
    assert (await site.sign_in()).name == "jo"


async def test_of_two_who_bring_the_same_link_at_once_one_gets_in(site: Site) -> None:
    code = await site.link(await site.plane.person("jo"))

    done = await asyncio.gather(*(site.welcome(code) for _ in range(4)), return_exceptions=True)

    assert sorted(type(one).__name__ for one in done) == ["Begun"] + ["LinkSpent"] * 3


async def test_a_newer_link_makes_the_older_one_useless(site: Site) -> None:
    user = await site.plane.person("jo")
    older = await site.link(user)
    newer = await site.link(user)

    assert await refusal(site.welcome(older)) is LinkSpent
    assert (await site.welcome(newer)).name == "jo"


async def test_a_weak_password_does_not_use_the_link_up(site: Site) -> None:
    code = await site.link(await site.plane.person("jo"))

    assert await refusal(site.welcome(code, "jojojojojojo")) is InvalidDocument
    assert (await site.welcome(code)).name == "jo"


async def test_a_link_is_good_for_its_own_use_only(site: Site) -> None:
    user = await site.plane.person("jo", password=PASSWORD)
    to_choose = await site.link(user)
    assert await refusal(site.enter(to_choose)) is LinkSpent
    to_sign_in = await site.link(user, LinkUse.SIGN_IN)

    assert await refusal(site.welcome(to_sign_in)) is LinkSpent
    assert (await site.enter(to_sign_in)).name == "jo"
    assert await refusal(site.enter(to_sign_in)) is LinkSpent


async def test_after_a_restore_nothing_counts_that_lives_a_day_at_most(site: Site) -> None:
    user = await site.plane.person("jo", password=PASSWORD)
    begun, link = await site.sign_in(), await site.link(user)
    administrator = await site.plane.token(role="full-administrator")
    await site.plane.ask("POST", "/api/v1/tokens", token=administrator)
    tokens = site.storage.enrolment_tokens()

    done = await site.plane.ask("POST", "/api/v1/restored", token=administrator)

    assert (done.status, len(tokens), site.storage.enrolment_tokens()) == (200, 1, [])
    assert await refusal(site.holder(begun.secret)) is Unauthenticated
    assert await refusal(site.welcome(link)) is LinkSpent
    assert (await site.sign_in()).name == "jo"


async def test_the_code_of_a_fresh_site_makes_its_first_administrator(site: Site) -> None:
    begun = await site.welcome(CODE)

    holder = await site.holder(begun.secret)
    assert (holder.name, holder.rights) == ("admin", ROLES["full-administrator"])
    assert await refusal(site.welcome(CODE)) is LinkSpent
    claim = await site.plane.ask("POST", "/api/v1/bootstrap", document={"code": CODE})
    assert claim.status == 404


async def test_whoever_holds_the_home_folder_gets_in_and_makes_the_first_administrator(
    site: Site,
) -> None:
    first = await site.administrators_link()
    assert first.link.startswith("/welcome#")
    begun = await site.welcome(code_of(first))
    assert (await site.holder(begun.secret)).rights == ROLES["full-administrator"]

    second = await site.administrators_link()

    assert (second.id, second.link[:7]) == (first.id, "/enter#")
    assert (await site.enter(code_of(second))).name == "admin"
    assert [(e.actor, e.operation) for e in site.storage.audit()] == [
        ("home-folder", "users.sign-in-link"),
        ("anonymous", "sessions.welcome"),
        ("home-folder", "users.sign-in-link"),
        ("anonymous", "sessions.enter"),
    ]
    claim = await site.plane.ask("POST", "/api/v1/bootstrap", document={"code": CODE})
    assert claim.status == 404


async def test_that_link_is_for_nobody_who_is_disabled_or_has_less_than_every_right(
    site: Site,
) -> None:
    await site.plane.person("out", role="full-administrator", password=PASSWORD, is_disabled=True)
    await site.plane.person("less", role="update-administrator", password=PASSWORD)
    site.clock.advance(days=1)
    fresh = await site.administrators_link()
    await site.plane.person("ann", role="full-administrator", password=PASSWORD)

    later = await site.administrators_link()

    assert (fresh.name, later.name) == ("admin", "ann")
    assert (await site.enter(code_of(later))).name == "ann"


async def test_that_link_lasts_ten_minutes_and_only_its_digest_is_kept(site: Site) -> None:
    issued = await site.administrators_link()
    kept = site.storage.link(hash_of(code_of(issued)))
    assert kept is not None
    assert kept[0].expires_at - site.clock.now() == timedelta(minutes=10)
    assert code_of(issued) not in str(kept)

    site.clock.advance(minutes=10)

    assert await refusal(site.welcome(code_of(issued))) is LinkSpent


async def test_its_administrator_never_takes_somebody_elses_name(site: Site) -> None:
    await site.plane.person("admin", role="auditor")

    issued = await site.administrators_link()

    assert issued.name == "admin2"


async def test_after_five_failures_an_address_must_wait_and_others_need_not(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    for _ in range(5):
        assert await refusal(site.sign_in(password="guess after guess")) is WrongPassword

    assert await refusal(site.sign_in()) is TooManyAttempts
    assert (await site.sign_in(peer="192.0.2.2")).name == "jo"
    site.clock.advance(seconds=30)
    assert (await site.sign_in()).name == "jo"


async def test_many_guesses_at_once_are_no_more_than_one_after_the_other(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)

    guesses = [site.sign_in(password=f"guess number {n}") for n in range(12)]
    done = await asyncio.gather(*guesses, return_exceptions=True)

    kinds = [type(one) for one in done]
    assert (kinds.count(WrongPassword), kinds.count(TooManyAttempts)) == (5, 7)


async def test_guesses_from_everywhere_do_not_shut_out_where_the_person_was_before(
    site: Site,
) -> None:
    await site.plane.person("jo", password=PASSWORD)
    await site.sign_in(peer="10.0.0.1")
    for n in range(20):
        await refusal(site.sign_in(password="guess after guess", peer=f"192.0.2.{n}"))

    assert await refusal(site.sign_in(peer="198.51.100.1")) is TooManyAttempts
    assert (await site.sign_in(peer="10.0.0.1")).name == "jo"


async def test_whoever_has_a_whole_network_of_addresses_has_the_guesses_of_one(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    for n in range(5):
        await refusal(site.sign_in(password="guess after guess", peer=f"2001:db8::{n}"))

    assert await refusal(site.sign_in(peer="2001:db8::ffff")) is TooManyAttempts
    assert (await site.sign_in(peer="2001:db8:0:1::1")).name == "jo"


async def test_whoever_guesses_from_many_addresses_does_not_make_a_name_forgotten(
    site: Site,
) -> None:
    attempts, now = site.context.attempts, site.clock.now()
    for n in range(20):
        attempts.take(peer=f"192.0.2.{n}", name="jo", now=now)
    for n in range(KEPT + 1):
        attempts.take(peer=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}", now=now)

    with pytest.raises(TooManyAttempts):
        attempts.take(peer="198.51.100.1", name="jo", now=now)


async def test_strangers_with_invented_links_never_reach_the_writer(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = await site.plane.person("jo", password=PASSWORD)
    to_choose = await site.link(user)
    monkeypatch.setattr(site.storage, "decide", _unavailable)

    for code in ("0" * 64, to_choose):
        assert await refusal(site.enter(code)) is LinkSpent
    assert await refusal(site.welcome("0" * 64)) is LinkSpent


async def test_failed_sign_ins_are_one_audit_entry_for_many_guesses(site: Site) -> None:
    await site.plane.person("jo", password=PASSWORD)
    failed = site.context.failed_sign_ins
    for _ in range(6):
        await refusal(site.sign_in(password="guess after guess"))
    await refusal(site.sign_in("my password, typed too early", peer="2001:db8::1"))
    await failed.step()
    assert site.storage.audit() == []

    site.clock.advance(minutes=10)
    await failed.step()
    await failed.step()

    [entry] = site.storage.audit()
    assert (entry.actor, entry.operation) == ("anonymous", "sessions.failed")
    assert {k: v for k, v in entry.detail.items() if k != "since"} == {
        "failures": 7,
        "addresses": 2,
        "mostly_from": "192.0.2.1 (6), 2001:db8:: (1)",
        "as_people": "jo (6)",
    }


async def test_invented_names_never_crowd_out_whom_was_guessed_at(site: Site) -> None:
    await site.plane.person("boss", password=PASSWORD)
    failed = site.context.failed_sign_ins
    stranger = "198.51.100.1"
    for number in range(1000):
        failed.add(peer=stranger, name=f"invented{number}")
    await refusal(site.sign_in("boss", "guess after guess"))
    for number in range(2000):
        failed.add(peer=stranger, name=f"more{number}")
    await refusal(site.sign_in("boss", "guess after guess"))

    await failed.write()

    told = site.storage.audit()[-1].detail
    assert (told["failures"], told["as_people"]) == (3002, "boss (2)")


async def test_failures_that_could_not_be_written_down_are_counted_on(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    failed = site.context.failed_sign_ins
    await refusal(site.sign_in("nobody"))
    with monkeypatch.context() as broken:
        broken.setattr(site.storage, "decide", _unavailable)
        assert await refusal(failed.write()) is Unavailable
    await refusal(site.sign_in("nobody"))

    await failed.write()

    assert [entry.detail["failures"] for entry in site.storage.audit()] == [2]


async def test_a_weak_password_with_a_good_link_is_no_failed_sign_in(site: Site) -> None:
    code = await site.link(await site.plane.person("jo"))
    for _ in range(6):
        assert await refusal(site.welcome(code, "jojojojojojo")) is InvalidDocument

    assert (await site.welcome(code)).name == "jo"


async def test_nobody_hands_on_rights_that_he_lacks(site: Site) -> None:
    token = await site.plane.token(rights=frozenset({Right(Kind.ACCOUNTS, Verb.ADMINISTER)}))

    answer = await site.plane.ask(
        "POST", "/api/v1/users", token=token, document={"name": "maria", "role": "auditor"}
    )

    assert (answer.status, answer.json["code"]) == (403, "refused")


async def test_the_only_one_who_can_hand_on_rights_cannot_be_shut_out(site: Site) -> None:
    begun = await site.welcome(CODE)
    holder = await site.holder(begun.secret)

    async def disable() -> object:
        return await perform(
            site.context,
            OPERATIONS["users.disable"],
            principal=holder,
            asked=OneUser(user=holder.user_id),
        )

    assert (await refusal(disable())).code == "last-administrator"
    await site.plane.person("second", role="full-administrator", password=PASSWORD)
    await disable()
    assert await refusal(site.holder(begun.secret)) is Unauthenticated


async def test_a_name_is_given_once(site: Site) -> None:
    token = await site.plane.token(role="full-administrator")
    document = {"name": "maria", "role": "auditor"}

    first = await site.plane.ask("POST", "/api/v1/users", token=token, document=document)
    second = await site.plane.ask("POST", "/api/v1/users", token=token, document=document)

    assert (first.status, second.status) == (201, 409)
    listed = await site.plane.ask("GET", "/api/v1/users", token=token)
    assert [(u["name"], u["role"], u["has_password"]) for u in listed.json["items"]] == [
        ("maria", "auditor", False)
    ]


async def test_sessions_and_links_that_had_their_time_are_removed(site: Site) -> None:
    user = await site.plane.person("jo", password=PASSWORD)
    secret = (await site.sign_in()).secret
    code = await site.link(user)
    site.clock.advance(hours=25)

    await site.storage.trim(now=site.clock.now().timestamp())

    assert site.storage.session(hash_of(secret)) is None
    assert site.storage.link(hash_of(code)) is None
