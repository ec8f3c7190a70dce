"""Laws of who was heard of late: kept as time goes by, it is what counting all of them says."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from pyroaring import BitMap

from patchtide.server.heard_lately import HeardLately

MACHINES = st.integers(0, 5)
TIMES = st.integers(1, 12).map(float)
HEARD = st.tuples(st.just("heard"), MACHINES)
OTHERWISE = st.tuples(st.just("otherwise"), MACHINES, TIMES)
ASKED = st.tuples(st.just("asked"), st.integers(-3, 8), TIMES)


@given(st.lists(HEARD | OTHERWISE | ASKED, max_size=60))
@example([("heard", 0), ("asked", -2, 1.0), ("heard", 0), ("asked", 5, 1.0)])  # heard sooner again
def test_it_is_what_looking_at_every_machine_says(story: list[tuple[str, int, float]]) -> None:
    lately, heard_at, own = HeardLately(), dict[int, float](), dict[int, float]()
    moment, usual = 100.0, 5.0

    for step, number, *times in story:
        if step == "heard":
            lately.heard({number: moment}, before=heard_at)
            heard_at[number] = moment
        elif step == "otherwise":
            own[number] = times[0]
            lately.judge_otherwise(BitMap([number]))
        else:
            moment += number  # clocks are put back, too
            usual = times[0] if number % 4 == 3 else usual
            lately = lately.copied() if number % 4 == 2 else lately
            found = lately.at(
                moment,
                heard_at,
                usual_s=usual,
                silent_after_s=lambda n, usual=usual: own.get(n, usual),  # type: ignore[misc]
            )
            plain = [n for n, at in heard_at.items() if at + own.get(n, usual) > moment]
            assert found == BitMap(plain)
