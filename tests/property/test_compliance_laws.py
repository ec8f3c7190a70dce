"""Three ways to count say the same: by one machine and one update, by machine, by update."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.supersedence import Supersedence
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance import counting, moves
from patchtide.domain.compliance.bit_counts import BitCounts
from patchtide.domain.compliance.counting import Counting
from patchtide.domain.compliance.ground import Ground
from patchtide.domain.compliance.index import Change, StateIndex
from patchtide.domain.compliance.moves import HeldByLeaf
from patchtide.domain.compliance.overtaken import Overtaken, on_one_machine
from patchtide.domain.compliance.published import Published
from patchtide.domain.compliance.states import (
    PlacedLeaf,
    States,
    Tally,
    state_of,
    state_of_leaf,
)

SHARDS = ("debian-11", "debian-12")
NUMBERS = 12
serials = st.integers(1, 4)
catalogs = st.lists(
    st.tuples(st.integers(0, 4), st.sampled_from(SHARDS), serials),
    min_size=NUMBERS,
    max_size=NUMBERS,
).map(
    lambda rows: {
        update: [
            PlacedLeaf(number=UpdateNumber(number), shard=shard, entered=entered)
            for number, (of, shard, entered) in enumerate(rows)
            if of == update
        ]
        for update in {of for of, _, _ in rows}
    }
)
said = st.lists(st.sampled_from([None, "required", "installed", "unknown"]), max_size=NUMBERS + 3)
machines = st.builds(
    lambda words, shards: States(
        required=BitMap(n for n, word in enumerate(words) if word == "required"),
        installed=BitMap(n for n, word in enumerate(words) if word == "installed"),
        unknown=BitMap(n for n, word in enumerate(words) if word == "unknown"),
        shards=shards,
    ),
    said,
    st.dictionaries(st.sampled_from(SHARDS), serials),
)


def tally(counts: Mapping[LeafState, int]) -> Tally:
    return Tally(
        required=counts[LeafState.REQUIRED],
        installed=counts[LeafState.INSTALLED],
        not_required=counts[LeafState.NOT_REQUIRED],
        unknown=counts[LeafState.UNKNOWN],
    )


@given(catalogs, machines)
def test_counting_a_machine_is_asking_for_each_update(
    catalog: dict[int, list[PlacedLeaf]], states: States
) -> None:
    asked = Counter(state_of(states, leaves) for leaves in catalog.values())

    assert Counting(catalog).tally(states) == tally(asked)


@given(catalogs, st.lists(machines, max_size=8))
def test_counting_with_little_kept_is_counting_anew(
    catalog: dict[int, list[PlacedLeaf]], fleet: list[States]
) -> None:
    with mock.patch.object(counting, "FRAMES", 1):
        kept = Counting(catalog)
        for states in fleet:
            assert kept.tally(states) == Counting(catalog).tally(states)
            assert kept.frames == 1


def test_what_is_kept_to_count_with_is_bounded_however_machines_differ() -> None:
    leaves = [
        PlacedLeaf(number=UpdateNumber(serial), shard="debian-12", entered=serial)
        for serial in range(1, 1_000)
    ]
    kept = Counting(dict(enumerate([leaf] for leaf in leaves)))

    for serial in range(1, 1_000):
        assert kept.tally(States(shards={"debian-12": serial})).unknown == 999 - serial
        kept.tally(States(shards={"debian-12": serial + 10**6, f"other-{serial}": serial}))

    assert kept.frames <= counting.FRAMES


@given(catalogs, machines, st.sampled_from([b"this", b"that"]))
def test_only_what_is_published_is_kept_and_whatever_else_a_machine_named_is_not_believed(
    catalog: dict[int, list[PlacedLeaf]], states: States, lineage: bytes
) -> None:
    serials = {"debian-12": 3}
    here = {
        update: [leaf for leaf in leaves if leaf.entered <= serials.get(leaf.shard, 0)]
        for update, leaves in catalog.items()
    }
    published = Published.of(b"this", serials, here.values())

    kept = published.borne_out(states, lineage=lineage)

    assert kept.required | kept.installed | kept.unknown <= published.numbers
    for leaf in (leaf for leaves in here.values() for leaf in leaves):
        believed = states.shards.get(leaf.shard, 0) <= 3 and lineage == b"this"
        if believed or leaf.shard not in states.shards:
            assert state_of_leaf(kept, leaf) == state_of_leaf(states, leaf)
        elif lineage == b"this":
            assert state_of_leaf(kept, leaf) is LeafState.UNKNOWN


@given(catalogs, st.lists(machines, max_size=5), st.sets(st.integers(0, 4)))
def test_counting_an_update_is_asking_each_machine_and_whoever_is_doubted_is_unknown(
    catalog: dict[int, list[PlacedLeaf]], fleet: list[States], doubted: set[int]
) -> None:
    index = StateIndex()
    for number, states in enumerate(fleet):
        index.put([Change(number, States(), states)])
    members = BitMap(range(len(fleet)))
    ground = Ground(index, members=members, believed=members - BitMap(doubted))

    for leaves in catalog.values():
        asked = Counter(
            LeafState.UNKNOWN if number in doubted else state_of(states, leaves)
            for number, states in enumerate(fleet)
        )
        assert ground.tally(leaves) == tally(asked)


@given(catalogs, st.lists(machines, min_size=1, max_size=6))
def test_a_machine_that_reports_again_leaves_nothing_of_before_behind(
    catalog: dict[int, list[PlacedLeaf]], reports: list[States]
) -> None:
    index, fresh = StateIndex(), StateIndex()
    for old, new in zip([States(), *reports], reports, strict=False):
        index.put([Change(1, old, new)])
    fresh.put([Change(1, States(), reports[-1])])
    who = BitMap([1])

    for leaves in catalog.values():
        followed = Ground(index, members=who, believed=who).held(leaves)
        assert followed == Ground(fresh, members=who, believed=who).held(leaves)


@given(
    catalogs,
    st.lists(machines, max_size=5),
    st.dictionaries(st.integers(0, 4), st.lists(st.integers(0, 4), max_size=3)),
)
def test_what_is_overtaken_is_the_same_counted_by_machine_by_update_and_asked_one_by_one(
    catalog: dict[int, list[PlacedLeaf]], fleet: list[States], said: dict[int, list[int]]
) -> None:
    index = StateIndex()
    for number, states in enumerate(fleet):
        index.put([Change(number, States(), states)])
    everybody = BitMap(range(len(fleet)))
    ground = Ground(index, members=everybody, believed=everybody)
    newer = Supersedence({update: said.get(update, []) for update in catalog})

    overtaken = Overtaken(ground, newer, lambda update: catalog[update], counted=catalog)

    asked = [
        {u: on_one_machine(newer, lambda k, s=states: state_of(s, catalog[k]))(u) for u in catalog}  # type: ignore[misc]
        for states in fleet
    ]
    for number, states in enumerate(fleet):
        told = Counting(catalog).tally(states)
        assert overtaken.tally_on(number, told) == tally(Counter(asked[number].values()))
    for update, leaves in catalog.items():
        held = overtaken.held(update, ground.held(leaves))
        counted = overtaken.tally(update, ground.tally(leaves))
        assert counted == held.tally == tally(Counter(one[update] for one in asked))


@given(catalogs, st.lists(machines, max_size=4), st.sets(st.integers(0, 4)))
def test_bundles_that_share_a_part_are_counted_as_each_of_them_stands(
    catalog: dict[int, list[PlacedLeaf]], fleet: list[States], made_of: set[int]
) -> None:
    parts = [leaf for update in made_of for leaf in catalog.get(update, [])]
    bundled = {u: leaves for u, leaves in catalog.items() if u not in made_of}
    bundled |= {100: parts, 101: parts + [x for x in catalog.get(0, []) if x not in parts]}

    for states in fleet:
        asked = Counter(state_of(states, leaves) for leaves in bundled.values())
        assert Counting(bundled).tally(states) == tally(asked)


@given(st.lists(st.frozensets(st.integers(0, 6)), max_size=20))
def test_counting_bit_by_bit_is_counting(sets: list[frozenset[int]]) -> None:
    counts = BitCounts(map(BitMap, sets))

    assert [counts.of(n) for n in range(7)] == [sum(n in one for one in sets) for n in range(7)]


@given(
    st.lists(
        st.tuples(
            st.dictionaries(st.integers(0, 200_000), st.frozensets(st.integers(0, 9)), max_size=6),
            st.booleans(),
        ),
        max_size=8,
    ),
    st.sampled_from([0, 3, moves.SINGLE]),
)
def test_what_is_gathered_and_sorted_in_later_is_what_each_machine_said_last(
    told: list[tuple[dict[int, frozenset[int]], bool]], single: int
) -> None:
    held = HeldByLeaf(single=single)
    latest: dict[int, frozenset[int]] = {}
    for said, is_asked in told:
        held.move(
            coming=[(m, BitMap(now - latest.get(m, frozenset()))) for m, now in said.items()],
            going=[(m, BitMap(latest.get(m, frozenset()) - now)) for m, now in said.items()],
        )
        latest |= said
        plain = {leaf: BitMap(m for m, s in latest.items() if leaf in s) for leaf in range(10)}
        if is_asked:
            assert held.machines == {leaf: some for leaf, some in plain.items() if some}


def test_leaves_that_nearly_all_name_are_sorted_in_as_those_that_few_do() -> None:
    several_blocks = BitMap(range(60_000, 140_000))
    held = HeldByLeaf()

    held.move(coming=[(machine, BitMap([1])) for machine in several_blocks], going=[])
    held.move(coming=[(7, BitMap([1, 2]))], going=[(60_001, BitMap([1]))])

    assert held.machines == {1: (several_blocks | BitMap([7])) - BitMap([60_001]), 2: BitMap([7])}
