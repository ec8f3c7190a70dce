"""Identity of updates, and who vouches for a leaf's content."""

from __future__ import annotations

from uuid import UUID

import pytest

from patchtide.domain.catalog.rules import (
    MAX_DEPTH,
    Always,
    And,
    Comparison,
    Not,
    Or,
    PackageFormat,
    PackageInstalled,
    Rule,
)
from patchtide.domain.catalog.updates import Origin, Verification, update_id


def test_an_update_has_the_same_id_at_every_site_for_ever() -> None:
    assert update_id("apt", "DSA-5000-1") == UUID("3c28dbfc-abad-8eae-9549-96ad363bd510")
    assert update_id("apt", "DSA-5000-1").version == 8


def test_kind_and_vendors_id_cannot_run_together() -> None:
    assert update_id("apt", "a") != update_id("ap", "ta") != update_id("apt", "A")


@pytest.mark.parametrize(
    ("text", "verification"),
    [
        ("feed:debian-security", Verification.VENDOR_SIGNATURE),
        ("publisher", Verification.PUBLISHER_ROLE),
        ("agent", Verification.AGENT_ROLE),
        ("feed:", Verification.REFUSE),
        ("feed:../x", Verification.REFUSE),
        ("publisher:", Verification.REFUSE),
        ("added-in-v9", Verification.REFUSE),
        ("", Verification.REFUSE),
    ],
)
def test_content_of_an_origin_that_is_not_known_is_refused(
    text: str, verification: Verification
) -> None:
    assert Origin(text).verification is verification


def test_a_rule_cannot_be_built_too_deep() -> None:
    rule: Rule = Always()
    for _ in range(MAX_DEPTH - 1):
        rule = Not(rule)

    assert rule.depth == MAX_DEPTH
    for build in (Not, lambda member: And((Always(), member)), lambda member: Or((member,))):
        with pytest.raises(ValueError, match="deep"):
            build(rule)


def test_a_rule_that_says_nothing_cannot_be_built() -> None:
    for build in (And, Or):
        with pytest.raises(ValueError, match="at least one"):
            build(())
    with pytest.raises(ValueError, match="together"):
        PackageInstalled(PackageFormat.DEB, "openssl", Comparison.LESS)
    with pytest.raises(ValueError, match="together"):
        PackageInstalled(PackageFormat.DEB, "openssl", None, "1.0")
