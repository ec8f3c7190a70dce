"""Only what the catalog and the envelope's fragments both name may be installed (S01)."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from patchtide.domain.sequencer.consent import (
    Assigned,
    Candidate,
    Deny,
    Grant,
    Listed,
    Origin,
    Reason,
    may_install,
)

NOW = 1000.0
FILES = frozenset({(bytes(32), 10)})
OTHER = frozenset({(bytes([1] * 32), 10)})
LONGER = frozenset({(bytes(32), 11)})
FEED = Listed(number=1, revision=3, files=FILES, origin=Origin.FEED, signed_by="feeds")
OWN = replace(FEED, origin=Origin.PUBLISHER, signed_by="publisher")
ORDER = Assigned(number=1, revision=3, files=FILES, valid_until=2000.0)
ASKED = Candidate(number=1, revision=3, files=FILES, vendor_verified=True)


def decide(
    asked: Candidate | None = ASKED, listed: Listed | None = FEED, order: Assigned | None = ORDER
) -> Grant | Deny:
    return may_install(
        [asked] if asked else [],
        catalog={1: listed} if listed else {},
        assigned={1: order} if order else {},
        now=NOW,
    )


def test_what_both_name_is_granted_file_by_file() -> None:
    assert decide() == Grant(FILES)
    assert decide(replace(ASKED, vendor_verified=False), OWN) == Grant(FILES)


@pytest.mark.parametrize(
    ("decision", "reasons"),
    [
        (decide(None), [Reason.NOTHING]),
        (decide(listed=None), [Reason.NOT_IN_CATALOG]),
        (decide(order=None), [Reason.NOT_ASSIGNED]),
        (decide(listed=replace(FEED, revision=4)), [Reason.OTHER_REVISION]),
        (decide(order=replace(ORDER, revision=2)), [Reason.OTHER_REVISION]),
        (decide(listed=replace(FEED, files=OTHER)), [Reason.NOT_AS_LISTED]),
        (decide(listed=replace(FEED, files=LONGER)), [Reason.NOT_AS_LISTED]),
        (decide(order=replace(ORDER, files=OTHER)), [Reason.NOT_AS_ASSIGNED]),
        (decide(replace(ASKED, files=frozenset())), [Reason.NOT_AS_LISTED]),
        (decide(replace(ASKED, vendor_verified=False)), [Reason.NOT_BY_VENDOR]),
        (decide(listed=replace(OWN, signed_by="feeds")), [Reason.WRONG_ROLE]),
        (decide(listed=replace(OWN, origin=Origin.AGENT)), [Reason.WRONG_ROLE]),
        (decide(listed=replace(OWN, is_understood=False)), [Reason.NOT_UNDERSTOOD]),
        (decide(order=replace(ORDER, stopped=True)), [Reason.STOPPED]),
        (decide(order=replace(ORDER, not_before=NOW + 1)), [Reason.TOO_EARLY]),
        (decide(order=replace(ORDER, valid_until=NOW)), [Reason.EXPIRED]),
        (decide(listed=None, order=None), [Reason.NOT_IN_CATALOG, Reason.NOT_ASSIGNED]),
    ],
)
def test_every_difference_denies_with_its_reason(
    decision: Grant | Deny, reasons: list[Reason]
) -> None:
    assert isinstance(decision, Deny)
    assert [reason for _, reason in decision.reasons] == reasons


digests = st.sampled_from([bytes([i] * 32) for i in range(4)])
files = st.frozensets(st.tuples(digests, st.integers(1, 3)), min_size=0, max_size=4)


@given(asked=files, listed=files, ordered=files)
def test_whatever_is_granted_stands_in_catalog_and_assignment(
    asked: frozenset[tuple[bytes, int]],
    listed: frozenset[tuple[bytes, int]],
    ordered: frozenset[tuple[bytes, int]],
) -> None:
    decision = decide(
        replace(ASKED, files=asked), replace(FEED, files=listed), replace(ORDER, files=ordered)
    )

    if isinstance(decision, Grant):
        assert decision.files == asked
        assert decision.files <= listed & ordered


def test_one_denied_update_denies_the_whole_plan() -> None:
    second = replace(ASKED, number=2)

    decision = may_install([ASKED, second], catalog={1: FEED}, assigned={1: ORDER}, now=NOW)

    assert isinstance(decision, Deny)
    assert {number for number, _ in decision.reasons} == {2}
