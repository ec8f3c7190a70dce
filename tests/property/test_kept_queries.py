"""What is kept of queries while a fleet moves is what asking them anew finds, and plain Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.collections.definitions import Definition
from patchtide.domain.collections.facts import Facts
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS
from patchtide.domain.compliance.states import States
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.machine_index import MachineIndex
from patchtide.server.machine_standings import Standing
from patchtide.server.member import Said
from patchtide.server.ports.collections import StoredCollection
from tests.property.plain_machines import answers
from tests.property.test_fact_laws import facts_of
from tests.property.test_fact_laws import told as lists
from tests.property.test_machine_list_laws import LINEAGE, SHARD, a_client, a_view, described, told
from tests.simulator.reports import NOON

QUERIES = (
    "web", "not web", "name = web-3", "name contains EB", "group = red and required > 0",
    "group != red or platform in (p1, p2)", "not (standing = compliant or standing = unknown)",
    "package(openssl) < 2.0", "package(curl) and not package(openssl)", "kernel >= 2.0 and red",
    "address = 10.1.0.0/16 or unknown = 0", "package(openssl) != 1.0 and group = blue",
    "enrolled < 3d and processors > 1", "service = a or scan = failed", "restart or silent >= 1d",
)  # fmt: skip
steps = st.lists(
    st.tuples(
        st.lists(described, max_size=12),
        st.lists(told, max_size=8),
        st.dictionaries(st.integers(1, 60), lists, max_size=5),
        st.booleans(),
        st.integers(0, 3),
    ),
    min_size=1,
    max_size=5,
)


@settings(max_examples=60, deadline=None)
@given(steps, st.sets(st.sampled_from(QUERIES), min_size=1, max_size=6))
def test_what_is_kept_is_what_asking_anew_finds(
    steps: Sequence[tuple[Any, Any, Mapping[int, Any], bool, int]], queries: set[str]
) -> None:
    index, view = MachineIndex(), a_view()
    facts: dict[int, Facts] = {}
    kept: dict[str, Any] = {}
    for clients, reports, machines, is_replaced, days in steps:
        view.put_clients([a_client(*one) for one in clients])
        view.put_rows([a_report(*one) for one in reports])
        view.put_heard({number: number % 2 == 0 for number, *_ in reports})
        for number, machine in machines.items():
            now = facts_of(machine)
            index.facts.move(number, facts.get(number, {}), now)
            facts[number] = now
        view.now += timedelta(days=days)
        view = view.copied() if is_replaced else view

        for text in queries:
            found = index.kept(view, text)

            anew = CollectionIndex(MachineIndex(index.facts))
            assert found == anew.answering(view, text, among=view.present)
            if "enrolled" not in text and "silent" not in text:
                query = parse_query(text, MACHINE_FIELDS)
                every = ((n, view.standings()[n]) for n in view.present)
                plain = [n for n, one in every if answers(query, _said(one, facts.get(n, {})),
                                                          text=_text(one))]  # fmt: skip
                assert list(found) == plain
            was, kept[text] = kept.get(text), (found, list(found))
            # What somebody took is never changed, and is another once its answer is.
            assert was is None or list(was[0]) == was[1]


COLLECTED = (
    "collection = c0 and required > 0", "not collection in (c0, c1) or package(curl)",
    "collection != c1 and (web or collection = c2)", "collection = c3",
    'collection = "All machines" and scan = failed',
)  # fmt: skip


@settings(max_examples=40, deadline=None)
@given(steps)
def test_collections_that_ask_for_others_have_whom_asking_anew_finds(
    steps: Sequence[tuple[Any, Any, Mapping[int, Any], bool, int]],
) -> None:
    view, facts = a_view(), dict[int, Facts]()
    machines = MachineIndex()
    index = CollectionIndex(machines)
    for clients, reports, heard, is_replaced, days in steps:
        view.put_clients([a_client(*one) for one in clients])
        view.put_rows([a_report(*one) for one in reports])
        for number, machine in heard.items():
            now = facts_of(machine)
            machines.facts.move(number, facts.get(number, {}), now)
            facts[number] = now
        view.now += timedelta(days=days)
        first = "web" if is_replaced else "group = red"
        view.put_collections(map(a_collection, range(len(COLLECTED) + 1), (first, *COLLECTED)))
        members = index.ground(view)

        anew = CollectionIndex(MachineIndex(machines.facts))
        for key, one in view.collections.items():
            found = members.members_of(key)
            assert found == anew.members_of(view, key)
            assert found == anew.answering(view, one.definition.query, among=view.present)


def a_collection(n: int, query: str) -> StoredCollection:
    definition = Definition(id=UUID(int=n + 1), name=f"c{n}", query=query)
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


def _said(one: Standing, told: Facts) -> dict[str, tuple[Any, ...]]:
    client = one.member.client
    return {
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


def _text(one: Standing) -> str:
    client = one.member.client
    return f"{client.name}\n{client.group}\n{client.platform}\n{one.member.id}"
