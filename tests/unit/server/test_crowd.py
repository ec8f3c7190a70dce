"""The crowd before a node: few wait inside, each other one has a time of his own."""

from __future__ import annotations

import pytest

from patchtide.server.crowd import ALL_WITHIN_S, FEWEST, SHARE, Crowd

RATE = 100.0


def a_full_one() -> Crowd:
    crowd = Crowd(capacity_per_s=RATE)
    while crowd.enter(0.0, b"first") is None:
        pass
    return crowd


def machine(number: int) -> bytes:
    return number.to_bytes(16)


def test_as_many_are_let_in_as_can_be_answered_within_a_second() -> None:
    crowd = Crowd(capacity_per_s=RATE)

    assert sum(crowd.enter(0.0, b"first") is None for _ in range(1000)) == RATE


def test_a_slow_one_still_lets_some_in() -> None:
    crowd = Crowd(capacity_per_s=1)

    assert sum(crowd.enter(0.0, None) is None for _ in range(1000)) == FEWEST


def test_those_beyond_come_back_one_after_the_other_as_fast_as_they_can_be_answered() -> None:
    crowd = a_full_one()

    times = [crowd.enter(0.0, machine(n)) or 0.0 for n in range(500)]

    assert times == sorted(times)
    assert times[0] >= 1
    assert times[-1] - times[0] == pytest.approx(499 / (SHARE * RATE))


def test_nobody_is_sent_away_for_longer_than_a_quarter_of_an_hour_allows() -> None:
    crowd = a_full_one()

    assert max(crowd.enter(0.0, machine(n)) or 0.0 for n in range(100_000)) <= ALL_WITHIN_S


def test_how_fast_it_is_it_learns_while_it_has_enough_to_do() -> None:
    crowd = a_full_one()

    for number in range(2000):
        crowd.leave(number / 400)
        crowd.enter(number / 400, None)

    assert crowd.capacity_per_s == pytest.approx(400, rel=0.1)


def test_having_little_to_do_says_nothing() -> None:
    crowd = Crowd(capacity_per_s=RATE)

    for second in range(100):
        crowd.enter(second, None)
        crowd.leave(second + 0.01)

    assert crowd.capacity_per_s == RATE


def test_a_machine_has_one_time_however_often_somebody_asks_in_its_name() -> None:
    crowd = a_full_one()
    own = crowd.enter(0.0, machine(1))

    again = {crowd.enter(0.0, machine(1)) for _ in range(1000)}

    assert again == {own}
    assert (crowd.enter(0.0, machine(2)) or 0.0) - (own or 0.0) < 1


def test_strangers_put_nobody_off_and_come_after_those_who_have_a_time() -> None:
    crowd, alone = a_full_one(), a_full_one()
    last = max(crowd.enter(0.0, machine(n)) or 0.0 for n in range(100))
    assert last == max(alone.enter(0.0, machine(n)) or 0.0 for n in range(100))

    strangers = [crowd.enter(0.0, None) or 0.0 for _ in range(1000)]

    assert min(strangers) >= last
    assert crowd.enter(0.0, machine(100)) == alone.enter(0.0, machine(100))


def test_where_most_is_refused_unverified_it_is_believed_neither_fast_nor_slow() -> None:
    crowd = a_full_one()

    for number in range(2000):
        crowd.leave(number / 1000, counts=number % 20 == 0)
        crowd.enter(number / 1000, None)

    assert crowd.capacity_per_s == RATE
