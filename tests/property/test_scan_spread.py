"""Scans that machines make by themselves are spread over two hours; others are made at once."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from patchtide.domain.schedules.scanning import (
    LONGEST_SCAN_S,
    SCAN_EVERY_S,
    SHORTEST_SCAN_S,
    says_so_after_s,
    stale_after,
)
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.brain import advance
from patchtide.domain.sequencer.pacing import SCAN_SPREAD_S, next_scan
from patchtide.domain.sequencer.states import Pace, newborn

seeds = st.binary(min_size=16, max_size=16)
instants = st.floats(1.7e9, 2e9)


@given(seeds, st.integers(3600, 30 * 86_400), instants)
def test_the_next_scan_is_at_the_earliest_after_the_interval_and_two_hours_later_at_most(
    seed: bytes, every_s: int, now: float
) -> None:
    assert every_s <= next_scan(seed, every_s=every_s, now=now) - now < every_s + SCAN_SPREAD_S


@given(st.integers(1, 1000), instants)
def test_a_fleet_that_scanned_together_has_a_share_in_every_quarter_of_the_spread(
    first: int, now: float
) -> None:
    seeds = [n.to_bytes(16) for n in range(first, first + 400)]
    late = [next_scan(s, every_s=86_400, now=now) - now - 86_400 for s in seeds]

    quarters = [int(4 * s / SCAN_SPREAD_S) for s in late]

    assert min(map(quarters.count, range(4))) > 50


@given(seeds, instants)
def test_what_somebody_asks_for_is_done_in_the_step_in_which_it_is_heard_of(
    seed: bytes, now: float
) -> None:
    state, _, _ = advance(newborn(seed), ev.Started("b"), now)
    told = (
        ev.Woken(), ev.CheckedIn(), ev.Refreshed(), ev.Scanned(needed=(), changed=True),
        ev.Acknowledged(), ev.Rung(), ev.CheckedIn(scan=5), ev.Refreshed(),
    )  # fmt: skip
    for event in told:
        state, commands, _ = advance(state, event, now)

    assert commands == (ev.Scan(frozenset()),)
    assert state.memory.scan_at >= now + SCAN_EVERY_S


@settings(max_examples=50)
@given(seeds, st.integers(SHORTEST_SCAN_S, LONGEST_SCAN_S), instants)
def test_a_machine_that_scans_as_told_and_finds_nothing_new_is_never_in_doubt(
    seed: bytes, every_s: int, now: float
) -> None:
    state, _, _ = advance(newborn(seed), ev.Started("b", Pace(scan_every_s=every_s)), now)
    reported = [now]
    while now < reported[0] + 4 * stale_after(every_s).total_seconds():
        # It comes to scan an hour late each time.
        now = max(now, state.memory.scan_at, state.memory.poll_at) + 3600
        for event in (ev.Woken(), ev.CheckedIn(), ev.Refreshed()):
            state, _, _ = advance(state, event, now)
        state, commands, _ = advance(state, ev.Scanned(needed=(), changed=False), now)
        if commands:
            state, _, _ = advance(state, ev.Acknowledged(), now)
            reported.append(now)

    gaps = [later - before for before, later in pairwise(reported)]

    assert max(gaps) < stale_after(every_s).total_seconds()
    assert min(gaps[1:]) >= says_so_after_s(every_s)
