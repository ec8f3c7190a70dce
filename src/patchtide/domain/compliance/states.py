"""What one machine's row says of an update. Whatever it does not say for sure is unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from msgspec import Struct
from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.updates import UpdateNumber

NONE = BitMap()
"""No leaf: one for all who name none, since most machines do. Nobody changes it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedLeaf:
    """A leaf where it is published: its revision entered the shard at that serial."""

    number: UpdateNumber
    shard: str
    entered: int


@dataclass(frozen=True, slots=True, kw_only=True)
class States:
    """One machine's sets of leaves, disjoint, and per shard the serial that it last evaluated."""

    required: BitMap = field(default_factory=BitMap)
    installed: BitMap = field(default_factory=BitMap)
    unknown: BitMap = field(default_factory=BitMap)
    shards: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        # No honest machine says two things of one leaf; of one that does, the worse counts.
        if not self.unknown.isdisjoint(self.required):
            object.__setattr__(self, "unknown", self.unknown - self.required)
        if not (
            self.installed.isdisjoint(self.required) and self.installed.isdisjoint(self.unknown)
        ):
            object.__setattr__(self, "installed", self.installed - self.required - self.unknown)

    def is_within(self, leaves: BitMap) -> bool:
        """Say whether nothing else is named than these leaves."""
        return (
            self.required.issubset(leaves)
            and self.installed.issubset(leaves)
            and self.unknown.issubset(leaves)
        )

    def is_apart(self, leaves: BitMap) -> bool:
        """Say whether none of these leaves is named."""
        return (
            self.required.isdisjoint(leaves)
            and self.installed.isdisjoint(leaves)
            and self.unknown.isdisjoint(leaves)
        )


class Tally(Struct, frozen=True, kw_only=True, gc=False):
    """How many machines, or updates, are in which state."""

    required: int = 0
    installed: int = 0
    not_required: int = 0
    unknown: int = 0


def state_of_leaf(states: States, leaf: PlacedLeaf) -> LeafState:
    serial = states.shards.get(leaf.shard)
    if serial is None:
        # The machine follows no shard that holds it: it is for another platform.
        return LeafState.NOT_REQUIRED
    if serial < leaf.entered:
        return LeafState.UNKNOWN
    if leaf.number in states.required:
        return LeafState.REQUIRED
    if leaf.number in states.installed:
        return LeafState.INSTALLED
    return LeafState.UNKNOWN if leaf.number in states.unknown else LeafState.NOT_REQUIRED


def state_of(states: States, leaves: Sequence[PlacedLeaf]) -> LeafState:
    """Return where a machine whose row is believed stands on an update with these leaves.

    One required leaf makes the update required. Installed it is only when no leaf is in doubt.
    """
    if len(leaves) == 1:
        return state_of_leaf(states, leaves[0])
    found = {state_of_leaf(states, leaf) for leaf in leaves}
    for state in (LeafState.REQUIRED, LeafState.UNKNOWN, LeafState.INSTALLED):
        if state in found:
            return state
    return LeafState.NOT_REQUIRED
