"""The freezes that machines are told of, so that each keeps to its own while no server is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import msgspec

from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.schedules.windows import Clock, Freeze, wall_time
from patchtide.server.ports.calendar import Entry
from patchtide.wire.agent_settings import FreezeV1

MOST = 400
"""So many a machine is told of at once: first those of all machines, then what begins first. Of the
others it is told when some are over."""
Freezes = tuple[FreezeV1, ...]


class _Said(msgspec.Struct, frozen=True):
    """As `calendar_book` keeps one, which itself knows of whoever asks here."""

    begins: str
    ends: str
    clock: Clock = Clock.MACHINE

    def is_over(self, now: datetime) -> bool:
        begins, ends = wall_time(self.begins), wall_time(self.ends)
        return Freeze(begins=begins, ends=ends, reason="").is_over(now)


_said = msgspec.json.Decoder(_Said)


@dataclass(frozen=True, slots=True)
class KeptFreezes:
    """All that are kept."""

    of_all: Freezes = ()
    of: Mapping[UUID, Freezes] = field(default_factory=dict)
    """By collection."""


def kept_freezes(entries: Iterable[Entry], now: datetime) -> KeptFreezes:
    """Return those that are not over."""
    found: dict[UUID, list[FreezeV1]] = {}
    for entry in entries:
        said = _said.decode(entry.said)
        if said.is_over(now):
            continue
        one = FreezeV1(begins=said.begins, ends=said.ends, is_utc=said.clock is Clock.UTC)
        found.setdefault(entry.collection or ALL_MACHINES, []).append(one)
    of = {key: together(found[key]) for key in sorted(found)}
    return KeptFreezes(of.pop(ALL_MACHINES, ()), of)


def together(freezes: Iterable[FreezeV1]) -> Freezes:
    """Return them in one order, whichever collection says them."""
    ordered = sorted({*freezes}, key=lambda one: (one.begins, one.ends, one.is_utc))
    return tuple(ordered)
