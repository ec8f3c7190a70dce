"""What is packed is read back, and one count without the others."""

from __future__ import annotations

from datetime import date

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.compliance.history import UpdateCount
from patchtide.server.history_progress import Progress, progressed
from patchtide.server.history_rows import BLOCK, UpdateColumns, count_at, pack_blocks

count = st.integers(0, 2**32 - 1)
update = st.builds(
    UpdateCount, required=count, installed=count, restart=count, behind=count, unjudged=count
)


@given(st.dictionaries(st.integers(0, 2 * BLOCK + 5), update, max_size=8))
def test_every_count_is_found_at_its_place(told: dict[int, UpdateCount]) -> None:
    columns = UpdateColumns.of_length(2 * BLOCK + 6)
    for place, one in told.items():
        columns.put(place, one)

    blocks = pack_blocks(columns)

    assert {place: count_at(blocks[place // BLOCK], place) for place in told} == told
    assert count_at(blocks[2], 2 * BLOCK + 6) == UpdateCount()  # not known on that day


def test_progress_is_carried_on_over_days_and_new_updates() -> None:
    first, second, third = (date(2026, 1, day) for day in (1, 2, 5))
    old = UpdateColumns.of_length(2)
    old.put(0, UpdateCount(required=8, installed=90))
    old.put(1, UpdateCount(installed=3))
    before = Progress.read(progressed(None, old, day=first).packed())
    new = UpdateColumns.of_length(3)
    new.put(0, UpdateCount(required=3, installed=95, restart=1))
    new.put(1, UpdateCount(required=1, installed=3))
    new.put(2, UpdateCount(required=1, installed=1))

    middle = progressed(before, new, day=second)
    after = progressed(middle, new, day=third)

    found = [after.at(place) for place in range(3)]
    assert [one.since if one else None for one in found] == [first, second, second]
    assert [one.base if one else None for one in found] == [90, 3, 0]
    assert [one.days_to(50) if one else None for one in found] == [1, None, 0]
    assert Progress.of_length(1).at(5) is None
