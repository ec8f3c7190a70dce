"""Chains, joins and cycles of supersedence, held against the plain definition."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.domain.catalog.supersedence import Supersedence

Said = Mapping[int, list[int]]
UPDATES = range(7)
said = st.dictionaries(st.sampled_from(UPDATES), st.lists(st.integers(0, 8), max_size=4))
places = st.lists(st.frozensets(st.integers(0, 5)), min_size=7, max_size=7)


def reach(supersedes: Said, start: int) -> set[int]:
    """All that supersede it, by any number of steps."""
    found: set[int] = set()
    wave = {start}
    while wave:
        wave = {u for u, older in supersedes.items() if wave & (set(older) - {u})} - found
        found |= wave
    return found


def true_successors(supersedes: Said, update: int) -> set[int]:
    above = reach(supersedes, update)
    return {s for s in above - {update} if update not in reach(supersedes, s)}


@given(said, places)
def test_what_takes_an_updates_place_is_all_above_it_but_its_own_circle(
    supersedes: Said, where: list[frozenset[int]]
) -> None:
    made = Supersedence(supersedes)

    found = made.above(lambda update: BitMap(where[update]), nowhere=BitMap())

    for update in supersedes:
        above = true_successors(supersedes, update)
        assert made.is_superseded(update) is (update in found) is bool(above)
        expected = frozenset().union(*(where[s] for s in above))
        assert frozenset(found.get(update, ())) == expected


@given(said, places)
def test_one_machine_is_told_what_the_fleet_is(
    supersedes: Said, where: list[frozenset[int]]
) -> None:
    made = Supersedence(supersedes)

    fleet = made.above(lambda update: BitMap(where[update]), nowhere=BitMap())

    for machine in range(6):
        alone = made.above(lambda update: machine in where[update], nowhere=False)  # noqa: B023
        assert alone == {update: machine in held for update, held in fleet.items()}


@given(said)
def test_something_is_always_newest(supersedes: Said) -> None:
    made = Supersedence(supersedes)

    assert not supersedes or any(not made.is_superseded(update) for update in supersedes)


def test_a_chain_longer_than_the_stack_is_no_trouble() -> None:
    made = Supersedence({n: [n - 1] for n in range(20_000)})

    found = made.above(lambda update: update == 19_999, nowhere=False)

    assert len(found) == 19_999 and all(found.values())
