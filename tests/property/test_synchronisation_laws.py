"""What a synchronisation does to a shard, and what it leaves alone."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.catalog.details import Classification, Severity, UpdateDetails
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Always, And, Architecture
from patchtide.domain.catalog.synchronisation import (
    FIRST,
    UNNUMBERED,
    ShardChanges,
    changes,
    details_to_keep,
    identity,
    learnt,
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


def details(text: str, cves: tuple[str, ...] | None, severity: Severity) -> UpdateDetails:
    """As a feed tells of it: one that does not know the CVEs does not know how bad it is."""
    known = cves is not None
    return UpdateDetails(
        update=update_id("apt", "toy"), vendor_id="toy", title=text, feed="toys", vendor="Toys",
        product="Toy 1", classification=Classification.SECURITY, cves=cves,
        severity=severity if known else Severity.NONE, description="known" if known else "",
    )  # fmt: skip


tellings = st.builds(
    details,
    st.sampled_from(["first", "second"]),
    st.sampled_from([None, (), ("CVE-2026-1",)]),
    st.sampled_from([Severity.LOW, Severity.CRITICAL]),
)


def told(held: UpdateDetails | None, offered: UpdateDetails) -> UpdateDetails:
    """Return what is stored after a synchronisation."""
    by_id = {} if held is None else {held.update: held}
    [kept] = details_to_keep(by_id, [offered]) or [held]
    assert kept is not None
    return kept


@given(st.lists(tellings, min_size=1))
def test_the_newest_telling_holds_and_each_that_differs_is_a_revision(
    offers: list[UpdateDetails],
) -> None:
    held: UpdateDetails | None = None
    for offered in offers:
        after = told(held, offered)
        assert after.title == offered.title
        assert offered.cves is None or after == replace(offered, revision=after.revision)
        if held is not None:
            has_changed = replace(after, revision=held.revision) != held
            assert after.revision == held.revision + has_changed
        held = after


@given(tellings, tellings)
def test_what_was_learnt_outlives_a_feed_that_does_not_know_it(
    first: UpdateDetails, second: UpdateDetails
) -> None:
    held = learnt(replace(first, revision=3), replace(first, cves=("CVE-2026-9",)))

    after = told(held, second)

    assert after.cves == (("CVE-2026-9",) if second.cves is None else second.cves)
    assert held.revision == 3


@given(tellings)
def test_an_update_that_is_named_again_has_not_expired_and_is_no_new_revision(
    offered: UpdateDetails,
) -> None:
    held = replace(offered, revision=2, expired_at=datetime(2026, 3, 2, tzinfo=UTC))

    assert told(held, offered) == replace(offered, revision=2)


def test_an_advisory_that_comes_after_the_changelog_was_read_adds_to_what_was_learnt() -> None:
    plain = replace(details("toy", None, Severity.NONE), description="A toy.")
    changelog = replace(
        plain, cves=("CVE-2026-2",), severity=Severity.LOW, description="A toy.\n\n* Mended.",
        released=datetime(2026, 3, 2, tzinfo=UTC),
    )  # fmt: skip
    held = learnt(told(None, plain), changelog)
    advised = replace(
        plain, cves=("CVE-2026-1",), severity=Severity.CRITICAL, advisories=("TSA-1",),
        description="A toy.\n\nA hole in it.",
    )  # fmt: skip

    after = told(held, advised)

    assert after.revision == held.revision + 1 and after.advisories == ("TSA-1",)
    assert after.cves == ("CVE-2026-1", "CVE-2026-2") and after.severity is Severity.LOW
    assert after.description == "A toy.\n\n* Mended.\n\nA hole in it."
    assert told(after, advised) == after
