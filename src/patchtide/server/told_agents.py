"""What this node tells agents of their settings: kept in memory, for every check-in asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import timedelta

from patchtide.domain.schedules.scanning import POLL_EVERY_S
from patchtide.server.kept_agent_settings import AGENTS, read_agents, told_of
from patchtide.server.ports.reading import Lookups
from patchtide.wire.agent_settings import sealed

MISSED = 3
"""A machine is silent once so many check-ins are missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Of one machine."""

    poll_s: int
    settings: bytes
    marks: frozenset[bytes]
    """Who names one of these need not be sent the settings."""

    def newer_than(self, mark: bytes | None) -> bytes:
        """Return the settings unless the machine has them, or takes none."""
        return b"" if mark is None or mark in self.marks else self.settings


class ToldAgents:
    """Call `step` every second or so: another node may have decided."""

    def __init__(self, *, poll_s: int = POLL_EVERY_S) -> None:
        self._poll_s = poll_s
        self._known: bytes | None = None
        self.put(None)

    def usual(self) -> Told:
        """Return what nearly every machine is told."""
        return self._told

    def settings_of(self, machine: bytes) -> Told:
        """Return what this one is told: the one place where settings of some would differ."""
        return self._told

    @property
    def silent_after(self) -> timedelta:
        """Return after how long without a word a machine is silent."""
        return MISSED * timedelta(seconds=self._told.poll_s)

    def put(self, data: bytes | None) -> None:
        """Tell what is kept so from now on."""
        kept = read_agents(data)
        settings, marks = sealed(told_of(kept))
        self._told = Told(poll_s=kept.poll_s or self._poll_s, settings=settings, marks=marks)
        self._known = data

    def load(self, lookups: Lookups) -> None:
        data = lookups.setting(AGENTS)
        if data != self._known:
            self.put(data)

    async def step(self, lookups: Lookups) -> None:
        await asyncio.to_thread(self.load, lookups)
