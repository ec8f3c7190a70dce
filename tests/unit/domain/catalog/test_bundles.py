"""What a bundle is made of, and what shows only within one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from patchtide.domain.catalog.bundles import parts_of, within

BUNDLES: Mapping[str, tuple[Mapping[str, Sequence[str]], Mapping[str, str], str]] = {
    "a bundle of two": ({"a": "bc", "b": "", "c": "", "d": ""}, {"a": "bc"}, "bc"),
    "a bundle within a bundle": ({"a": "b", "b": "c", "c": ""}, {"a": "bc", "b": "c"}, "bc"),
    "a part of two": ({"a": "c", "b": "c", "c": ""}, {"a": "c", "b": "c"}, "c"),
    "a member that nobody knows": ({"a": "bx", "b": ""}, {"a": "b"}, "b"),
    "two that contain each other": ({"a": "b", "b": "a"}, {"a": "b", "b": "a"}, ""),
    "one that contains itself": ({"a": "ab", "b": ""}, {"a": "b"}, "b"),
}


@pytest.mark.parametrize(("members", "parts", "hidden"), BUNDLES.values(), ids=BUNDLES)
def test_a_bundle_is_made_of(
    members: Mapping[str, Sequence[str]], parts: Mapping[str, str], hidden: str
) -> None:
    found = parts_of(members)

    assert found == {bundle: frozenset(some) for bundle, some in parts.items()}
    assert within(found) == frozenset(hidden)
