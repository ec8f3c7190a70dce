"""F37, F38: a whole fleet comes back after an outage, or after power does; nobody drowns.

The laws hold by ratios, so a smaller fleet before a slower server shows the same as 100,000
before the 400 check-ins a second, handshake and all, that a busy two-core machine answers.
"""

from __future__ import annotations

from hashlib import sha256

import pytest

from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.brain import advance
from patchtide.domain.sequencer.states import Brain, Idle
from patchtide.entry.agent import doorbell
from tests.simulator.herd import BEGAN, Herd, chance_of_uniform, settled

SIZE = 10_000
FEWER = 4_000
CAPACITY_PER_S = 400 / 100_000
"""Of a machine that there is."""
HOUR_S = 3600.0
ALL_IN_S = 15 * 60


@pytest.mark.parametrize("poll_s", [900, 3600])
def test_after_an_hours_outage_all_are_back_in_a_quarter_without_a_crowd(poll_s: int) -> None:
    capacity = CAPACITY_PER_S * FEWER
    herd = Herd(size=FEWER, poll_s=poll_s, capacity_per_s=capacity, down=(BEGAN, BEGAN + HOUR_S))

    herd.run(until=BEGAN + HOUR_S + ALL_IN_S + 60)

    assert herd.all_in_s <= ALL_IN_S
    assert herd.peak_per_s() <= 1.5 * capacity
    assert herd.p99_s < 2
    assert sum(herd.asked.values()) == len(herd.took)


def test_who_all_come_at_once_are_taken_in_one_after_the_other_and_ask_twice_at_most() -> None:
    capacity = CAPACITY_PER_S * SIZE
    herd = Herd(size=SIZE, poll_s=3600, capacity_per_s=capacity, believed_per_s=1.25 * capacity)
    herd.all_at_once()

    herd.run(until=BEGAN + ALL_IN_S)

    assert herd.all_in_s <= ALL_IN_S
    assert herd.peak_per_s(after_s=10) <= 1.5 * capacity
    assert herd.p99_s < 2
    assert sum(herd.asked.values()) <= 2.2 * SIZE
    assert max(herd.asked.values()) <= 5


def test_when_power_comes_back_machines_come_evenly_over_their_period() -> None:
    on = BEGAN + 7200
    places = []
    for number in range(SIZE):
        state = settled(number, poll_s=3600, now=BEGAN)
        _, _, wake_up = advance(Brain(state.memory, Idle()), ev.Started("2"), on)
        places.append((wake_up - on) / 3600)

    assert 0 <= min(places) <= max(places) <= 1
    assert chance_of_uniform(places) > 0.01


def test_when_power_comes_back_event_lines_are_asked_for_evenly_over_minutes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    drawn = iter(range(SIZE))
    monkeypatch.setattr(
        doorbell.os, "urandom", lambda n: sha256(f"die {next(drawn)}".encode()).digest()[:n]
    )

    places = [doorbell.first_pause_s(up_s=40) / doorbell.BOOT_SPREAD_S for _ in range(SIZE)]

    assert chance_of_uniform(places) > 0.01


def test_chi_square_sees_machines_that_come_together() -> None:
    even = [n / SIZE for n in range(SIZE)]

    assert chance_of_uniform(even) > 0.99
    assert chance_of_uniform([place**1.2 for place in even]) < 0.01
