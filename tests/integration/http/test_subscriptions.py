"""Subscriptions on real databases: sent when due, by one node, with what their owner may now."""

from __future__ import annotations

import ssl
from email import message_from_string
from typing import Any

import msgspec
import pytest
import trustme

from patchtide.adapters.notify.mail import Mailer, Relay
from patchtide.adapters.storage import Storage
from patchtide.domain.access.rights import right
from patchtide.server import report_message
from patchtide.server.channel_book import message
from patchtide.server.courier import Courier
from patchtide.server.ports.notifying import Channel, Message
from patchtide.server.subscription_book import (
    SUBSCRIPTIONS,
    conclude,
    pack_subscriptions,
    read_subscriptions,
)
from patchtide.server.subscription_watch import SubscriptionWatch
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.catalogs import Catalog
from tests.simulator.receivers import mail_relay

pytestmark = pytest.mark.anyio
DAY_S = 86_400
MAIL = Channel(name="ops", kind="email", to=("ops@example.org",))
HOOK = Channel(name="ops", kind="webhook", address="https://hooks.example/x")
DAILY = {"report": "overall", "channel": "ops", "every_h": 24}


class Site:
    """An administrator, an auditor who subscribes, and a server that sends when a test says so."""

    def __init__(self, plane: AdministratorsPlane, admin: str, auditor: str) -> None:
        self.plane, self.admin, self.auditor = plane, admin, auditor

    async def asked(
        self, method: str, path: str, document: Any = None, *, by: str = "", status: int = 0
    ) -> Any:
        answer = await self.plane.ask(
            method, f"/api/v1{path}", token=by or self.auditor, document=document
        )
        assert answer.status == status if status else answer.status < 300, answer.body
        return answer.json if answer.body else None

    async def listed(self, by: str = "") -> dict[str, Any]:
        return {x["name"]: x for x in (await self.asked("GET", "/subscriptions", by=by))["items"]}

    def watch(self) -> SubscriptionWatch:
        return SubscriptionWatch(context=self.plane.context, address="https://hq.example:8443")

    async def day(self) -> None:
        self.plane.clock.advance(seconds=DAY_S)
        await self.watch().step()

    def courier(self, sender: Any = None) -> Courier:
        storage: Storage = self.plane.storage
        return Courier(
            outbox=storage.outbox,
            lookups=storage,
            decisions=storage,
            sender=sender or self.plane.told,
            clock=self.plane.clock,
        )

    async def told(self) -> list[Message]:
        """Return what was brought since this was asked last."""
        await self.courier().step()
        sent = [message for _, message in self.plane.told.sent]
        self.plane.told.sent.clear()
        return sent

    async def message(self, report: str, channel: Channel) -> Message:
        """Return what would be sent of a report to that channel."""
        await self.asked("PUT", "/subscriptions/daily", {**DAILY, "report": report})
        one = read_subscriptions(self.plane.storage.setting(SUBSCRIPTIONS))["daily"]
        address = "https://hq.example:8443"
        return await report_message.report_message(
            self.plane.context, one, channel, address=address
        )

    def audited(self) -> list[dict[str, Any]]:
        entries = self.plane.storage.audit()
        return [dict(e.detail) for e in entries if e.operation == "subscriptions.send"]


@pytest.fixture
async def site(storage: Storage) -> Site:
    return await a_site(AdministratorsPlane(storage=storage, catalog=Catalog(storage)))


@pytest.fixture
async def quick() -> Site:
    """Without a database: nothing can be sent from here."""
    return await a_site(AdministratorsPlane())


async def a_site(plane: AdministratorsPlane) -> Site:
    admin = await plane.token(role="full-administrator")
    made = Site(plane, admin, await plane.token(role="auditor"))
    await made.asked("PUT", "/channels/ops", {"to": ["ops@example.org"]}, by=admin)
    for name in ("web-1", "web-2", "db-1"):
        await plane.machine(name)
    return made


async def test_a_report_goes_by_mail_with_its_figures_in_the_text_and_the_file_attached(
    site: Site,
) -> None:
    ca = trustme.CA()
    tls = ssl.create_default_context()
    ca.configure_trust(tls)
    await site.asked("PUT", "/subscriptions/daily", {**DAILY, "machines": "web", "format": "xlsx"})
    await site.day()
    with mail_relay(ca) as relay:
        mailer = Mailer(
            relay=Relay.read(f"smtp://localhost:{relay.port}"),
            sender="patchtide@hq.example",
            tls=tls,
            site="hq",
        )
        await site.courier(mailer).step()

    [text] = relay.mails
    mail = message_from_string(text)
    said, file = mail.get_payload()  # type: ignore[misc]
    words = said.get_payload(decode=True).decode()  # type: ignore[union-attr]
    assert mail["subject"] == "[hq] Overall compliance (daily)"
    assert "Machines: web (2)" in words and "All members: 2; reporting: 0" in words
    assert "Rows: " in words and "https://hq.example:8443/reports/overall?machines=web" in words
    assert file.get_filename().startswith("overall-") and file.get_filename().endswith(".xlsx")  # type: ignore[union-attr]
    assert file.get_payload(decode=True)[:2] == b"PK"  # type: ignore[union-attr, index]


async def test_a_webhook_gets_the_document_that_the_interface_gives(quick: Site) -> None:
    made = await quick.message("silent", HOOK)

    report = made.data["report"]
    shown = await quick.asked("GET", "/reports/silent")
    assert (made.kind, made.data["is_whole"], made.attachment) == ("report", True, None)
    assert report["items"] == shown["items"] and len(shown["items"]) == 3  # type: ignore[index]


async def test_a_link_asks_what_a_search_of_ones_own_asks_for_nobody_else_has_it(
    site: Site,
) -> None:
    await site.asked("PUT", "/own-searches/urgent", {"query": "risk >= high"})
    await site.asked("PUT", "/subscriptions/mine", {**DAILY, "search": "urgent"})
    one = read_subscriptions(site.plane.storage.setting(SUBSCRIPTIONS))["mine"]
    context, address = site.plane.context, "https://hq.example:8443"
    made = await report_message.report_message(context, one, MAIL, address=address)

    assert f"{address}/reports/overall?query=risk+%3E%3D+high" in made.text
    assert "the search urgent: risk >= high" in made.text
    assert one.about == {"search": "urgent"}


async def test_two_nodes_send_once_and_after_an_outage_one_report_goes_and_not_many(
    site: Site,
) -> None:
    await site.asked("PUT", "/subscriptions/daily", DAILY)
    site.plane.clock.advance(seconds=9 * DAY_S)
    storage, now = site.plane.storage, site.plane.clock.now()
    seen = read_subscriptions(storage.setting(SUBSCRIPTIONS))["daily"]
    late = message("a" * 32, "report", "x", "y", at=now)
    await site.watch().step()
    await site.watch().step()
    await storage.decide("system", "x", lambda tx: conclude(tx, seen, late, now=now), now=now)

    assert len(await site.told()) == 1
    assert len(site.audited()) == 1
    await site.day()
    assert len(await site.told()) == 1


async def test_one_whose_owner_has_lost_the_right_or_is_gone_sends_nothing_and_says_so_once(
    site: Site,
) -> None:
    await site.asked("PUT", "/subscriptions/daily", DAILY)
    owner = "000000000002"
    now = site.plane.clock.now()
    await site.plane.storage.decide(
        "x", "x", lambda tx: tx.revoke_api_token(owner, now=now), now=now
    )
    await site.day()
    await site.day()

    assert await site.told() == []
    assert (await site.listed(site.admin))["daily"]["halted"] == "its owner is gone"
    assert [one["halted"] for one in site.audited()] == ["its owner is gone"]


async def test_rights_count_when_it_is_sent_and_not_when_it_was_added(site: Site) -> None:
    storage = site.plane.storage
    person = await site.plane.person("maria", password="maria's password")
    await site.asked("PUT", "/subscriptions/daily", DAILY)
    [one] = read_subscriptions(storage.setting(SUBSCRIPTIONS)).values()
    hers = pack_subscriptions([msgspec.structs.replace(one, owner=f"user:{person}")])
    now = site.plane.clock.now()

    async def may(*rights: str) -> None:
        await storage.decide("x", "x", lambda tx: tx.set_rights(person, rights), now=now)

    await storage.decide("x", "x", lambda tx: tx.put_setting(SUBSCRIPTIONS, hers), now=now)
    await may("machines.read", "audit.read")
    await site.day()
    assert await site.told() == []
    assert (await site.listed(site.admin))["daily"]["halted"] == "its owner has lost catalog.read"
    await may("machines.read", "catalog.read")
    await site.day()

    assert len(await site.told()) == 1
    assert (await site.listed(site.admin))["daily"]["halted"] == ""


async def test_whoever_sees_some_machines_or_one_list_is_sent_what_he_would_see_then(
    site: Site,
) -> None:
    async def collection(name: str, *machines: str) -> str:
        said = {"name": name, "names": list(machines)}
        return str((await site.asked("POST", "/collections", said, by=site.admin))["id"])

    web = await collection("Web", "web-1", "web-2")
    databases = await collection("Databases", "db-1")
    await site.asked("POST", "/lists", {"name": "october"}, by=site.admin)
    storage, now = site.plane.storage, site.plane.clock.now()
    person = await site.plane.person("maria", password="maria's password")

    async def may(*rights: str) -> None:
        await storage.decide("x", "x", lambda tx: tx.set_rights(person, rights), now=now)

    async def sent(report: str, *rights: str, **about: str) -> Message:
        """Have her subscribe to it, by her own word, and be sent it with these rights."""
        token = await site.plane.token(rights=frozenset(map(right, rights)))
        await site.asked(
            "PUT", "/subscriptions/hers", {**DAILY, "report": report, **about}, by=token
        )
        await may(*rights)
        [one] = read_subscriptions(storage.setting(SUBSCRIPTIONS)).values()
        hers = pack_subscriptions([msgspec.structs.replace(one, owner=f"user:{person}")])
        await storage.decide("x", "x", lambda tx: tx.put_setting(SUBSCRIPTIONS, hers), now=now)
        await site.day()
        [made] = await site.told()
        gone = pack_subscriptions([])
        await storage.decide("x", "x", lambda tx: tx.put_setting(SUBSCRIPTIONS, gone), now=now)
        return made

    of_web = await sent("scans", f"machines.read@{web}", "catalog.read")
    of_list = await sent("by-update", "machines.read", "catalog.read@list:october")
    about = {"collection": web}
    told = await sent("scans", "machines.read", "catalog.read", "collections.read", **about)

    assert "(2)" in of_web.text and "All members: 2;" in of_web.text
    assert of_web.attachment and b"web-1" in of_web.attachment.body
    assert b"db-1" not in of_web.attachment.body
    assert (
        "Updates: all on the lists october (0)" in of_list.text
        and "All members: 3;" in of_list.text
    )
    assert "those in Web" in told.text
    # What may not be asked any more is not told, and who sees other machines by then waits.
    await site.asked("PUT", "/subscriptions/hers", {**DAILY, **about}, by=site.admin)
    [one] = read_subscriptions(storage.setting(SUBSCRIPTIONS)).values()
    hers = pack_subscriptions([msgspec.structs.replace(one, owner=f"user:{person}")])
    await storage.decide("x", "x", lambda tx: tx.put_setting(SUBSCRIPTIONS, hers), now=now)
    await may(f"machines.read@{databases}", f"catalog.read@{databases}")
    seen, late = one, message("b" * 32, "report", "x", "y", at=now)
    seen = msgspec.structs.replace(one, owner=f"user:{person}")
    happened = await storage.decide("x", "x", lambda tx: conclude(tx, seen, late, now=now), now=now)
    await site.day()
    assert (happened, await site.told()) == ("", [])
    halted = (await site.listed(site.admin))["hers"]["halted"]
    assert halted and "Web" not in halted


async def test_what_is_too_large_goes_as_its_figures_with_the_way_to_its_page(
    quick: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report_message, "MOST_ROWS", 2)
    by_mail = await quick.message("silent", MAIL)
    by_hook = await quick.message("silent", HOOK)
    monkeypatch.setattr(report_message, "MOST_ROWS", 3)
    monkeypatch.setattr(report_message, "MOST_ATTACHED", 100)
    in_bytes = await quick.message("silent", MAIL)

    assert (by_mail.attachment, in_bytes.attachment) == (None, None)
    assert "too large" in by_mail.text and "hq.example:8443/reports/silent" in by_mail.text
    assert not by_hook.data["is_whole"]
    assert (by_hook.data["report"]["items"], by_hook.data["report"]["total"]) == ([], 3)  # type: ignore[index]


async def test_a_channel_that_is_gone_is_said_and_the_others_are_sent(site: Site) -> None:
    await site.asked("PUT", "/channels/old", {"to": ["old@example.org"]}, by=site.admin)
    await site.asked("PUT", "/subscriptions/a", {**DAILY, "channel": "old"})
    await site.asked("PUT", "/subscriptions/b", DAILY)
    await site.asked("DELETE", "/channels/old", by=site.admin)
    await site.day()

    assert len(await site.told()) == 1
    listed = await site.listed()
    assert listed["a"]["halted"] == "there is no channel old any more"
    assert listed["b"]["sent_at"] is not None


async def test_everybody_sees_and_removes_their_own_and_who_defines_channels_all(
    quick: Site,
) -> None:
    other = await quick.plane.token(role="help-desk")
    await quick.asked("PUT", "/subscriptions/daily", DAILY)
    await quick.asked("PUT", "/subscriptions/daily", DAILY, by=other, status=409)
    await quick.asked("DELETE", "/subscriptions/daily", by=other, status=404)

    assert (await quick.listed(other), set(await quick.listed(quick.admin))) == ({}, {"daily"})
    await quick.asked("DELETE", "/subscriptions/daily", by=quick.admin)
    assert await quick.listed() == {}


@pytest.mark.parametrize(
    ("wrong", "status"),
    [
        ({"every_h": 0}, 400),
        ({"days": ["monday"]}, 400),
        ({"channel": "nowhere"}, 400),
        ({"list": "nothing"}, 404),
        ({"machines": "platform ="}, 400),
    ],
)
async def test_what_could_never_be_sent_is_refused(
    quick: Site, wrong: dict[str, Any], status: int
) -> None:
    await quick.asked("PUT", "/subscriptions/daily", {**DAILY, **wrong}, status=status)
