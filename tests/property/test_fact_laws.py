"""Laws of the facts of a fleet: what is found by values is what each machine says by itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.domain.catalog.queries import (
    OPERATORS,
    All,
    Asked,
    Either,
    FieldKind,
    Mentions,
    No,
    Operator,
    Query,
    QueryField,
    select,
)
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.collections.facts import Column, Facts, FactTable
from patchtide.domain.compliance.machine_query import FACTS, MACHINE_FIELDS
from patchtide.server.fact_index import KEPT, FactFollower, FactIndex, FactMoves
from patchtide.server.machine_standings import Moves
from patchtide.server.ports.fleet import ToldList
from patchtide.server.ports.following import Cursor
from patchtide.server.told_lists import facts_in, order_in
from patchtide.wire.inventory import FactsV1, HardwareV1, hardware, package_list
from patchtide.wire.messages import encode
from tests.property.plain_machines import answers

VERSIONS = ("1.0", "1.0-1", "1:0.9", "2.0~rc1", "2.0", "10", "9")
NAMES = ("openssl", "curl", 'q "x"')
ADDRESSES = ("10.1.0.7", "10.1.2.3", "fd00::1", "not one")
WORDS = ("debian", "Debian", "nginx.service", "a b", "")
versions = st.sampled_from(VERSIONS)
told = st.tuples(
    st.fixed_dictionaries(
        {},
        optional={
            "host_name": st.sampled_from(WORDS),
            "kernel": versions,
            "processors": st.integers(0, 3),
            "memory_bytes": st.integers(0, 3).map(lambda n: n * 2**30 - 5 if n else 0),
            "addresses": st.lists(st.sampled_from(ADDRESSES), max_size=2).map(tuple),
            "services": st.lists(st.sampled_from(WORDS), max_size=2).map(tuple),
        },
    ),
    st.fixed_dictionaries(
        {},
        optional={
            "os_id": st.sampled_from(WORDS),
            "os_version": versions,
            "package_formats": st.sampled_from([("deb",), ("rpm",), (), ("deb", "rpm")]),
        },
    ),
    st.lists(st.tuples(st.sampled_from(NAMES), versions, st.just("amd64")), max_size=4),
)


def bodies(machine: Any) -> Mapping[str, bytes]:
    said, facts, packages = machine
    return {
        "hardware": hardware(HardwareV1(**said)),
        "facts": encode(FactsV1(**facts)),
        "packages": package_list(packages),
    }


def facts_of(machine: Any) -> Facts:
    """All that a machine told, read as a whole."""
    lists = bodies(machine)
    order = order_in(lists["facts"])
    found: dict[str, Any] = {}
    for kind, body in lists.items():
        found.update(facts_in(kind, body, order=order))
    return found


def values_of(field: QueryField) -> st.SearchStrategy[str]:
    match field.kind:
        case FieldKind.NUMBER:
            return st.integers(0, 4).map(str)
        case FieldKind.VERSION:
            return versions
        case FieldKind.ADDRESS:
            return st.sampled_from(("10.1.0.7", "10.1.0.0/16", "fd00::/8"))
        case _:
            return st.sampled_from([word for word in WORDS if word])


@st.composite
def asked(draw: st.DrawFn) -> Asked:
    field = MACHINE_FIELDS[draw(st.sampled_from(sorted(FACTS)))]
    of = draw(st.sampled_from(NAMES)) if field.of else ""
    if of and draw(st.booleans()):
        return Asked(field.name, Operator.HOLDS, (), of)
    operator = draw(st.sampled_from(OPERATORS[field.kind]))
    least, most = {Operator.IN: (1, 3), Operator.BETWEEN: (2, 2)}.get(operator, (1, 1))
    values = draw(st.lists(values_of(field), min_size=least, max_size=most))
    return Asked(field.name, operator, tuple(values), of)


def members(inner: st.SearchStrategy[Query]) -> st.SearchStrategy[tuple[Query, ...]]:
    return st.lists(inner, min_size=2, max_size=3).map(tuple)


QUERIES: st.SearchStrategy[Query] = st.recursive(
    asked(),
    lambda inner: st.one_of(inner.map(No), members(inner).map(All), members(inner).map(Either)),
    max_leaves=6,
)


class Store:
    """Lists of machines, each written under a change number."""

    def __init__(self) -> None:
        self._bodies: dict[bytes, bytes] = {}
        self._held: dict[tuple[int, str], tuple[bytes, int]] = {}
        self._n = 0

    def put(self, client: int, machine: Any) -> None:
        for kind, body in bodies(machine).items():
            digest = sha256(body).digest()
            if self._held.get((client, kind), (b"", 0))[0] != digest:
                self._n += 1
                self._bodies[digest] = body
                self._held[client, kind] = digest, self._n

    def trim(self) -> None:
        held = {digest for digest, _ in self._held.values()}
        self._bodies = {digest: body for digest, body in self._bodies.items() if digest in held}

    def epoch(self) -> Cursor:
        return Cursor(epoch="one", n=self._n)

    def inventory_holders(
        self, kind: str, *, after: int = 0, limit: int = 2
    ) -> Sequence[tuple[int, bytes]]:
        held = sorted((c, d) for (c, of), (d, _) in self._held.items() if of == kind and c > after)
        return held[:limit]

    def inventory_bodies(self, digests: Sequence[bytes]) -> Mapping[bytes, bytes]:
        return {digest: self._bodies[digest] for digest in digests if digest in self._bodies}

    def inventories_after(self, cursor: Cursor) -> tuple[Cursor, Sequence[ToldList]]:
        held = self._held.items()
        return self.epoch(), [ToldList(c, k, d) for (c, k), (d, n) in held if n > cursor.n]


class Ground:
    def __init__(self, table: FactTable, rows: BitMap) -> None:
        self.rows = rows
        self._table = table

    def where(self, place: str, fits: Any, /) -> BitMap:
        return self._table.where(place, fits) & self.rows

    def mentioning(self, text: str, /) -> BitMap:
        return BitMap()


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.dictionaries(st.integers(1, 12), told, max_size=12), st.booleans()),
             min_size=1, max_size=4),
    st.lists(QUERIES, min_size=1, max_size=4),
)  # fmt: skip
def test_what_is_followed_answers_as_each_machine_does_by_itself(
    steps: Sequence[tuple[dict[int, Any], bool]], queries: Sequence[Query]
) -> None:
    store, index = Store(), FactIndex(is_whole=False)
    follower: Any = FactFollower(store, index, store.epoch, lambda work: work())  # type: ignore[arg-type]
    machines: dict[int, Any] = {}
    for some, is_trimmed in steps:
        for client, machine in some.items():
            store.put(client, machine)
        machines |= some
        if is_trimmed:
            store.trim()

        follower.follow()

        ground = Ground(index.asked(), BitMap(machines))
        facts = {client: facts_of(machine) for client, machine in machines.items()}
        for query in queries:
            plain = [n for n, said in facts.items() if answers(query, said)]
            found = select(query, fields=MACHINE_FIELDS, ground=ground)
            assert list(found) == sorted(plain)


@given(QUERIES)
def test_the_text_of_a_query_over_machines_is_read_back_to_the_same(query: Query) -> None:
    assert parse_query(query_text(query, MACHINE_FIELDS), MACHINE_FIELDS) == query


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 400), st.integers(0, 30), st.booleans()), max_size=80
    ),
    st.sampled_from(["host-1", "HOST-3", "st-2", "host-399", "t", "\n"]),
)  # fmt: skip
def test_texts_that_few_have_are_found_as_they_come_and_go(
    moves: Sequence[tuple[int, int, bool]], text: str
) -> None:
    column, known = Column(), {n: f"Host-{n}" for n in range(400)}
    for number, name in known.items():
        column.put(name, (number,))
    contains = Asked("host", Operator.CONTAINS, (text,))
    equals = Asked("host", Operator.IS, (text,))
    for number, name, _ in moves:
        if (old := known.get(number)) is not None:
            column.discard(old, number)
        known[number] = f"Host-{name % 13}"
        column.put(known[number], (number,))

        for one in (contains, equals):
            found = select(one, fields=MACHINE_FIELDS, ground=_OneColumn(column, known))
            plain = [n for n, said in known.items() if answers(one, {"host": (said,)})]
            assert list(found) == sorted(plain)


class _OneColumn:
    def __init__(self, column: Column, rows: Mapping[int, str]) -> None:
        self._column = column
        self.rows = BitMap(rows)

    def where(self, place: str, fits: Any, /) -> BitMap:
        return self._column.where(fits)

    def mentioning(self, text: str, /) -> BitMap:
        return BitMap()


def test_who_follows_closely_is_told_of_every_move_however_many_there_were() -> None:
    facts, moves = FactMoves(), Moves()
    of_facts, of_moves = facts.end, moves.end
    for number in range(KEPT * 2 + 7):
        facts.add(number, {})
        moves.add([number])

        assert facts.since(of_facts) == [(number, {})]
        assert moves.since(of_moves) == [number]
        of_facts, of_moves = facts.end, moves.end
    assert facts.since(0) is None and moves.since(0) is None


def test_a_mention_is_a_condition_of_its_own() -> None:
    assert parse_query("web package(curl)", MACHINE_FIELDS) == All(
        (Mentions("web"), Asked("package", Operator.HOLDS, (), "curl"))
    )
