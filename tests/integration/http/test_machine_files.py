"""Machines as a file: what it would change is told, and it is done as a whole or not at all."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.access.rights import Kind, Right, Verb
from patchtide.server.ports.clients import ClientState, NewClient
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.catalogs import Catalog
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio
SAID = """\
name;owner;business;tags
web-0;'=Web team;4;blue new
db-9;Data;;
WEB-1;;;
"""


class Site:
    def __init__(self, storage: Storage) -> None:
        self.storage = storage
        self.plane = AdministratorsPlane(storage=storage, catalog=Catalog(storage))

    async def send(self, csv: str, **said: object) -> Any:
        token = await self.plane.token(role="help-desk")
        document = {"csv": csv, **said}
        path = "/api/v1/machine-imports"
        return await self.plane.ask("POST", path, token=token, document=document)

    async def export(self) -> str:
        token = await self.plane.token(role="auditor")
        answer = await self.plane.ask("GET", "/api/v1/machine-export", token=token)
        return str(answer.body.decode())


@pytest.fixture
async def site(storage: Storage) -> Site:
    await enrolled(storage, 2)
    return Site(storage)


async def test_what_a_dry_run_tells_is_done_and_a_machine_that_enrols_is_the_expected_one(
    site: Site,
) -> None:
    dry = (await site.send(SAID, expect=True, dry_run=True)).json
    before = [(c.name, c.described.owner) for c in site.storage.clients()]
    done = (await site.send(SAID, expect=True, plan=dry["plan"])).json
    again = (await site.send(SAID, expect=True)).json
    expected = site.storage.clients()[2]
    new = NewClient(
        uuid=b"n" * 16, name="DB-9", public_key=b"k" * 32, machine=b"m" * 32, site=expected.site,
        state=ClientState.WAITING,
    )  # fmt: skip
    now = site.plane.clock.now()
    await site.storage.decide("x", "y", lambda tx: tx.enrol_expected(new, now=now), now=now)
    came, [standing] = site.storage.clients()[2], site.storage.standings([expected.uuid])
    twice = await site.storage.decide("x", "y", lambda tx: tx.enrol_expected(new, now=now), now=now)

    told = [(c["name"], c["attribute"], c["was"], c["now"]) for c in dry["changes"]]
    assert told == [
        ("web-0", "owner", "", "=Web team"),
        ("web-0", "tags", "", "blue new"),
        ("web-0", "business", "", "4"),
        ("db-9", "owner", "", "Data"),
    ]
    assert (dry["changed"], dry["expected"], dry["unchanged"]) == (1, 1, 1)
    assert before == [("web-0", ""), ("web-1", "")]
    assert (done["changed"], done["expected"], done["plan"]) == (1, 1, dry["plan"])
    assert (again["changed"], again["expected"], again["unchanged"]) == (0, 0, 3)
    assert (expected.name, expected.state) == ("db-9", ClientState.EXPECTED)
    assert (came.uuid, came.number, came.name) == (expected.uuid, expected.number, "DB-9")
    assert (came.described.owner, came.public_key, twice) == ("Data", b"k" * 32, None)
    assert standing.state is ClientState.WAITING


async def test_of_a_file_with_mistakes_all_are_told_and_nothing_is_done(site: Site) -> None:
    mistakes = await site.send(
        "name,business,restart\nweb-0,6,later\nweb-0,1,none\nweb-1,1\n,1,none\n"
    )
    unknown = await site.send("name,owner\nweb-0,a\nnobody,b\n")
    heads = await site.send("name,busines,name\nweb-0,1,x\n")
    other_plan = await site.send("name,owner\nweb-0,a\n", plan="0" * 64)

    assert [(p["where"], p["what"][:24]) for p in mistakes.json["problems"]] == [
        ("line 2, column 2 (business)", "is a number from 0 to 5,"),
        ("line 2, column 3 (restart)", "is one of automatic, non"),
        ("line 3", "is of the machine that l"),
        ("line 4", "has 2 cells, and the hea"),
        ("line 5", "says of no machine what "),
    ]
    assert mistakes.json["problems"][0]["what"] == "is a number from 0 to 5, not '6'"
    assert unknown.json["problems"][0]["where"] == "line 3"
    assert [p["where"] for p in heads.json["problems"]] == [
        "line 1, column 2 (busines)",
        "line 1, column 3 (name)",
    ]
    assert [a.status for a in (mistakes, unknown, heads, other_plan)] == [400, 400, 400, 409]
    assert all(c.described.owner == "" for c in site.storage.clients())


async def test_what_was_exported_says_the_same_when_it_is_imported(site: Site) -> None:
    await site.send(SAID, expect=True)
    file = await site.export()

    again = (await site.send(file)).json
    cleared = (await site.send("name,tags\nweb-0,\n")).json

    assert "'=Web team" in file and file.count("\r\n") == 4
    assert (again["lines"], again["unchanged"]) == (3, 3)
    assert [(c["attribute"], c["was"], c["now"]) for c in cleared["changes"]] == [
        ("tags", "blue new", "")
    ]


async def test_no_spreadsheet_computes_what_a_machine_calls_itself(site: Site) -> None:
    now = site.plane.clock.now()
    liar = NewClient(
        uuid=b"l" * 16, name="=1+1", public_key=b"k" * 32, machine=b"m" * 32, site="hq",
        state=ClientState.WAITING,
    )  # fmt: skip
    await site.storage.decide("x", "y", lambda tx: tx.add_client(liar, now=now), now=now)

    file = await site.export()

    assert ",'=1+1," in file


async def test_machines_of_one_name_are_known_by_their_ids(site: Site) -> None:
    now, first = site.plane.clock.now(), site.storage.clients()[0]
    clone = NewClient(
        uuid=b"c" * 16, name=first.name, public_key=b"k" * 32, machine=b"m" * 32, site=first.site,
        state=ClientState.WAITING,
    )  # fmt: skip
    await site.storage.decide("x", "y", lambda tx: tx.add_client(clone, now=now), now=now)
    one, other = f"{UUID(bytes=first.uuid)},web-0,a\n", f"{UUID(bytes=clone.uuid)},WEB-0,b\n"
    alone = ",web-0,c\n"

    again = await site.send(await site.export())
    told = [
        await site.send("id,name,owner\n" + lines, dry_run=True)
        for lines in (one + other, one + alone, alone + other, one + one)
    ]

    assert (again.json["lines"], again.json["unchanged"]) == (3, 3)
    assert [a.status for a in told] == [200, 400, 400, 400]
    assert told[0].json["changed"] == 2
    assert {a.json["problems"][0]["where"] for a in told[1:]} == {"line 3"}


async def test_a_schedule_is_called_by_its_name_by_whoever_may_read_collections(site: Site) -> None:
    plane, said = site.plane, "name,schedule\nweb-0,night shift\n"
    token = await plane.token(role="full-administrator")
    made = await plane.ask(
        "POST", "/api/v1/collections", token=token, document={"name": "Night shift"}
    )
    blind = await plane.token(rights=frozenset({Right(Kind.MACHINES, Verb.MODIFY)}))
    path = "/api/v1/machine-imports"

    disguised = {"name": made.json["id"]}
    await plane.ask("POST", "/api/v1/collections", token=token, document=disguised)
    refused = await plane.ask("POST", path, token=blind, document={"csv": said, "dry_run": True})
    done = await site.send(said)

    assert (refused.status, done.status) == (400, 200)
    assert str(site.storage.clients()[0].described.schedule) == made.json["id"]
    assert (await site.send(await site.export())).json["changed"] == 0
