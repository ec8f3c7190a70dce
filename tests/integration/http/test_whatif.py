"""Rules that are not published, asked of the whole fleet by what its machines have told."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.applicability.facts import Facts, InstalledPackage
from patchtide.domain.applicability.questions import Question
from patchtide.domain.catalog.rule_parser import parse_rule
from patchtide.domain.catalog.rules import InstalledLeaf, PackageFormat, Rule
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.server import whatif_run
from patchtide.server.ports.clients import Client
from patchtide.server.whatif_run import WhatIfRun
from patchtide.wire.inventory import facts_list, package_list
from tests.integration.http.plane import AdministratorsPlane
from tests.property.test_question_laws import leaf
from tests.simulator.catalogs import Catalog, a_leaf, a_scan
from tests.simulator.reports import enrolled

pytestmark = pytest.mark.anyio
DEBIAN = Facts(os_id="debian", os_version="12", architecture="amd64")


def having(*versions: str) -> Facts:
    found = tuple(InstalledPackage(version, "amd64") for version in versions)
    packages = {"openssl": found, "bash": (InstalledPackage("5", "amd64"),)}
    return replace(
        DEBIAN, packages={PackageFormat.DEB: packages if found else {"bash": packages["bash"]}}
    )


@dataclass
class Fleet:
    """Four machines: with an old openssl, a new one, none, and one that has told nothing."""

    plane: AdministratorsPlane
    token: str
    clients: Sequence[Client]

    async def tell(self, client: Client, facts: Facts, kinds: Iterable[str]) -> None:
        rows = [
            (name, instance.version, instance.architecture)
            for packages in facts.packages.values()
            for name, instances in packages.items()
            for instance in instances
        ]
        bodies = {"facts": facts_list(facts), "packages": package_list(rows)}
        for kind in kinds:
            body = bodies[kind]
            await self.plane.storage.put_inventory(
                client.number, kind=kind, digest=sha256(body).digest(), body=body, now=1.0
            )

    async def ask(self, **values: Any) -> Any:
        answer = await self.plane.ask("POST", "/api/v1/whatif", token=self.token, document=values)
        assert answer.status == 200, answer.body
        return answer.json


@pytest.fixture
async def fleet(storage: Storage) -> Fleet:
    catalog = Catalog(storage)
    plane = AdministratorsPlane(storage=storage, catalog=catalog)
    waiting = replace(a_leaf(7, "bash"), prerequisite=InstalledLeaf(UpdateNumber(1)))
    await catalog.publish([a_leaf(1, "openssl"), waiting])
    token = await plane.token(role="machine-owner")
    fleet = Fleet(plane, token, await enrolled(storage, 4))
    for client, facts in zip(fleet.clients, (having("1"), having("3"), having()), strict=False):
        await fleet.tell(client, facts, ("facts", "packages"))
    for client in fleet.clients:
        await storage.accept([a_scan(client.number, 1)], now=plane.clock.now().timestamp())
    return fleet


def states(said: Any) -> dict[str, str]:
    return {item["name"]: item["state"] for item in said["items"]}


async def test_the_machines_are_named_with_how_they_would_stand(fleet: Fleet) -> None:
    said = await fleet.ask(
        rule="deb openssl installed", prerequisite="os debian 12", installed="deb openssl >= 2"
    )

    assert states(said) == {
        "web-0": "required",
        "web-1": "installed",
        "web-2": "not-required",
        "web-3": "unknown",
    }
    assert said["counts"] == {"required": 1, "installed": 1, "not_required": 1, "unknown": 1}
    assert (said["is_complete"], said["evaluated"], said["of"], said["cases"]) == (True, 4, 4, 4)
    assert said["lacking"] == [{"what": "the machine has told none of its facts", "machines": 1}]


async def test_the_list_is_paged_filtered_and_searched(fleet: Fleet) -> None:
    rule = {"rule": "os debian"}
    first = await fleet.ask(**rule, limit=2, sort="name")
    second = await fleet.ask(**rule, limit=2, sort="name", after=first["next"])
    wanted = await fleet.ask(**rule, state="required", search="WEB-1")

    assert [list(states(page)) for page in (first, second)] == [
        ["web-0", "web-1"],
        ["web-2", "web-3"],
    ]
    assert (states(wanted), wanted["total"], wanted["counts"]["required"]) == (
        {"web-1": "required"},
        1,
        3,
    )


async def test_machines_that_differ_in_nothing_asked_for_are_one_case(fleet: Fleet) -> None:
    said = await fleet.ask(rule="deb bash = 5")

    assert (said["counts"]["required"], said["cases"]) == (3, 2)


async def test_another_update_is_asked_for_where_its_shard_is_followed(fleet: Fleet) -> None:
    said = await fleet.ask(rule="update 1 installed")
    by_another = await fleet.ask(rule="update 7 installed")

    assert states(said)["web-1"] == "required"
    assert states(said)["web-0"] == states(said)["web-2"] == "not-required"
    assert states(by_another)["web-1"] == "required"


async def test_a_fact_that_no_machine_was_asked_for_is_named(fleet: Fleet) -> None:
    said = await fleet.ask(rule='file "/etc/toy" exists')

    assert said["counts"]["unknown"] == 4
    assert {x["what"]: x["machines"] for x in said["lacking"]} == {
        'file "/etc/toy" exists': 3,
        "the machine has told none of its facts": 1,
    }


async def test_a_machine_that_is_not_let_in_is_not_counted(fleet: Fleet) -> None:
    shut = UUID(bytes=fleet.clients[0].uuid)
    token = await fleet.plane.token(role="full-administrator")
    await fleet.plane.ask("POST", f"/api/v1/machines/{shut}/quarantine", token=token)

    said = await fleet.ask(rule="os debian")

    assert "web-0" not in states(said) and said["of"] == 3


async def test_every_mistake_is_named_and_nothing_is_evaluated(fleet: Fleet) -> None:
    answer = await fleet.plane.ask(
        "POST", "/api/v1/whatif", token=fleet.token, document={"rule": "deb <", "installed": ""}
    )

    assert answer.status == 400
    assert {p["where"].split()[0] for p in answer.json["problems"]} == {"rule", "installed"}


async def test_what_takes_too_long_says_how_far_it_came(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = Question(leaf(0, three("deb openssl installed")))
    run = WhatIfRun(fleet.plane.context.fleet, question, budget_s=-1.0)

    run.work()
    found = run.found()

    assert (found.is_complete, found.stopped, found.evaluated, found.of) == (
        False,
        "it took too long",
        1,
        4,
    )


async def test_a_run_that_nobody_follows_ends(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whatif_run, "IDLE_S", -1.0)
    run = WhatIfRun(fleet.plane.context.fleet, Question(leaf(0, three("deb openssl installed"))))

    run.work()

    assert run.found().stopped == "nobody asked any more"


async def test_a_long_run_is_followed_by_asking_again(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun = time.monotonic()
    monkeypatch.setattr(fleet.plane.context.what_ifs, "_wait_s", 0.0)

    said = await fleet.ask(rule="os debian")
    while not said["is_complete"] and time.monotonic() < begun + 30:
        said = await fleet.ask(rule="os debian")

    assert said["counts"]["required"] == 3


def three(text: str) -> tuple[Rule, Rule, Rule]:
    return parse_rule("always"), parse_rule(text), parse_rule("never")
