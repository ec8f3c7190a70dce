"""Since when machines need what is told of any of them as if there were no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.server import history_since
from patchtide.server.history_rows import BLOCK
from patchtide.server.history_since import NeededSince, carried_on

PLACES = (0, 3, BLOCK + 3)
FIRST = date(2026, 3, 2).toordinal()
machines = st.frozensets(st.integers(1, 6))


class Day(NamedTuple):
    """A count: on which day (clocks are put back), what is offered, and who needs what of it."""

    day: int
    offered: frozenset[int]
    needed: Mapping[int, frozenset[int]]


@dataclass(frozen=True)
class Plainly:
    """The first day of each machine that needed an update."""

    first: dict[tuple[int, int], int]

    def count(self, one: Day) -> None:
        for place, machine in list(self.first):
            if place not in one.offered:
                del self.first[place, machine]
        for place in one.needed.keys() & one.offered:
            for machine in one.needed[place]:
                key = place, machine
                self.first[key] = min(self.first.get(key, one.day), one.day)

    def among(self, place: int, some: frozenset[int]) -> tuple[int | None, set[int]]:
        ever = {machine for its, machine in self.first if its == place} & some
        return min((self.first[place, one] for one in ever), default=None), ever


days = st.builds(
    Day,
    st.integers(FIRST, FIRST + 9),
    st.frozensets(st.sampled_from(PLACES), min_size=1),
    st.dictionaries(st.sampled_from(PLACES), machines),
)


@given(st.lists(days, max_size=8), machines)
def test_since_and_who_ever_needed_it_are_as_if_each_machine_were_asked(
    counts: Sequence[Day], some: frozenset[int]
) -> None:
    plainly, rows = Plainly({}), dict[int, bytes]()
    for one in counts:
        plainly.count(one)
        needed = {place: BitMap(those).serialize() for place, those in one.needed.items()}
        day = date.fromordinal(one.day)
        rows |= carried_on(rows, needed, day=day, offered=one.offered)

    found = NeededSince(rows.items())
    for place in PLACES:
        since, ever = found.among(place, BitMap(some))
        assert (since and since.toordinal(), set(ever)) == plainly.among(place, some)


def test_of_updates_that_would_take_too_much_room_the_log_says_that_no_more_is_kept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(history_since, "MOST_BYTES", 200)
    some = {place: BitMap(range(1, 100, 2)).serialize() for place in (0, 3, BLOCK)}

    kept = carried_on({}, some, day=date.fromordinal(FIRST), offered=some)

    assert list(kept) == [1]
    assert "of 2 updates" in caplog.text
