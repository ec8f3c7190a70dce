"""Whatever is defined and whoever moves, in whatever order: members are those that plain
evaluation finds, what depends on what nobody knows has nobody, and no circle is missed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from pyroaring import BitMap

from patchtide.domain.collections.definitions import (
    ALL_MACHINES,
    Definition,
    circle_through,
    depending,
    in_turn,
    in_words,
)
from patchtide.domain.collections.memberships import Memberships
from patchtide.server.described_reach import deciding
from patchtide.server.ports.collections import StoredCollection

NAMES = [UUID(int=n) for n in range(1, 7)]
MACHINES = range(8)
ASKING = "in one of those it names, or web"
keys = st.sampled_from(NAMES)
others = st.lists(st.sampled_from([*NAMES, ALL_MACHINES]), max_size=2, unique=True).map(tuple)
machines = st.frozensets(st.sampled_from(MACHINES))


@st.composite
def definitions(draw: st.DrawFn) -> Definition:
    key = draw(keys)
    return Definition(
        id=key,
        name=f"c{key.int}",
        limiting=draw(st.sampled_from([ALL_MACHINES, ALL_MACHINES, *NAMES])),
        include=draw(others),
        exclude=draw(others)[1:],
        # What is asked for is a fact: the machines that have it change by themselves.
        query=draw(st.sampled_from(["", "web", "db", ASKING, ASKING])),
        asks_for=draw(st.one_of(others, st.just((ALL_MACHINES,)))),
        direct=BitMap(draw(machines)),
    )


def plain(known: Mapping[UUID, Definition], fleet: Fleet, key: UUID) -> frozenset[int] | None:
    """One collection as anybody would work it out with paper and pencil; None: nobody can."""
    if key == ALL_MACHINES:
        return frozenset(fleet.all)
    if key not in known:
        return None
    one = known[key]
    others = {other: plain(known, fleet, other) for _, other in one.references()}
    others[ALL_MACHINES] = frozenset(fleet.all)
    there = {other: found for other, found in others.items() if found is not None}
    if len(there) < len(others) or one.query in fleet.unanswered:
        return None
    having = fleet.having(one.query) if one.query else frozenset()
    if one.query == ASKING:
        having = having.union(*(there[other] for other in one.asks_for))
    found = frozenset(one.direct) | having
    found = found.union(*(there[other] for other in one.include))
    found = found.difference(*(there[other] for other in one.exclude))
    return found & there[one.limiting] & frozenset(fleet.all)


class Fleet:
    def __init__(self) -> None:
        self.all = BitMap()
        self.facts: dict[str, frozenset[int]] = {}
        self.unanswered = set[str]()
        self.memberships = Memberships()

    def having(self, query: str) -> frozenset[int]:
        return self.facts.get("web" if query == ASKING else query, frozenset())

    def answering(self, collection: Definition, /, *, among: BitMap) -> BitMap | None:
        if collection.query in self.unanswered:
            return None
        found = BitMap(self.having(collection.query))
        if collection.query == ASKING:
            asked = self.memberships.together(collection.asks_for)
            if asked is None:
                return None
            found |= asked
        return among & found


class CollectionLaws(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.fleet = Fleet()
        self.memberships = self.fleet.memberships
        # What speaks of one that is not there has nobody, and would say little.
        self.known = {key: Definition(id=key, name=f"c{key.int}", query="web") for key in NAMES}
        self.memberships.define(self.known, self.fleet)

    @initialize(fleet=machines, some=st.lists(definitions(), min_size=8, max_size=8))
    def begin(self, fleet: frozenset[int], some: list[Definition]) -> None:
        self.fleet.all = BitMap(fleet)
        for one in some:
            self.define(one)

    @rule(one=definitions())
    def define(self, one: Definition) -> None:
        known = {**self.known, one.id: one}
        if not circle_through(known, one.id):
            self.known = known
            self.memberships.define(self.known, self.fleet)

    @rule(key=keys)
    def forget(self, key: UUID) -> None:
        self.known.pop(key, None)
        self.memberships.define(self.known, self.fleet)

    @rule(moved=machines, let_in=machines, fact=st.sampled_from(["web", "db"]), having=machines)
    def move(
        self, moved: frozenset[int], let_in: frozenset[int], fact: str, having: frozenset[int]
    ) -> None:
        self.fleet.all = (self.fleet.all - BitMap(moved)) | BitMap(moved & let_in)
        had = self.fleet.facts.get(fact, frozenset())
        self.fleet.facts[fact] = (had - moved) | (moved & having)
        self.memberships.move(BitMap(moved), self.fleet)

    @rule(moved=machines, fact=st.sampled_from(["web", "db"]), having=machines)
    def turn(self, moved: frozenset[int], fact: str, having: frozenset[int]) -> None:
        had = self.fleet.facts.get(fact, frozenset())
        self.fleet.facts[fact] = (had - moved) | (moved & having)
        asking = {"web": ("web", ASKING), "db": ("db",)}[fact]
        turned = [key for key, one in self.known.items() if one.query in asking]
        self.memberships.move(BitMap(moved), self.fleet, turned=turned)

    @rule(moved=machines, let_in=machines)
    def come_and_go(self, moved: frozenset[int], let_in: frozenset[int]) -> None:
        now = (self.fleet.all - BitMap(moved)) | BitMap(moved & let_in)
        came, self.fleet.all = now ^ self.fleet.all, now
        # Only a fact of who came turns an answer; who is in others is not told.
        turned = [k for k, one in self.known.items() if self.fleet.having(one.query) & set(came)]
        self.memberships.move(BitMap(moved), self.fleet, turned=turned, came=came)

    @rule(query=st.sampled_from(["web", "db", ASKING]))
    def answer_or_do_not(self, query: str) -> None:
        self.fleet.unanswered ^= {query}
        asking = [key for key, one in self.known.items() if one.query == query]
        self.memberships.reconsider(asking, self.fleet)

    @rule()
    def evaluate(self) -> None:
        self.memberships.evaluate(self.fleet)

    @invariant()
    def members_are_those_of_plain_evaluation(self) -> None:
        wanted = {key: plain(self.known, self.fleet, key) for key in [*NAMES, ALL_MACHINES]}

        found = {key: frozenset(self.memberships.members_of(key)) for key in wanted}
        assert found == {key: members or frozenset() for key, members in wanted.items()}
        assert set(self.memberships.unknown) == {k for k in self.known if wanted[k] is None}
        for machine in MACHINES:
            assert set(self.memberships.of(machine)) == {
                key for key, members in found.items() if machine in members
            }


TestCollections = CollectionLaws.TestCase
TestCollections.settings = settings(max_examples=25, stateful_step_count=20, deadline=None)
ways = st.sampled_from(["limiting", "include", "exclude", "asks_for"])
references = st.lists(st.tuples(keys, ways, keys))


@given(references)
def test_a_circle_is_found_where_there_is_one_and_each_of_its_steps_is_true(
    said: list[tuple[UUID, str, UUID]],
) -> None:
    known = {key: Definition(id=key, name=f"c{key.int}") for key in NAMES}
    for key, how, other in said:
        one = known[key]
        new = other if how == "limiting" else (*getattr(one, how), other)
        known[key] = replace(one, **{how: new})

    circles = {key: circle_through(known, key) for key in NAMES}

    for key, circle in circles.items():
        speaks_of = {other for _, other in known[key].references()}
        assert bool(circle) == bool(speaks_of & depending(known, [key]))
        following = [*circle[1:], *circle[:1]]
        for step, after in zip(circle, following, strict=True):
            assert (step.how, after.collection.id) in step.collection.references()
        assert in_words(circle).startswith(f"{known[key].name} " if circle else "")
    waiting = {k for key, circle in circles.items() if circle for k in depending(known, [key])}
    assert set(in_turn(known)) == known.keys() - waiting


@given(st.lists(definitions(), max_size=6), st.frozensets(keys))
def test_what_decides_where_rights_end_is_what_those_depend_on(
    defined: list[Definition], places: frozenset[UUID]
) -> None:
    known = {one.id: one for one in defined}
    stored = {
        key: StoredCollection(definition=one, revision=1, by="x", at=datetime.now(UTC))
        for key, one in known.items()
    }

    found = [one.id for one in deciding(stored, frozenset(map(str, places)))]

    assert len(found) == len(set(found))
    assert set(found) == {key for key in known if depending(known, [key]) & places & known.keys()}
