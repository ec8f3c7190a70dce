"""What a synchronisation does to a shard, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Always, And, Architecture
from patchtide.domain.catalog.synchronisation import (
    FIRST,
    UNNUMBERED,
    ShardChanges,
    changes,
    identity,
)
from patchtide.domain.catalog.updates import Origin, UpdateNumber, update_id

Shard = dict[int, Leaf]


def a_leaf(update: int, architecture: str, title: str) -> Leaf:
    return Leaf(
        number=UNNUMBERED, revision=FIRST, update=update_id("apt", str(update)), title=title,
        prerequisite=And((Always(), Architecture((architecture,)))), applicable=Always(),
        installed=Always(), origin=Origin("feed:toys"),
    )  # fmt: skip


offers = st.lists(
    st.builds(
        a_leaf,
        st.integers(0, 5),
        st.sampled_from(["amd64", "arm64"]),
        st.sampled_from(["first", "second"]),
    ),
    unique_by=identity,
)


def published(shard: Shard, made: ShardChanges, *, next_number: int) -> Shard:
    """Do what the publisher does."""
    after = {number: leaf for number, leaf in shard.items() if number not in made.drops}
    for leaf in made.upserts:
        if leaf.number == UNNUMBERED:
            leaf = replace(leaf, number=UpdateNumber(next_number))
            next_number += 1
        after[leaf.number] = leaf
    return after


def content(leaves: object) -> list[Leaf]:
    bare = (replace(x, number=UNNUMBERED, revision=FIRST) for x in leaves)  # type: ignore[attr-defined]
    return sorted(bare, key=repr)


def after(first: list[Leaf], second: list[Leaf]) -> tuple[Shard, Shard]:
    before = published({}, changes([], first), next_number=1)
    return before, published(before, changes(before.values(), second), next_number=100)


@given(offers, offers)
def test_a_shard_becomes_what_the_feed_offers(first: list[Leaf], second: list[Leaf]) -> None:
    _, shard = after(first, second)

    assert content(shard.values()) == content(second)


@given(offers, offers)
def test_the_same_input_twice_changes_nothing(first: list[Leaf], second: list[Leaf]) -> None:
    _, shard = after(first, second)

    assert not changes(shard.values(), reversed(second))


@given(offers, offers)
def test_what_stays_keeps_its_number_and_its_revision_never_falls(
    first: list[Leaf], second: list[Leaf]
) -> None:
    before, shard = after(first, second)
    was = {identity(leaf): leaf for leaf in before.values()}

    for leaf in shard.values():
        held = was.get(identity(leaf), leaf)
        assert leaf.number == held.number
        assert (leaf.revision > held.revision) == (content([leaf]) != content([held]))


@given(offers)
def test_of_twins_the_first_stays(first: list[Leaf]) -> None:
    before = published({}, changes([], first), next_number=1)
    twins = {n + 50: replace(leaf, number=UpdateNumber(n + 50)) for n, leaf in before.items()}

    made = changes([*twins.values(), *before.values()], first)

    assert published({**twins, **before}, made, next_number=100) == before


@given(offers, offers)
def test_a_synchronisation_for_new_ones_touches_nothing_that_is_there(
    first: list[Leaf], second: list[Leaf]
) -> None:
    before, _ = after(first, second)

    made = changes(before.values(), second, only_new=True)

    assert not made.drops and all(leaf.number == UNNUMBERED for leaf in made.upserts)
