"""Why an update is required on a machine: from what it told last, beside what it reported."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID, uuid4

import pytest

from patchtide.adapters.storage import Storage
from patchtide.domain.applicability.facts import Facts, by_name
from patchtide.domain.catalog.rules import InstalledLeaf, PackageFormat
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.server.ports.clients import Client
from patchtide.wire.inventory import facts_list, package_list
from tests.integration.http.plane import AdministratorsPlane
from tests.simulator.catalogs import SHARD, Catalog, a_leaf, a_scan, an_update_id, some_details
from tests.simulator.reports import NOON, enrolled

pytestmark = pytest.mark.anyio
DEBIAN = Facts(
    os_id="debian", os_version="12", architecture="amd64", packages={PackageFormat.DEB: {}}
)
Row = tuple[str, str, str]
OLD, NEW = ("openssl", "1.0-1", "amd64"), ("openssl", "2.0-1", "amd64")


@dataclass
class Site:
    """One machine that follows Debian 12, and updates of openssl, curl and bash."""

    plane: AdministratorsPlane
    token: str
    client: Client
    catalog: Catalog

    async def told(
        self, *rows: Row, facts: Facts | None = DEBIAN, hours: float = 0, packages: bool = True
    ) -> None:
        """The machine tells its lists so many hours after its scan."""
        bodies = {"facts": facts and facts_list(facts)}
        bodies["packages"] = package_list(rows) if packages else None
        for kind, body in bodies.items():
            if body is not None:
                await self.plane.storage.put_inventory(
                    self.client.number,
                    kind=kind,
                    digest=sha256(body).digest(),
                    body=body,
                    now=(NOON + timedelta(hours=hours)).timestamp(),
                )

    async def reported(self, counter: int = 1, **states: Any) -> None:
        now = self.plane.clock.now().timestamp()
        await self.plane.storage.accept([a_scan(self.client.number, counter, **states)], now=now)

    async def why(self, name: str = "openssl") -> Any:
        machine = UUID(bytes=self.client.uuid)
        path = f"/api/v1/machines/{machine}/updates/{an_update_id(name)}/explanation"
        answer = await self.plane.ask("GET", path, token=self.token)
        assert answer.status == 200, answer.body
        return answer.json

    async def what_if(self, **rules: str) -> Any:
        machine = UUID(bytes=self.client.uuid)
        path = f"/api/v1/machines/{machine}/whatif"
        return await self.plane.ask("POST", path, token=self.token, document=rules)


@pytest.fixture
async def site(storage: Storage) -> Site:
    catalog = Catalog(storage)
    plane = AdministratorsPlane(storage=storage, catalog=catalog)
    leaves = [a_leaf(1, "openssl"), a_leaf(2, "curl"), a_leaf(3, "bash")]
    leaves[2] = replace(leaves[2], prerequisite=InstalledLeaf(UpdateNumber(1)))
    await catalog.publish(leaves, details=[some_details("openssl")])
    token = await plane.token(role="machine-owner")
    [client] = await enrolled(storage, 1)
    return Site(plane, token, client, catalog)


def verdicts(said: Any) -> list[tuple[str, bool | None]]:
    return [(rule["name"], rule["verdict"]) for leaf in said["leaves"] for rule in leaf["rules"]]


def sentences(said: Any) -> list[str]:
    leaves: Iterable[Any] = said["leaves"]
    return [p["sentence"] for leaf in leaves for rule in leaf["rules"] for p in rule["parts"]]


async def test_each_rule_is_told_with_the_facts_that_it_saw(site: Site) -> None:
    await site.reported(required=[1])
    await site.told(OLD)

    said = await site.why()

    assert (said["state"], said["reported"], said["differs"]) == ("required", "required", [])
    assert said["wanted"] == []
    assert said["why"] == "what it concerns is here, in an older version than it brings"
    assert verdicts(said) == [("prerequisite", True), ("applicable", True), ("installed", False)]
    assert sentences(said) == [
        "The system is debian 12.",
        "openssl is installed in version 1.0-1 (amd64).",
        "1 of these 2 do not hold, and all would have to.",
        "openssl is installed in version 1.0-1 (amd64).",
        "What follows holds, and must not.",
        "openssl is installed in version 1.0-1 (amd64): that is older than 2.0-1.",
    ]


async def test_what_was_told_since_the_scan_explains_the_difference(site: Site) -> None:
    await site.reported(required=[1])
    await site.told(NEW, hours=1)

    said = await site.why()

    assert (said["state"], said["reported"]) == ("installed", "required")
    assert said["differs"] == ["the machine has told other facts since its last scan"]
    assert said["wanted"] == ["facts", "packages"]


async def test_a_revision_that_the_machine_has_not_looked_at_is_named(site: Site) -> None:
    await site.reported(installed=[1])
    await site.told(NEW)
    await site.catalog.publish([a_leaf(1, "openssl", "3.0-1", revision=2)])

    said = await site.why()

    assert (said["state"], said["reported"]) == ("required", "unknown")
    [reason] = said["differs"]
    assert reason == (
        f"the machine has not looked at this revision yet: it did so with serial 1 of {SHARD},"
        " and the revision came with 2"
    )


async def test_without_facts_nothing_is_guessed(site: Site) -> None:
    await site.reported(required=[1])

    said = await site.why()

    assert (said["state"], said["reported"]) == ("unknown", "required")
    assert said["told"] == {
        "facts_at": None,
        "packages_at": None,
        "untold": ["facts", "packages"],
    }
    assert said["differs"] == ["the machine has not told its facts and packages"]
    assert said["leaves"][0]["lacking"] == [
        "os debian 12",
        "deb openssl installed",
        "deb openssl < 2.0-1",
    ]


async def test_packages_of_a_machine_that_told_no_facts_are_nobodys(site: Site) -> None:
    await site.told(OLD, facts=None)
    await site.reported()

    assert (await site.why())["state"] == "unknown"


async def test_a_rule_about_another_update_sees_that_ones_state(site: Site) -> None:
    await site.reported(installed=[1])
    await site.told(NEW, ("bash", "1.0-1", "amd64"))

    said = await site.why("bash")

    assert said["state"] == "required"
    assert sentences(said)[0] == "Update 1 is installed here."


async def test_an_update_for_another_platform_is_said_to_be_for_another(site: Site) -> None:
    await site.told(OLD)
    site.catalog.others = ("el-9",)
    await site.reported(shard="el-9")

    said = await site.why()

    assert (said["state"], said["leaves"]) == ("not-required", [])
    assert said["why"].startswith("it is for other platforms")


async def test_a_machine_that_never_reported_stands_nowhere(site: Site) -> None:
    said = await site.why()

    assert (said["state"], said["doubt"]) == ("unknown", "never-reported")
    assert said["why"].startswith("the machine has never said")


async def test_rules_that_are_not_published_are_tried_on_one_machine(site: Site) -> None:
    await site.reported(installed=[1])
    await site.told(OLD)

    answer = await site.what_if(
        rule="deb openssl installed", prerequisite="os debian", installed="deb openssl >= 2.0-1"
    )
    other = await site.what_if(rule="update 1 installed")

    assert (answer.status, answer.json["state"]) == (200, "required")
    assert (
        answer.json["leaf"]["why"] == "what it concerns is here, and its own rule finds it missing"
    )
    assert [rule["verdict"] for rule in answer.json["leaf"]["rules"]] == [True, True, False]
    assert other.json["state"] == "not-required"


async def test_every_mistake_in_every_rule_is_named(site: Site) -> None:
    answer = await site.what_if(rule="deb openssl <", installed="os")

    assert answer.status == 400
    assert [p["where"] for p in answer.json["problems"]] == [
        "rule line 1, column 14",
        "installed line 1, column 3",
    ]


async def test_neither_a_stranger_nor_a_strange_update_is_explained(site: Site) -> None:
    machine = UUID(bytes=site.client.uuid)
    for path in (
        f"/api/v1/machines/{uuid4()}/updates/{an_update_id('openssl')}/explanation",
        f"/api/v1/machines/{machine}/updates/{uuid4()}/explanation",
    ):
        assert (await site.plane.ask("GET", path, token=site.token)).status == 404


async def test_a_list_of_another_time_counts_as_untold(site: Site) -> None:
    await site.reported()
    await site.told(facts=DEBIAN, packages=False)
    body = b"no list"
    await site.plane.storage.put_inventory(
        site.client.number, kind="packages", digest=sha256(body).digest(), body=body, now=0.0
    )

    said = await site.why()

    assert (said["state"], said["told"]["untold"]) == ("unknown", ["packages"])


async def test_facts_are_what_the_packages_tool_calls_them(site: Site) -> None:
    told = replace(DEBIAN, packages={PackageFormat.RPM: by_name([OLD])})
    await site.reported()
    await site.told(OLD, facts=told)

    assert (await site.why())["state"] == "unknown"
