"""A change of who may sign, made with `patchtide trust` beside the server, becomes known.

The command works on files and asks no server, so its decision is written down when a server
first sees the new root or targets: in the audit, and a root to machines with their next answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.reading import Lookups

PREFIX = "trust."


@dataclass(frozen=True, slots=True, kw_only=True)
class Delegation:
    """What one role says of others."""

    version: int
    signers: Mapping[str, str]
    """Role -> how many of which keys must sign for it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustWatch:
    """Call `step` every second or so."""

    look: Callable[[], Mapping[str, Delegation]]
    """Looks at the files; by the role that delegates."""
    decisions: Decisions
    lookups: Lookups
    clock: Clock

    async def step(self) -> None:
        """Write down what was not in force before; the first one of a site is no change."""
        for role, delegation in (await asyncio.to_thread(self.look)).items():
            known = await asyncio.to_thread(self.lookups.setting, PREFIX + role)
            if known != _written(delegation):
                await self._write_down(role, delegation)

    async def _write_down(self, role: str, delegation: Delegation) -> None:
        name, written = PREFIX + role, _written(delegation)

        def work(tx: Transaction) -> None:
            before = tx.lock_setting(name)
            if before == written:
                return  # another node was first
            tx.put_setting(name, written)
            if before is not None:
                version = delegation.version
                tx.note(role, version=version, before=int(before), **delegation.signers)

        await self.decisions.decide("system", name, work, now=self.clock.now())


def _written(delegation: Delegation) -> bytes:
    return str(delegation.version).encode()
