"""S15 from end to end: one person proposes on the command line, another agrees in the browser."""

from __future__ import annotations

import asyncio
import re
import ssl
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trustme

from patchtide.adapters.http.protocol import ConnectionLimits
from patchtide.domain.access.credentials import hash_of
from patchtide.domain.access.principals import SessionHolder
from patchtide.domain.access.proofs import LASTS
from patchtide.domain.access.proposals import Rule
from patchtide.domain.access.rights import ROLES
from patchtide.server import proposing, shown_proposals
from patchtide.server.disruptions import LIMITS, read_limits
from patchtide.server.four_eyes import FOUR_EYES, Proposed, read_rule
from patchtide.server.operations import OPERATIONS
from patchtide.server.role_book import held_by
from patchtide.server.table import perform
from tests.integration.console.visitor import ConsoleSite, Visitor
from tests.integration.http.test_command_line import Shell, context_of
from tests.integration.http.test_connections import serving

pytestmark = pytest.mark.anyio
SESSION = "__Host-patchtide-session"
ON = {"on": "yes", "approvers": "1", "machines_over": "50", "delay_h": "24", "lasts_h": "168"}


async def act(visitor: Visitor, proposal: str, name: str, *, at: str = "") -> str:
    page = (await visitor.get(f"/proposals/{proposal}{at}")).body.decode()
    said = dict(re.findall(r'name="(content|whole)" value="(\w+)"', page))
    done = await visitor.post("/proposals/act", {"act": name, "proposal": proposal, **said})
    where = done.headers.get("location")
    return ((await visitor.get(where)) if where else done).body.decode()


async def proposed(visitor: Visitor, path: str, fields: dict[str, str]) -> str:
    answer = await visitor.post(path, fields)
    said = answer.headers.get("location", "") + answer.body.decode()
    return re.findall(r"/proposals/(\w{12})", said)[0]


async def do(
    site: ConsoleSite, visitor: Visitor, operation: str, *, is_fresh: bool = True, **asked: Any
) -> Any:
    """Ask for it as that visitor, whose security key was just shown."""
    secret = hash_of(visitor.cookies[SESSION])
    known = site.storage.session(secret)
    assert known is not None
    _, user = known
    holder = SessionHolder(
        user_id=user.id,
        name=user.name,
        rights=held_by(user.rights, site.storage.setting),
        session=secret,
        proved_at=site.clock.now() - (timedelta() if is_fresh else 2 * LASTS),
        has_key=True,
    )
    found = OPERATIONS[operation]
    wanted = msgspec.convert(asked, found.input)
    return await perform(site.plane.context, found, principal=holder, asked=wanted)


async def waiting(site: ConsoleSite, visitor: Visitor, operation: str, **asked: Any) -> str:
    """Return what waits then, by its id."""
    with pytest.raises(Proposed) as waits:
        await do(site, visitor, operation, **asked)
    return waits.value.proposal.id


async def number_on(visitor: Visitor) -> str:
    """Return the number beside "Proposals" on each page."""
    page = (await visitor.get("/account")).body.decode()
    found = re.search(r"<span>Proposals</span><span[^>]*>(\d+)<", page)
    return found[1] if found else ""


async def token_of(site: ConsoleSite, user: str) -> str:
    holder = SessionHolder(
        user_id=user, name="maria", rights=ROLES["full-administrator"], proved_at=site.clock.now()
    )
    return await site.plane.minted(holder)


def noted(site: ConsoleSite) -> list[tuple[str, Any]]:
    found = site.storage.newest_audit(limit=100)
    return [
        (e.operation, e.detail)
        for e in found
        if e.operation.startswith(("users", "roles", "propos"))
    ]


async def test_what_one_proposes_another_approves_and_the_first_has_done_once(
    site: ConsoleSite, tmp_path: Path
) -> None:
    maria_id = await site.person("maria")
    tom, maria = await site.signed_in("tom"), site.visitor()
    await maria.sign_in("maria")
    token = await token_of(site, maria_id)
    assert (await maria.post("/proposals/rule", ON)).status == 303
    ca = trustme.CA()
    ca.cert_pem.write_to_path(tmp_path / "ca.pem")
    tls = context_of(ca.issue_cert("127.0.0.1"), highest=ssl.TLSVersion.TLSv1_3)
    async with serving(site.plane.app, ConnectionLimits(), tls=tls) as port:
        shell = Shell(
            PATCHTIDE_URL=f"https://127.0.0.1:{port}",
            PATCHTIDE_CA=str(tmp_path / "ca.pem"),
            PATCHTIDE_TOKEN=token,
        )
        asked = ("roles", "define", "night-shift", "machines.read")
        code, said = await shell(*asked)
        assert code == 4, said
        assert "waits for 1 more person" in said
        proposal = re.findall(r"enact (\w+)", said)[0]
        assert (await shell(*asked))[1] == said, "asked for twice it is still one proposal"
        early = await shell("proposals", "enact", proposal)
        assert early == (1, "wrong-state: the proposal waits for 1 more person\n")

        own = await act(maria, proposal, "approve")
        assert "whoever proposed it cannot approve it" in own
        assert "Approved. Once enough have, whoever" in await act(tom, proposal, "approve")
        assert (await shell("roles", "list"))[1].count("night-shift") == 0
        assert (await shell("proposals", "enact", proposal))[0] == 0
        assert (await shell("roles", "list"))[1].count("night-shift") == 1
        again = await shell("proposals", "enact", proposal)

    assert again == (1, "wrong-state: the proposal is enacted\n")
    operations = [operation for operation, _ in noted(site)]
    assert operations == ["roles.define", "proposals.approve", "proposals.propose"]
    assert noted(site)[0][1]["proposal"] == proposal
    assert site.storage.verify_audit() is None


async def test_a_link_is_shown_to_who_proposed_the_person(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    await maria.post("/proposals/rule", ON)
    made = await maria.post("/people", {"name": "eve", "role": "deployer"})
    proposal = made.headers["location"].split("/")[-1].partition("?")[0]
    assert "eve" not in [user.name for user in site.storage.users()]

    waiting = [await number_on(one) for one in (maria, tom)]
    approved = await act(tom, proposal, "approve")
    waiting += [await number_on(one) for one in (maria, tom)]
    done = await act(maria, proposal, "enact")
    waiting += [await number_on(one) for one in (maria, tom)]

    assert waiting == ["", "1", "1", "", "", ""], "who is to approve it, then who has it done"
    assert "/welcome#" not in approved and "/welcome#" in done
    assert "eve" in [user.name for user in site.storage.users()]


async def test_no_link_comes_by_itself_to_whoever_raises_its_person(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    eve = await site.person("eve", "auditor")
    link = (await maria.post("/people/act", {"act": "link", "user": eve, "sure": "yes"})).body
    code = re.findall(r"/welcome#(\w+)", link.decode())[0]
    assert site.storage.link(hash_of(code)) is not None
    await maria.post("/proposals/rule", ON)
    said = {"act": "role", "user": eve, "role": "full-administrator", "sure": "yes"}
    proposal = await proposed(maria, "/people/act", said)
    await act(tom, proposal, "approve")

    assert await proposed(maria, "/people/act", {"act": "link", "user": eve, "sure": "yes"})
    assert "Done." in await act(maria, proposal, "enact")

    assert site.storage.link(hash_of(code)) is None, "a link from when she could only read"


async def test_a_password_that_was_set_meanwhile_makes_a_proposal_void(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    eve = await site.person("eve", "auditor")
    await maria.post("/proposals/rule", ON)
    said = {"act": "role", "user": eve, "role": "full-administrator", "sure": "yes"}
    proposal = await proposed(maria, "/people/act", said)
    await act(tom, proposal, "approve")
    await site.storage.decide(
        "x", "x", lambda tx: tx.set_password(eve, "other"), now=site.clock.now()
    )

    assert "propose it again" in await act(maria, proposal, "enact")


async def test_to_ask_for_no_security_key_any_more_waits(site: ConsoleSite) -> None:
    maria = await site.signed_in("maria")
    await site.person("tom")
    await maria.post("/proposals/rule", ON)
    await do(site, maria, "settings.set-second-factor", required=True)

    with pytest.raises(Proposed):
        await do(site, maria, "settings.set-second-factor", required=False)


async def test_to_describe_a_machine_into_where_rights_end_waits(site: ConsoleSite) -> None:
    maria = await site.signed_in("maria")
    web, tier0 = await site.machines("web-1", "tier0-1")
    await do(site, maria, "machines.describe", machines=[str(web)], owner="web")
    made = await do(site, maria, "collections.create", name="Web", query="owner = web")
    eve = await site.person("eve", "auditor")
    await do(site, maria, "users.role", user=eve, role="full-administrator", within=str(made.id))
    await maria.post("/proposals/rule", ON)

    with pytest.raises(Proposed) as described:
        await do(site, maria, "machines.describe", machines=[str(tier0)], owner="web")
    file = "name,owner\nnew-1,web\n"
    with pytest.raises(Proposed):
        await do(site, maria, "machines.import", csv=file, expect=True)
    elsewhere = await do(site, maria, "machines.describe", machines=[str(tier0)], location="x")

    stored = site.storage.proposals.proposal(described.value.proposal.id)
    assert stored is not None and stored.told[0][1]["rights_end_at"] == "Web"
    assert elsewhere.changed == 1

    async def told() -> str:
        shown = await do(site, maria, "proposals.show", proposal=described.value.proposal.id)
        return str(shown.told[0].detail["rights_end_at"])

    author, now = described.value.proposal.person.partition(":")[2], site.clock.now()
    less = ["accounts.administer", "machines.administer"]
    before = await told()
    await site.storage.decide("x", "x", lambda tx: tx.set_rights(author, less), now=now)
    assert (before, await told()) == ("Web", "a collection")


async def test_other_machines_where_rights_are_to_end_make_them_void(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    await site.machines("web-1", "tier0-1")
    eve = await site.person("eve", "auditor")
    small = (await do(site, maria, "collections.create", name="Small", names=["web-1"])).id
    all_web = await do(site, maria, "collections.create", name="Web", include=[str(small)])
    await maria.post("/proposals/rule", ON)
    wanted = {"user": eve, "role": "full-administrator", "within": str(all_web.id)}
    with pytest.raises(Proposed) as waits:
        await do(site, maria, "users.role", **wanted)
    proposal = waits.value.proposal.id
    await act(tom, proposal, "approve")
    await do(site, maria, "collections.add", collection=str(small), names=["tier0-1"])

    assert "propose it again" in await act(maria, proposal, "enact")


@pytest.mark.parametrize("grows", [True, False])
async def test_what_reaches_more_machines_than_people_agreed_to_is_void(
    site: ConsoleSite, grows: bool
) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    web, other = [str(one) for one in await site.machines("web-1", "other-1")]
    eve = await site.person("eve", "auditor")
    await do(site, maria, "machines.describe", machines=[web], location="Bonn")
    bonn = await do(site, maria, "collections.create", name="Bonn", query="location = Bonn")
    await maria.post("/proposals/rule", ON)
    wanted = {"user": eve, "role": "deployer", "within": str(bonn.id)}
    proposal = await waiting(site, maria, "users.role", **wanted)
    await act(tom, proposal, "approve")
    moved, where = (other, "Bonn") if grows else (web, "Kiel")
    await do(site, maria, "machines.describe", machines=[moved], location=where)

    said = await act(maria, proposal, "enact")

    assert ("propose it again" if grows else "Done.") in said


async def test_who_holds_a_role_is_what_people_agree_to(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    eve = await site.person("eve", "auditor")
    await do(site, maria, "roles.define", name="night", rights=["machines.read"])
    await maria.post("/proposals/rule", ON)
    made = []
    for name, asked in (
        ("roles.define", {"name": "night", "rights": ["machines.read", "accounts.administer"]}),
        ("users.role", {"user": eve, "role": "night"}),
    ):
        with pytest.raises(Proposed) as waits:
            await do(site, maria, name, **asked)
        made.append(waits.value.proposal.id)
        await act(tom, made[-1], "approve")

    assert "Done." in await act(maria, made[1], "enact")
    assert "propose it again" in await act(maria, made[0], "enact")


async def test_an_import_of_which_nothing_is_left_is_void_and_not_done(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    machines = [str(one) for one in await site.machines("a", "b")]
    await maria.post("/proposals/rule", {**ON, "machines_over": "1"})
    with pytest.raises(Proposed) as waits:
        await do(site, maria, "machines.import", csv="name,owner\na,web\nb,web\n")
    proposal = waits.value.proposal.id
    for one in machines:
        await do(site, maria, "machines.describe", machines=[one], owner="web")
        site.clock.advance(hours=1)
    await maria.sign_in("maria")
    await tom.sign_in("tom")

    assert "waits for 1 more person" in await act(maria, proposal, "enact")
    await act(tom, proposal, "approve")
    assert "propose it again" in await act(maria, proposal, "enact")
    assert noted(site)[0][0] == "proposals.void"


async def test_many_machines_are_described_alone_in_no_two_parts(site: ConsoleSite) -> None:
    maria, helper = await site.signed_in("maria"), await site.signed_in("help", "help-desk")
    machines = [str(one) for one in await site.machines("a", "b", "c", "d")]
    await maria.post("/proposals/rule", {**ON, "machines_over": "3"})

    await do(site, helper, "machines.describe", machines=machines[:2], owner="web")
    with pytest.raises(Proposed) as second:
        await do(site, helper, "machines.describe", machines=machines[2:], owner="web")
    file = "name,owner\nc,web\nd,web\n"
    with pytest.raises(Proposed):
        await do(site, helper, "machines.import", csv=file)
    site.clock.advance(hours=1)
    later = await do(site, helper, "machines.describe", machines=machines[2:], owner="web")

    assert later.changed == 2
    assert second.value.missing.people == 1


async def test_files_of_expected_machines_count_together_within_the_hour(site: ConsoleSite) -> None:
    maria = await site.signed_in("maria")
    await site.person("tom")
    await maria.post("/proposals/rule", {**ON, "machines_over": "3"})

    first = await do(site, maria, "machines.import", csv="name\na\nb\n", expect=True)
    with pytest.raises(Proposed):
        await do(site, maria, "machines.import", csv="name\nc\nd\n", expect=True)
    site.clock.advance(hours=1)
    later = await do(site, maria, "machines.import", csv="name\nc\nd\n", expect=True)

    assert (first.expected, later.expected) == (2, 2)


async def test_many_descriptions_are_approved_by_who_might_say_them(site: ConsoleSite) -> None:
    maria, helper = await site.signed_in("maria"), await site.signed_in("help", "help-desk")
    web, tier0 = [str(one) for one in await site.machines("web-1", "tier0-1")]
    await do(site, maria, "machines.describe", machines=[web], owner="web")
    made = await do(site, maria, "collections.create", name="Web", query="owner = web")
    eve = await site.person("eve", "auditor")
    await do(site, maria, "users.role", user=eve, role="full-administrator", within=str(made.id))
    await maria.post("/proposals/rule", {**ON, "machines_over": "1"})
    asked = ({"machines": [web, tier0], "location": "x"}, {"machines": [tier0], "owner": "web"})
    many, reaching = [await waiting(site, maria, "machines.describe", **one) for one in asked]

    assert (await helper.get(f"/proposals/{reaching}")).status == 404
    assert "Approved" in await act(helper, many, "approve")
    assert "Done." in await act(maria, many, "enact")


async def test_what_was_changed_meanwhile_makes_a_proposal_void(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    eve = await site.person("eve", "auditor")
    await maria.post("/proposals/rule", ON)
    said = {"act": "role", "user": eve, "role": "deployer", "sure": "yes", "back": "/people"}
    page = (await maria.post("/people/act", said)).body.decode()
    proposal = re.findall(r"/proposals/(\w{12})", page)[0]
    await act(tom, proposal, "approve")
    await site.storage.decide(
        "x", "x", lambda tx: tx.set_rights(eve, ["role:engineer"]), now=site.clock.now()
    )

    assert "propose it again" in await act(maria, proposal, "enact")

    assert noted(site)[0][0] == "proposals.void"
    assert "Void" in (await maria.get(f"/proposals/{proposal}")).body.decode()
    assert "the proposal is void" in await act(tom, proposal, "reject")


async def test_to_weaken_the_rule_waits_and_alone_it_waits_for_its_time(site: ConsoleSite) -> None:
    maria = await site.signed_in("maria")
    await maria.post("/proposals/rule", ON)
    off = await maria.post("/proposals/rule", {**ON, "on": "no"})
    proposal = off.headers["location"].split("/")[-1].partition("?")[0]
    stricter = await maria.post("/proposals/rule", {**ON, "machines_over": "20", "lasts_h": "120"})
    assert stricter.headers["location"] == "/proposals?done=four-eyes"
    kept = read_rule(site.storage.setting(FOUR_EYES))
    assert kept == Rule(is_on=True, machines=20, lasts=timedelta(days=5))

    page = (await maria.get(f"/proposals/{proposal}")).body.decode()
    assert "nobody else who could approve it" in page and "Do it now" not in page
    site.clock.advance(hours=25)
    await maria.sign_in("maria")
    # It said from what it would be changed, and that is another rule now.
    assert "propose it again" in await act(maria, proposal, "enact")
    again = await maria.post("/proposals/rule", {**ON, "on": "no"})
    newer = again.headers["location"].split("/")[-1].partition("?")[0]
    site.clock.advance(hours=24)
    await maria.sign_in("maria")
    assert "Done." in await act(maria, newer, "enact")
    assert "no second person is asked for here yet" in (await maria.get("/proposals")).body.decode()


async def test_of_many_who_enact_at_once_one_does(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    await maria.post("/proposals/rule", ON)
    made = await maria.post("/people", {"name": "eve", "role": "deployer"})
    proposal = made.headers["location"].split("/")[-1].partition("?")[0]
    await act(tom, proposal, "approve")

    tries = [act(maria, proposal, "enact") for _ in range(4)]
    pages = await asyncio.gather(*tries)

    assert sum("/welcome#" in page for page in pages) == 1
    assert [operation for operation, _ in noted(site)].count("users.create") == 1


async def test_a_proposal_is_there_for_nobody_who_could_not_approve_it(site: ConsoleSite) -> None:
    maria, eve = await site.signed_in("maria"), await site.signed_in("eve", "auditor")
    await site.person("tom")
    await maria.post("/proposals/rule", ON)
    made = await maria.post("/people", {"name": "bob", "role": "deployer"})
    address = made.headers["location"].partition("?")[0]

    assert (await eve.get(address)).status == 404
    assert "Nothing waits" in (await eve.get("/proposals")).body.decode()


async def test_what_has_ended_hides_nothing_that_waits(
    site: ConsoleSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    await maria.post("/proposals/rule", ON)
    made = await maria.post("/people", {"name": "bob", "role": "deployer"})
    proposal = made.headers["location"].split("/")[-1].partition("?")[0]
    for at, name in enumerate(("eva", "olga")):
        site.clock.advance(minutes=at + 1)
        await maria.sign_in("maria")
        other = await maria.post("/people", {"name": name, "role": "deployer"})
        if name == "olga":
            await act(maria, other.headers["location"].split("/")[-1].partition("?")[0], "withdraw")
    monkeypatch.setattr(shown_proposals, "NEWEST", 2)
    asked = list[object]()
    ask = shown_proposals.eyes_among
    monkeypatch.setattr(
        shown_proposals, "eyes_among", lambda *of, now: asked.append(of[1]) or ask(*of, now=now)
    )

    page = (await tom.get("/proposals")).body.decode()

    assert f"/proposals/{proposal}" in page and page.index("bob") < page.index("olga")
    # For the list and for the number beside it, and not for what has ended.
    assert len(asked) == 2, "who could agree is worked out once for all"


async def test_what_people_agree_to_can_be_read_whole(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    eve = await site.signed_in("eve", "auditor")
    await maria.post("/proposals/rule", ON)
    made = await maria.post("/people", {"name": "bob", "role": "deployer"})
    small = made.headers["location"].partition("?")[0]
    [kept] = site.storage.proposals.proposals(
        person="", operations={"users.create"}, is_open=True, now=site.clock.now(), limit=9
    )
    asked = msgspec.json.encode({"csv": "name,owner\n" + "web-1,ops\n" * 4000 + "tier0-1,eve\n"})
    large = replace(
        kept,
        proposal=replace(kept.proposal, id="b" * 12, operation="machines.import"),
        asked=asked,
        told=kept.told * 20,
        changes=4001,
    )
    await site.storage.decide("x", "x", lambda tx: tx.proposals.add(large), now=site.clock.now())
    address = f"/proposals/{large.proposal.id}"

    cut, whole = [(await tom.get(at)).body.decode() for at in (address, small)]
    file = await tom.get(f"{address}?format=json")
    all_of_it = (await tom.get(f"{address}?whole=yes")).body.decode()
    menus = [page.partition("<main")[0].count("<a ") for page in (cut, whole, all_of_it)]
    assert len(set(menus)) == 1 and 'href="/settings"' in cut, "the menu is that of every page"

    assert re.search(r"the first 20 of 4.001 changes, and the first 20.000 of 44.035 letters", cut)
    assert "Not all of it is on this page" in cut and 'value="approve"' not in cut
    assert "Not all of it" not in whole and 'value="approve"' in whole
    assert all_of_it.index("tier0-1,eve") < all_of_it.index('value="approve"')
    assert "read all of it, and approve it there" in await act(tom, large.proposal.id, "approve")
    assert "Approved" in await act(tom, large.proposal.id, "approve", at="?whole=yes")
    assert "tier0-1" not in cut and msgspec.json.decode(file.body) == msgspec.json.decode(asked)
    assert "attachment" in file.headers["content-disposition"]
    assert (await eve.get(f"{address}?format=json")).status == 404
    await act(maria, large.proposal.id, "withdraw")
    assert (await tom.get(f"{address}?format=json")).status == 404


async def test_nobody_fills_the_database_with_proposals(
    site: ConsoleSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    maria = await site.signed_in("maria")
    await site.person("tom")
    await maria.post("/proposals/rule", ON)
    monkeypatch.setattr(proposing, "MOST_AN_HOUR", 2)
    for name in ("eve", "bob"):
        made = await maria.post("/people", {"name": name, "role": "deployer"})
        await act(maria, made.headers["location"].split("/")[-1].partition("?")[0], "withdraw")
    third = {"name": "ada", "role": "deployer"}

    refused = await maria.post("/people", third)
    assert "you proposed 2 times within an hour" in refused.body.decode()
    site.clock.advance(hours=1)
    await maria.sign_in("maria")
    monkeypatch.setattr(proposing, "MOST_BYTES", 20)
    assert "of yours would wait" in (await maria.post("/people", third)).body.decode()
    monkeypatch.setattr(proposing, "MOST_BYTES", 2000)
    assert (await maria.post("/people", third)).status == 303


async def test_a_higher_limit_that_others_agreed_to_holds_at_once(site: ConsoleSite) -> None:
    maria, tom = await site.signed_in("maria"), await site.signed_in("tom")
    await maria.post("/proposals/rule", ON)
    asked = await maria.post("/people/limits", {"person": "500"})
    proposal = asked.headers["location"].split("/")[-1].partition("?")[0]

    await act(tom, proposal, "approve")
    await act(maria, proposal, "enact")

    known = read_limits(site.storage.setting(LIMITS))
    assert known.at(site.clock.now()).person == 500
