"""Laws of the index in containers: sites side by side count what each counts by itself."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance.index import Change
from patchtide.domain.compliance.sites import (
    BLOCK,
    Population,
    changed,
    containers_of,
    together,
)
from patchtide.domain.compliance.states import PlacedLeaf, States, Tally

SHARD = "debian-12"
LEAVES = [
    PlacedLeaf(number=UpdateNumber(n), shard=SHARD, entered=entered)
    for n, entered in ((1, 1), (2, 2), (3, 2), (4, 3))
]
UPDATES = [LEAVES[:1], LEAVES[1:2], LEAVES[2:]]
TAKEN = {1: 1, 2: 3}
"""What the lower site's serials are above: it took the second and the third at once."""

numbers = st.frozensets(st.integers(1, 4))
machines = st.dictionaries(
    st.integers(0, 20),
    st.tuples(numbers, numbers, numbers, st.sampled_from([None, 1, 2]), st.booleans()),
    max_size=8,
)
Rows = Mapping[int, tuple[frozenset[int], frozenset[int], frozenset[int], int | None, bool]]


def populated(rows: Rows, *, first: int, serials: Mapping[int, int]) -> Population:
    made = Population()
    for place, (required, installed, unknown, serial, is_believed) in rows.items():
        states = States(
            required=BitMap(required),
            installed=BitMap(installed),
            unknown=BitMap(unknown),
            shards={} if serial is None else {SHARD: serials[serial]},
        )
        made.index.put([Change(first + place, States(), states)])
        made.members.add(first + place)
        if is_believed:
            made.believed.add(first + place)
    return made


def below(leaves: list[PlacedLeaf]) -> list[PlacedLeaf]:
    """Return the leaves as the lower site has them: those of 2 and 3 entered there at once."""
    at = {1: 1, 2: 2, 3: 2}
    return [PlacedLeaf(number=x.number, shard=x.shard, entered=at[x.entered]) for x in leaves]


def summed(one: Tally, two: Tally) -> Tally:
    return Tally(
        required=one.required + two.required,
        installed=one.installed + two.installed,
        not_required=one.not_required + two.not_required,
        unknown=one.unknown + two.unknown,
    )


@given(machines, machines)
def test_the_parent_counts_the_sum_of_both(above: Rows, lower: Rows) -> None:
    own = populated(above, first=0, serials={1: 1, 2: 3})
    child = populated(lower, first=7 * BLOCK, serials={1: 1, 2: 2})
    whole = together(
        [
            containers_of(own, serial_above=lambda _, serial: serial),
            containers_of(child, serial_above=lambda _, serial: TAKEN[serial]),
        ]
    ).ground()

    for leaves in UPDATES:
        apart = summed(own.ground().tally(leaves), child.ground().tally(below(leaves)))
        assert whole.tally(leaves) == apart


@given(machines, machines)
def test_what_changed_leads_from_one_to_the_other(before: Rows, after: Rows) -> None:
    one, two = (
        containers_of(
            populated(rows, first=0, serials={1: 1, 2: 2}), serial_above=lambda _, serial: serial
        )
        for rows in (before, after)
    )
    led = {place: held for place, held in (one | changed(one, two)).items() if held}

    assert led == {place: held for place, held in two.items() if held}
    assert changed(two, two) == {}
