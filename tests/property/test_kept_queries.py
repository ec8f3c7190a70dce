"""What is kept of queries while a fleet moves is what asking them anew finds, and plain Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.domain.catalog.judged import Judged
from patchtide.domain.catalog.queries import Asked, Query, conditions
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.risk import Rating
from patchtide.domain.catalog.update_query import UPDATE_FIELDS
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.collections.definitions import Definition
from patchtide.domain.collections.facts import Facts
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS
from patchtide.domain.compliance.states import States
from patchtide.server import kept_machines
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import Catalog, KnownUpdate
from patchtide.server.machine_index import MachineIndex
from patchtide.server.machine_standings import Standing
from patchtide.server.member import Said
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.ports.update_lists import StoredList
from tests.property.plain_machines import answers
from tests.property.test_fact_laws import facts_of
from tests.property.test_fact_laws import told as lists
from tests.property.test_machine_list_laws import (
    LINEAGE,
    SHARD,
    a_catalog,
    a_client,
    a_view,
    described,
    told,
)
from tests.simulator.catalogs import an_update_id
from tests.simulator.reports import NOON

QUERIES = (
    "web", "not web", "name = web-3", "name contains EB", "group = red and required > 0",
    "group != red or platform in (p1, p2)", "not (standing = compliant or standing = unknown)",
    "package(openssl) < 2.0", "package(curl) and not package(openssl)", "kernel >= 2.0 and red",
    "address = 10.1.0.0/16 or unknown = 0", "package(openssl) != 1.0 and group = blue",
    "enrolled < 3d and processors > 1", "service = a or scan = failed", "restart or silent >= 1d",
    "silent < 2d and enrolled between 1d and 4d",
    "requires(u1)", "not requires(title = u0 or u2) and red",
    "requires() and not requires(exploited)",
    "requires(not title in (u0, u1)) or requires(exploited and u1)",
)  # fmt: skip
steps = st.lists(
    st.tuples(
        st.lists(described, max_size=12),
        st.lists(told, max_size=8),
        st.dictionaries(st.integers(1, 60), lists, max_size=5),
        st.booleans(),
        st.sampled_from((0, 0, 1, 20, 24, 70)),
    ),
    min_size=1,
    max_size=5,
)
few = st.sampled_from((0, kept_machines.FEW))
"""Where more moved, all is asked anew."""


@settings(max_examples=60, deadline=None)
@given(steps, st.sets(st.sampled_from(QUERIES), min_size=1, max_size=6), st.booleans(), few)
def test_what_is_kept_is_what_asking_anew_finds(
    steps: Sequence[tuple[Any, Any, Mapping[int, Any], bool, int]],
    queries: set[str],
    gathers: bool,
    few: int,
) -> None:
    with mock.patch.object(kept_machines, "FEW", few):
        _follow(steps, queries | {"requires(u1)"}, gathers=gathers)


def _follow(
    steps: Sequence[tuple[Any, Any, Mapping[int, Any], bool, int]],
    queries: set[str],
    *,
    gathers: bool,
) -> None:
    index, view = MachineIndex(), a_view()
    facts: dict[int, Facts] = {}
    kept: dict[str, Any] = {}
    for clients, reports, machines, is_replaced, hours in steps:
        view.put_clients([a_client(*one) for one in clients])
        view.put_rows([a_report(*one) for one in reports], gathers=gathers)
        at = {n: (view.now - timedelta(hours=5 * day)).timestamp() for n, _, _, day in reports}
        view.put_heard({number: number % 2 == 0 for number, *_ in reports}, at=at)
        for number, machine in machines.items():
            now = facts_of(machine)
            index.facts.move(number, facts.get(number, {}), now)
            facts[number] = now
        view.now += timedelta(hours=hours)
        if hours == 1:  # some updates are withdrawn, or there again
            view.put_catalog(LINEAGE, {SHARD: 1}, a_catalog() if is_replaced else _fewer())
        if hours == 20:
            rated = Rating(exploited=is_replaced)
            view.put_judged(Judged(ratings={UpdateId(an_update_id("u1")): rated}))
        view = view.copied() if is_replaced else view

        turned = index.turned(view)
        for text in queries:
            found = index.kept(view, text)

            anew = CollectionIndex(MachineIndex(index.facts))
            assert found == anew.answering(view, text, among=view.present)
            query = parse_query(text, MACHINE_FIELDS)
            plain = [
                n
                for n in view.present
                if answers(
                    query,
                    {
                        **_said(view, view.standings()[n], facts.get(n, {})),
                        **_needed(view, view.standings()[n], query),
                    },
                    text=_text(view.standings()[n]),
                )
            ]
            assert list(found) == plain
            was, kept[text] = kept.get(text), (found, list(found))
            # What somebody took is never changed, and who moved is told.
            assert was is None or list(was[0]) == was[1]
            if was is not None and turned is not None:
                assert turned.get(text, BitMap()) >= was[0] ^ found
        for text in queries:
            index.check(view, text)
        wrong = index.turned(view)
        assert not wrong  # nothing is found wrong that was right
        if wrong is None:  # it was dropped, and that is told once
            kept.clear()


ASKED = (
    "web", "not red", "scan = failed", "requires(u1)", "silent < 2d", "package(curl)",
    'collection = "All machines"', 'collection != "All machines"',
)  # fmt: skip


@st.composite
def collected(draw: st.DrawFn) -> tuple[str, ...]:
    """Draw queries each of which may ask who is in the collections before it."""
    found: list[str] = []
    for n in range(5):
        before = [f"c{m}" for m in range(n)]
        naming = [f"collection {sign} {name}" for name in before for sign in ("=", "!=")]
        several = [f'collection in ({name}, "All machines")' for name in before]
        one = st.sampled_from((*ASKED, *naming, *naming, *several))
        parts = st.lists(st.builds(str.__add__, st.sampled_from(("", "not ")), one), min_size=1)
        sides = draw(parts.map(lambda some: some[:3]))
        found.append(draw(st.sampled_from((" and ", " or "))).join(sides))
    return tuple(found)


@settings(max_examples=40, deadline=None)
@given(steps, collected(), collected(), st.booleans())
def test_collections_that_ask_for_others_have_whom_asking_anew_finds(
    steps: Sequence[tuple[Any, Any, Mapping[int, Any], bool, int]],
    first: tuple[str, ...],
    others: tuple[str, ...],
    gathers: bool,
) -> None:
    view, facts = a_view(), dict[int, Facts]()
    machines = MachineIndex()
    index = CollectionIndex(machines)
    for clients, reports, heard, is_replaced, hours in steps:
        view.put_clients([a_client(*one) for one in clients])
        view.put_rows([a_report(*one) for one in reports], gathers=gathers)
        for number, machine in heard.items():
            now = facts_of(machine)
            machines.facts.move(number, facts.get(number, {}), now)
            facts[number] = now
        # Not always so long that everything is evaluated anew.
        view.now += timedelta(minutes=hours)
        defined = others if is_replaced else first
        view.put_collections(map(a_collection, range(len(defined)), defined))
        members = index.ground(view)

        anew = CollectionIndex(MachineIndex(machines.facts))
        for key, one in view.collections.items():
            found = members.members_of(key)
            assert found == anew.members_of(view, key)
            assert found == anew.answering(view, one.definition.query, among=view.present)


def test_an_answer_that_was_kept_wrong_is_right_within_an_hour() -> None:
    view, machines = a_view(), MachineIndex()
    index = CollectionIndex(machines)
    view.put_clients([a_client(n, "web", "red", ClientState.ACTIVE) for n in (1, 2)])
    view.put_collections([a_collection(0, "group = red"), a_collection(1, "not group = blue")])
    known = [BitMap(index.ground(view).members_of(UUID(int=n + 1))) for n in range(2)]
    for held in machines._kept._queries._held.values():
        held.machines ^= BitMap([1, 7])
    for kept in machines._kept._queries._kept.values():
        kept.members = BitMap([2])
    index._answers._found = dict.fromkeys(index._answers._found, BitMap([2]))
    index._memberships.evaluate(index._machines_of(view))

    def found() -> list[BitMap]:
        return [index.ground(view).members_of(UUID(int=n + 1)) for n in range(2)]

    index.check(view)
    wrong = found()
    view.now += timedelta(hours=1)
    index.check(view)

    assert wrong == [BitMap([2])] * 2
    assert found() == known == [BitMap([1, 2])] * 2


def test_what_excludes_a_query_that_is_not_understood_any_more_has_nobody_and_says_why() -> None:
    view, index = a_view(), CollectionIndex(MachineIndex())
    view.put_clients([a_client(1, "web", "red", ClientState.ACTIVE)])
    gone, without = a_collection(0, "colour = red"), a_collection(1, "", exclude=UUID(int=1))
    view.put_collections([gone, without])

    assert not index.ground(view).members_of(without.id)
    assert "not understood" in index.why_unknown(view, gone.id)
    assert index.why_unknown(view, without.id) == "nobody knows who is in c0"

    view.put_collections([a_collection(0, "red")])
    assert not index.ground(view).unknown
    view.put_collections([a_collection(0, "blue")])
    assert list(index.ground(view).members_of(without.id)) == [1]


def a_collection(n: int, query: str, *, exclude: UUID | None = None) -> StoredCollection:
    named = BitMap() if exclude is None else BitMap([1])
    definition = Definition(
        id=UUID(int=n + 1),
        name=f"c{n}",
        query=query,
        exclude=() if exclude is None else (exclude,),
        direct=named,
    )
    return StoredCollection(definition=definition, revision=1, by="admin", at=NOON)


def a_report(number: int, required: set[int], scan: str, day: int) -> Said:
    return Said(
        client=number,
        lineage=LINEAGE,
        states=States(required=BitMap(required), shards={SHARD: 1}),
        scan=scan,
        scan_error="",
        scanned_at=NOON,
        reported_at=NOON - timedelta(days=day),
        aged_catalog=False,
    )


def _said(view: View, one: Standing, told: Facts) -> dict[str, tuple[Any, ...]]:
    client, now = one.member.client, view.now.timestamp()
    enrolled = client.enrolled_at.timestamp() if client.enrolled_at else 0.0
    heard = view.heard_at.get(client.number, enrolled)
    return {
        "silent": (int((now - heard) // 86_400),) if heard else (),
        "enrolled": (int((now - enrolled) // 86_400),) if enrolled else (),
        **told,
        "name": (client.name,),
        "group": (client.group,),
        "platform": (client.platform,),
        "standing": (one.judgement.compliance.value,),
        "required": (one.tally.required,),
        "unknown": (one.tally.unknown,),
        "scan": (one.member.scan,),
        "restart": (one.restart_pending,),
    }


def _fewer() -> Catalog:
    known = a_catalog().updates
    return Catalog(updates={key: one for key, one in known.items() if one.title != "u2"})


def _needed(view: View, one: Standing, query: Query) -> dict[str, tuple[Any, ...]]:
    """Say plainly which of the queries over updates find one that the machine named."""
    asked = {c.of for c in conditions(query) if isinstance(c, Asked) and c.field == "requires"}
    named = [
        update
        for update in view.updates.values()
        if one.judgement.doubt in ("", "old-catalog", "some-unknown")
        and update.leaves[0].number in one.member.states.required
    ]

    def fits(text: str, update: KnownUpdate) -> bool:
        rating = view.judged.rating(UpdateId(update.id))
        told = {"title": (update.title,), "exploited": (rating.exploited,)}
        return answers(parse_query(text, UPDATE_FIELDS), told, text=update.text)

    found = {text: [True for update in named if fits(text, update)] for text in asked}
    return {f"requires({text})" if text else "requires": tuple(n) for text, n in found.items()}


def test_a_list_that_is_gone_leaves_nobody_where_what_needs_it_not_is_asked() -> None:
    view, machines = a_view(), MachineIndex()
    index = CollectionIndex(machines)
    view.put_clients([a_client(n, "web", "red", ClientState.ACTIVE) for n in (1, 2)])
    view.put_rows([a_report(1, {1}, "completed", 0), a_report(2, {2}, "completed", 0)])
    some = a_collection(0, "not requires(list = spring)")
    spring = StoredList(
        name="spring", note="", by="anna", at=NOON, updates=frozenset({an_update_id("u1")})
    )
    view.put_collections([some])

    assert not index.ground(view).members_of(some.id)
    assert "spring" in index.why_unknown(view, some.id)
    view.put_lists([spring])
    assert list(index.ground(view).members_of(some.id)) == [2]
    view.put_lists([replace(spring, updates=frozenset({an_update_id("u2")}))])
    assert list(index.ground(view).members_of(some.id)) == [1]
    view.put_lists([], gone=["spring"])
    assert not index.ground(view).members_of(some.id)
    assert "spring" in index.why_unknown(view, some.id)


def _text(one: Standing) -> str:
    client = one.member.client
    return f"{client.name}\n{client.group}\n{client.platform}\n{one.member.id}"


@pytest.mark.parametrize("few", [0, kept_machines.FEW], ids=["asked anew", "followed"])
def test_what_a_stream_says_goes_at_once_for_who_needs_something(
    few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_machines, "FEW", few)
    view, index, numbers = a_view(), MachineIndex(), range(1, 17)
    spring = StoredList(name="spring", note="", by="anna", at=NOON, updates=frozenset())
    one, two = an_update_id("u1"), an_update_id("u2")
    view.put_lists([replace(spring, updates=frozenset({one}))])
    view.put_clients([a_client(n, "web", "red", ClientState.ACTIVE) for n in numbers])
    view.put_rows([a_report(n, {1}, "completed", 0) for n in numbers])
    asked = ("requires(u1)", "requires(list = spring)")
    assert all(list(index.kept(view, text)) == list(numbers) for text in asked)

    view.put_rows([a_report(n, {2}, "completed", 0) for n in numbers[:9]], gathers=True)
    assert all(list(index.kept(view, text)) == list(numbers[9:]) for text in asked)
    view.put_lists([replace(spring, updates=frozenset({one, two}))])
    for settles in (view.settle_some, view.settle):
        assert list(index.kept(view, "requires(u1)")) == list(numbers[9:])
        assert list(index.kept(view, "requires(list = spring)")) == list(numbers)
        assert list(index.kept(view, f"requires(u2) and {asked[1]}")) == list(numbers[:9])
        settles()
