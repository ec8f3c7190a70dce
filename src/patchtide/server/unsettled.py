"""Machines that reported, where counts of updates do not speak of it yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from pyroaring import BitMap

from patchtide.server.member import Member
from patchtide.server.ports.following import Cursor

Move = tuple[Member, Member]
"""A machine as counts have it, and as it is now."""


@dataclass(slots=True)
class Unsettled:
    machines: BitMap = field(default_factory=BitMap)
    before: dict[int, Member] = field(default_factory=dict)
    """Those that were gathered, as counts have them."""
    believed: BitMap = field(default_factory=BitMap)
    """Of these, those whose word was believed then."""
    laying: Iterator[None] | None = None
    """Has counts speak of what was gathered earlier, part by part."""
    laid: Mapping[int, Member] = field(default_factory=dict)
    """Of whom they will speak by that, as counts still have them."""
    as_of: datetime | None = None
    """Up to when counts speak of what was reported, if not of all of it."""
    reached: Cursor | None = None
    """The same in the log of reports."""
    stale: list[UUID] = field(default_factory=list)
    """Updates that are to be counted anew after that."""

    is_torn: bool = False
    """Something failed half-way."""

    @property
    def is_nothing(self) -> bool:
        return self.is_laid and not self.stale

    @property
    def earlier(self) -> Mapping[int, Member]:
        """Return whoever reported, as counts have them."""
        return {**self.before, **self.laid}

    def earlier_of(self, machine: int) -> Member | None:
        """Return one who reported, as counts have it; None: it did not."""
        return self.laid.get(machine) or self.before.get(machine)

    @property
    def is_laid(self) -> bool:
        """Say whether what is held by leaf speaks of all machines."""
        return self.laying is None and not self.before

    def gather(
        self,
        moves: Sequence[Move],
        *,
        was_believed: BitMap,
        now: datetime,
        reached: Cursor | None,
    ) -> None:
        if self.is_laid:
            self.as_of, self.reached = now, reached
        new = [before for before, _ in moves if before.number not in self.before]
        self.before.update((before.number, before) for before in new)
        numbers = BitMap([before.number for before in new])
        self.believed |= was_believed & numbers
        self.machines |= numbers

    def taken(self) -> tuple[Sequence[Member], BitMap]:
        """Hand over those that were gathered, and who of them was believed."""
        self.laid, believed = self.before, self.believed
        self.before, self.believed = {}, BitMap()
        return list(self.laid.values()), believed
