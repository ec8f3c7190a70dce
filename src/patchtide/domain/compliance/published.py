"""What a catalog publishes, and how much of a machine's word it bears out.

A machine names its leaves by numbers and its shards by names, and may name whatever it likes. Only
what is published is kept, so nobody fills the memory with numbers that stand for nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field

from pyroaring import BitMap

from patchtide.domain.compliance.states import PlacedLeaf, States

NOT_EVALUATED = 0
"""A serial below that of every leaf: the machine follows the shard, and all of it is unknown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Published:
    lineage: bytes = b""
    serials: Mapping[str, int] = field(default_factory=dict)
    numbers: BitMap = field(default_factory=BitMap)

    @classmethod
    def of(
        cls, lineage: bytes, serials: Mapping[str, int], updates: Iterable[Collection[PlacedLeaf]]
    ) -> Published:
        numbers = BitMap(leaf.number for leaves in updates for leaf in leaves)
        return cls(lineage=lineage, serials=dict(serials), numbers=numbers)

    def is_ahead(self, states: States) -> bool:
        """Say whether the machine names a serial that is still to come here."""
        known = self.serials
        return any(name in known and n > known[name] for name, n in states.shards.items())

    def borne_out(self, states: States, *, lineage: bytes) -> States:
        """Return what of these states speaks of what is published.

        | the machine names                  | kept of it             |
        | ---------------------------------- | ---------------------- |
        | leaves that are not published      | nothing                |
        | a shard that is not published      | nothing                |
        | a serial that is not published yet | that it follows the shard |
        | the numbers of another lineage     | which shards it follows   |
        """
        shards: Mapping[str, int] = {
            name: serial if serial <= self.serials[name] else NOT_EVALUATED
            for name, serial in states.shards.items()
            if name in self.serials
        }
        if shards == states.shards:
            shards = states.shards
        if lineage != self.lineage:
            return States(shards=shards)
        if shards is states.shards and states.is_within(self.numbers):
            return states
        return States(
            required=states.required & self.numbers,
            installed=states.installed & self.numbers,
            unknown=states.unknown & self.numbers,
            shards=shards,
        )
