"""S17: with one right alone, on every page and every reading: nothing that it does not guard."""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar
from uuid import UUID

import msgspec
import pytest
from pyroaring import BitMap

from patchtide.adapters.console.visits import SESSION
from patchtide.domain.access.credentials import hash_of
from patchtide.domain.access.principals import may_read
from patchtide.domain.access.proposals import Proposal
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.domain.collections.definitions import Definition
from patchtide.server.operations import OPERATIONS
from patchtide.server.ports.accounts import Session
from patchtide.server.ports.clients import EnrolmentToken
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.proposals import StoredProposal
from patchtide.server.table import SAFE_METHODS, Operation, Plane
from patchtide.server.users import new_user
from patchtide.wire.messages import EventV1
from tests.integration.console.visitor import ConsoleSite, Visitor
from tests.integration.http.plane import Answer
from tests.simulator.catalogs import a_leaf, a_scan, an_update_id, some_details

pytestmark = pytest.mark.anyio
RIGHTS = [Right(kind, verb) for kind in Kind for verb in Verb]
MARKS = {
    Kind.MACHINES: "mark-of-machines",
    Kind.TOKENS: "mark-of-tokens",
    Kind.ACCOUNTS: "mark-of-accounts",
    Kind.AUDIT: "mark-of-audit",
    Kind.CATALOG: "mark-of-catalog",
    Kind.COLLECTIONS: "mark-of-collections",
}
"""Something of each kind that shows wherever that kind does. Of the site nothing is read."""
SHOWN = {
    Kind.MACHINES: "/machines",
    Kind.TOKENS: "/tokens",
    Kind.ACCOUNTS: "/people",
    Kind.AUDIT: "/audit",
    Kind.CATALOG: "/updates",
}

LIST = "kept"
"""Has the marked update."""
PROPOSAL = "0" * 12
"""Would do something to the marked person."""
COLLECTION = UUID(int=7)
"""Has the marked machine."""


@dataclass(frozen=True)
class Furnished:
    site: ConsoleSite
    machine: UUID
    update: UUID
    collection: ClassVar[UUID] = COLLECTION

    def pages(self) -> Iterator[str]:
        machine, update = f"/machines/{self.machine}", f"/updates/{self.update}"
        pages = (
            "/",
            "/live",
            "/account",
            "/roles",
            "/settings",
            "/synchronisations",
            "/synchronisations/files",
            "/history",
            "/targets",
            *SHOWN.values(),
            machine,
            update,
        )
        for path in pages:
            yield from (path, f"{path}?format=csv", f"{path}?format=json")
        for tab in ("updates", "packages", "facts", "history"):
            yield from (f"{machine}?tab={tab}", f"{machine}?tab={tab}&format=csv")
        for tab in ("machines", "about", "rules"):
            yield from (f"{update}?tab={tab}", f"{update}?tab={tab}&format=csv")
        yield from ("/machines?q=mark", "/updates?q=mark", "/audit?q=mark", "/nowhere")
        yield from ("/searches", "/new-search?q=mark", "/lists", "/new-list?q=mark")
        yield from (f"/lists/{LIST}", f"/lists/{LIST}?format=csv")
        collection = f"/collections/{self.collection}"
        yield from (
            "/collections",
            "/collections?format=csv",
            collection,
            f"{collection}?format=csv",
        )
        yield from (f"{collection}/window", f"{collection}/window?comes=x", f"{collection}/freeze")
        yield from (
            f"{collection}/definition",
            "/new-collection",
            "/collection-sample?query=mark",
            "/new-collection?q=mark",
        )
        yield from (f"/machines?collection={self.collection}", "/machines?format=import")
        yield from ("/business-hours", f"/business-hours?collection={self.collection}")
        yield from ("/machine-import", f"{collection}/calendar", f"{machine}/calendar")
        yield from (f"{collection}/calendar?format=ics", f"{machine}/calendar?format=csv")
        yield f"/reports/by-machine?collection={self.collection}"
        yield from ("/proposals", f"/proposals/{PROPOSAL}", f"/proposals/{PROPOSAL}?format=json")
        yield from ("/alerts", "/channels", "/history", "/targets")
        yield from ("/subscriptions", "/new-subscription", "/new-subscription?report=overall")
        yield from ("/reports", "/reports/by-machine", "/reports/by-machine?format=csv")
        yield f"{machine}/why/{self.update}"
        yield from (f"/history?update={self.update}", f"/history?list={LIST}")
        yield from ("/whatif?rule=always", f"/whatif/{self.machine}?rule=always")
        yield from ("/query-completions", "/query-completions?text=product%20%3D%20")
        yield from ("/machine-query-completions", "/machine-names?machine=mark")
        yield "/machine-query-completions?text=platform%20%3D%20"

    def path(self, operation: Operation) -> str:
        ids = {
            "machine": self.machine,
            "update": self.update,
            "name": LIST,
            "sha256": "0" * 64,
            "risk": "low",
            "collection": self.collection,
            "report": "by-machine",
            "proposal": PROPOSAL,
        }
        return operation.path.format(**dict.fromkeys(operation.parameters, "x") | ids)

    async def visitor(self, *rights: Right) -> Visitor:
        """A browser in which somebody with just these rights has signed in."""
        now, secret = self.site.clock.now(), secrets.token_hex(32)
        name = f"holder-{secret[:8]}"
        user = new_user(name, rights=rights, password_hash="none", now=now, by="test")
        session = Session(
            secret_hash=hash_of(secret), user=user.id, began_at=now, seen_at=now, proved_at=now
        )

        def work(tx: object) -> None:
            tx.add_user(user)  # type: ignore[attr-defined]
            tx.add_session(session)  # type: ignore[attr-defined]

        await self.site.storage.decide("test", "test", work, now=now)
        return Visitor(self.site.plane, cookies={SESSION: secret})


def a_proposal(author: str, now: datetime) -> StoredProposal:
    made = Proposal(
        id=PROPOSAL, operation="users.enable", content=bytes(32), author=author, person=author,
        at=now, expires_at=now + timedelta(days=7),
    )  # fmt: skip
    told = (("1", {"name": MARKS[Kind.ACCOUNTS]}),)
    return StoredProposal(proposal=made, asked=b"{}", told=told, changes=1)


@pytest.fixture
async def furnished(site: ConsoleSite) -> Furnished:
    storage, now = site.storage, site.clock.now()
    machine = await site.plane.machine(MARKS[Kind.MACHINES])
    [client] = storage.clients()
    leaf = replace(a_leaf(1, "toy"), title=MARKS[Kind.CATALOG])
    told = replace(some_details("toy"), title=MARKS[Kind.CATALOG])
    await site.catalog.publish([leaf], details=[told])
    happened = [EventV1(at=int(now.timestamp()), code="installed", update=1)]
    report = a_scan(client.number, 1, required=[1], events=msgspec.msgpack.encode(happened))
    await storage.accept([report], now=now.timestamp())
    someone = await site.person(MARKS[Kind.ACCOUNTS], "auditor")
    token = EnrolmentToken(
        id="0" * 12, secret_hash=bytes(32), site="hq", group=MARKS[Kind.TOKENS], uses_left=1,
        approve=False, created_at=now, expires_at=now + timedelta(hours=1),
        created_by=f"user:{someone}",
    )  # fmt: skip

    def decided(tx: object) -> None:
        tx.add_enrolment_token(token)  # type: ignore[attr-defined]
        for subject in (MARKS[Kind.AUDIT], machine.hex):
            tx.note(subject, why=MARKS[Kind.AUDIT])  # type: ignore[attr-defined]

    await storage.decide(f"user:{someone}", "machines.quarantine", decided, now=now)
    listed = {"name": LIST, "query": MARKS[Kind.CATALOG]}
    administrator = await site.plane.token(role="full-administrator")
    made = await site.plane.ask("POST", "/api/v1/lists", token=administrator, document=listed)
    assert made.status == 201
    definition = Definition(
        id=COLLECTION, name=MARKS[Kind.COLLECTIONS], direct=BitMap([client.number])
    )
    collected = StoredCollection(definition=definition, revision=1, by=f"user:{someone}", at=now)

    def put_together(tx: object) -> None:
        tx.collections.add(collected)  # type: ignore[attr-defined]
        tx.collections.put_in(COLLECTION, [client.number])  # type: ignore[attr-defined]
        tx.proposals.add(a_proposal(f"user:{someone}", now))  # type: ignore[attr-defined]
        tx.note(COLLECTION.hex)  # type: ignore[attr-defined]

    await storage.decide(f"user:{someone}", "collections.create", put_together, now=now)
    return Furnished(site, machine, an_update_id("toy"))


def leaks(answer: Answer, *held: Right) -> list[str]:
    """Name the kinds that the answer tells of and nobody with these rights may read."""
    text = answer.body.decode()
    return [kind for kind, mark in MARKS.items() if mark in text and not may_read(held, kind)]


async def leaking(
    paths: list[str], right: Right, get: Callable[[str], Awaitable[Answer]]
) -> dict[tuple[str, str], list[str]]:
    found = {(str(right), path): leaks(await get(path), right) for path in paths}
    return {where: what for where, what in found.items() if what}


async def test_no_page_shows_what_the_visitor_may_not_read(furnished: Furnished) -> None:
    found: dict[tuple[str, str], list[str]] = {}
    for right in RIGHTS:
        visitor = await furnished.visitor(right)
        found |= await leaking(list(furnished.pages()), right, visitor.get)

    assert found == {}


async def test_each_page_shows_to_whoever_may_read_it(furnished: Furnished) -> None:
    shown = {}
    for kind, path in SHOWN.items():
        visitor = await furnished.visitor(Right(kind, Verb.READ))
        shown[kind] = MARKS[kind] in (await visitor.get(path)).body.decode()

    assert shown == dict.fromkeys(SHOWN, True)


async def test_no_reading_tells_what_the_asker_may_not_read(furnished: Furnished) -> None:
    readings = [o for o in OPERATIONS if o.plane.is_interface and o.method in SAFE_METHODS]
    found: dict[tuple[str, str], list[str]] = {}
    for right in RIGHTS:
        token = await furnished.site.plane.token(rights=frozenset({right}))
        for operation in readings:
            path = furnished.path(operation)
            answer = await furnished.site.plane.ask("GET", path, token=token)
            if what := leaks(answer, right):
                found[str(right), path] = what

    assert found == {}


async def test_with_everything_but_one_kind_nothing_of_that_kind_is_seen(
    furnished: Furnished,
) -> None:
    found: dict[str, list[str]] = {}
    for kind in MARKS:
        held = [Right(other, Verb.READ) for other in Kind if other is not kind]
        visitor = await furnished.visitor(*held)
        for path in furnished.pages():
            if what := leaks(await visitor.get(path), *held):
                found[f"{path} without {kind}"] = what

    assert found == {}


def test_every_page_is_among_those_that_are_asked() -> None:
    pages = {o.path for o in OPERATIONS if o.plane is Plane.CONSOLE and o.method in SAFE_METHODS}

    assert pages - {"/sign-in", "/key", "/welcome", "/enter", "/static/{file}"} == {
        "/", "/live", "/account", "/settings", "/synchronisations",
        "/synchronisations/files", *SHOWN.values(),
        "/machines/{machine}", "/updates/{update}", "/query-completions", "/searches",
        "/machine-query-completions", "/machine-names", "/machine-import",
        "/new-search", "/lists",
        "/new-list", "/lists/{list}", "/define",
        "/machines/{machine}/why/{update}", "/whatif", "/whatif/{machine}",
        "/collections", "/new-collection", "/collection-sample", "/collections/{collection}",
        "/collections/{collection}/definition", "/collections/{collection}/window",
        "/collections/{collection}/freeze",
        "/business-hours", "/collections/{collection}/calendar", "/machines/{machine}/calendar",
        "/reports", "/reports/{report}", "/alerts", "/history", "/targets",
        "/roles", "/channels", "/subscriptions", "/new-subscription",
        "/proposals", "/proposals/{proposal}",
    }  # fmt: skip
