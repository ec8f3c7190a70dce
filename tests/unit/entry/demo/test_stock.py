"""What machines of the demonstration report is what their own rules say of their packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

import pytest

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.applicability.facts import Facts, InstalledPackage
from patchtide.domain.applicability.scan import evaluate_shard
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.update_query import UPDATE_FIELDS
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.entry.server.demo.furnish import SEARCHES
from patchtide.entry.server.demo.machines import DAY_S, Person, new_client, person
from patchtide.entry.server.demo.releases import details_of, leaf_of, releases
from patchtide.entry.server.demo.stock import QUICKER, Standing, Stock
from patchtide.entry.server.demo.systems import BY_PRODUCT, ROLES
from patchtide.server.ports.clients import Client
from patchtide.wire.inventory import read_package_list
from patchtide.wire.sets import decode_set

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
AT = NOW.timestamp()
DETAILS = tuple(map(details_of, releases(200, now=NOW)))
LEAVES = tuple(
    (replace(leaf_of(one), number=UpdateNumber(n)), BY_PRODUCT[one.product].shard)
    for n, one in enumerate(DETAILS)
)


def a_stock(*, begun_at: float = AT) -> Stock:
    known = ((one, number) for number, one in enumerate(DETAILS))
    return Stock(known, lineage=bytes(16), begun_at=begun_at)


def a_person(number: int) -> Person:
    new = new_client(number, count=100)
    client = Client(
        number=number + 1,
        uuid=new.uuid,
        name=new.name,
        public_key=b"",
        machine=b"",
        site="main",
        state=new.state,
        enrolled_at=NOW,
        group=new.group,
        platform=new.platform,
    )
    return person(client)


def judged(one: Person, standing: Standing) -> Mapping[UpdateNumber, LeafState]:
    """Evaluate what is published for its system on the packages that it says it has."""
    system = one.system
    packages = {
        row.name: (InstalledPackage(row.version, "amd64"),)
        for row in read_package_list(standing.packages)
    }
    facts = Facts(
        os_id=system.os_id,
        os_version=system.version,
        architecture="amd64",
        packages={system.format: packages},
    )
    leaves: list[Leaf] = [leaf for leaf, shard in LEAVES if shard == system.shard]
    return evaluate_shard(leaves, facts).states


@pytest.mark.parametrize("number", range(len(ROLES)), ids=ROLES)
def test_its_rules_say_the_same_of_its_packages_as_its_report(number: int) -> None:
    one = replace(a_person(number), lag_s=90 * DAY_S, blind=False)

    standing = a_stock().standing(one, at=AT)

    states = judged(one, standing)
    assert standing.required
    for state, told in (
        (LeafState.REQUIRED, standing.required),
        (LeafState.INSTALLED, standing.installed),
    ):
        assert sorted(n for n, s in states.items() if s is state) == decode_set(told)


def test_nothing_is_required_after_its_lag_and_nothing_is_forgotten() -> None:
    stock, one = a_stock(), replace(a_person(0), held=False, blind=False)
    soon, late = (stock.standing(one, at=AT + days * DAY_S) for days in (0, 300))

    assert not decode_set(late.required)
    assert {*decode_set(soon.required), *decode_set(soon.installed)} == {
        *decode_set(late.installed)
    }


def test_what_is_released_while_somebody_looks_is_installed_within_minutes_or_hours() -> None:
    stock, one = a_stock(begun_at=0), replace(a_person(0), lag_s=DAY_S, held=False, blind=False)
    had = [DETAILS[n].released for n in decode_set(stock.standing(one, at=AT).installed)]
    last = max(released.timestamp() for released in had if released)

    before, after = (stock.standing(one, at=last + s) for s in (1, DAY_S / QUICKER + 1))

    assert decode_set(before.required)
    assert not decode_set(after.required)


def test_a_later_version_takes_the_place_of_the_one_before_it() -> None:
    known: dict[UUID, str] = {one.update: one.packages[0].name for one in DETAILS}

    replacing = [one for one in DETAILS if one.supersedes]

    assert len(replacing) > 50
    assert all(known[one.supersedes[0]] == one.packages[0].name for one in replacing)


@pytest.mark.parametrize("query", SEARCHES.values(), ids=SEARCHES)
def test_saved_searches_are_as_a_person_would_have_saved_them(query: str) -> None:
    assert query_text(parse_query(query, UPDATE_FIELDS), UPDATE_FIELDS) == query
