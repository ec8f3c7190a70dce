"""Whatever is counted of which collections, a pair has its own counts and no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.compliance.history import UpdateCount
from patchtide.server.history_pairs import PARTS, Pair, pack_pairs, pair_count, part_of

COLLECTIONS = [UUID(int=n) for n in (1, 2, 1 + PARTS, 1 + 2 * PARTS, 7)]
SETS = ["all", "list 1772439871.246913", "list 1772439871.5", "search all", "search ü"]
pairs = st.builds(Pair, st.sampled_from(COLLECTIONS), st.sampled_from(SETS))
numbers = st.integers(0, 2**32 - 1)
counts = st.builds(
    UpdateCount,
    required=numbers,
    installed=numbers,
    restart=numbers,
    behind=numbers,
    unjudged=numbers,
)


@given(st.lists(st.dictionaries(pairs, counts), max_size=4))
def test_a_pair_has_what_was_counted_of_it_on_that_day_or_nothing(
    days: Sequence[Mapping[Pair, UpdateCount]],
) -> None:
    for counted in days:
        rows = pack_pairs(counted)

        assert rows.keys() == {part_of(pair.collection) for pair in counted}
        for pair in (Pair(one, of) for one in COLLECTIONS for of in SETS):
            document = rows.get(part_of(pair.collection))
            found = UpdateCount() if document is None else pair_count(document, pair)
            assert found == counted.get(pair, UpdateCount())
