"""Bundles: updates that are made of others, and stand for them wherever people look."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

K = TypeVar("K", bound=Hashable)


def parts_of(members: Mapping[K, Collection[K]]) -> Mapping[K, frozenset[K]]:
    """Return of every bundle all that it is made of, also through others, without itself.

    `members` has every update that is known; a member that is none of them is left out.
    """
    return {bundle: _parts(bundle, members) for bundle, some in members.items() if some}


def within(parts: Mapping[K, frozenset[K]]) -> frozenset[K]:
    """Return what shows only as a part of a bundle: two that contain each other both show."""
    return frozenset(
        part
        for bundle, some in parts.items()
        for part in some
        if bundle not in parts.get(part, frozenset())
    )


def _parts(bundle: K, members: Mapping[K, Collection[K]]) -> frozenset[K]:
    found: set[K] = set()
    wave = set(members[bundle])
    while wave:
        wave = (wave & members.keys()) - found
        found |= wave
        wave = {part for one in wave for part in members[one]}
    return frozenset(found - {bundle})
