"""A change of the site's root, made with `patchtide trust` beside the server, becomes known.

The command works on files and asks no server, so its decision is written down when a server
first sees the new root: in the audit, and to machines with their next answer.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from patchtide.server.ports.clock import Clock
from patchtide.server.ports.storage import Decisions, Lookups, Transaction

ROOT = "trust.root"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustWatch:
    """Call `step` every second or so."""

    root_version: Callable[[], int]
    """Looks at the files."""
    decisions: Decisions
    lookups: Lookups
    clock: Clock

    async def step(self) -> None:
        """Write down a root that was not there before; the first one of a site is no change."""
        version = await asyncio.to_thread(self.root_version)
        known = await asyncio.to_thread(self.lookups.setting, ROOT)
        if known == _written(version):
            return

        def work(tx: Transaction) -> None:
            before = tx.lock_setting(ROOT)
            if before == _written(version):
                return  # another node was first
            tx.put_setting(ROOT, _written(version))
            if before is not None:
                tx.note("root", version=version, before=int(before))

        await self.decisions.decide("system", ROOT, work, now=self.clock.now())


def _written(version: int) -> bytes:
    return str(version).encode()
