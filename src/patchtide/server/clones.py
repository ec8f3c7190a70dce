"""Two machines with one key: interleaved boots, or restored too often, mean a clone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.standings import Entry, Standings

RESTORES_A_DAY = 3
_DAY_S = 86_400.0


def restored_too_often(restores: tuple[float, ...], *, now: float) -> bool:
    return sum(now - at < _DAY_S for at in restores) > RESTORES_A_DAY


@dataclass(frozen=True, slots=True, kw_only=True)
class CloneWatch:
    decisions: Decisions
    standings: Standings

    async def quarantine(self, entry: Entry, *, why: str, now: datetime) -> None:
        def work(tx: Transaction) -> None:
            if tx.set_client_state([entry.uuid], ClientState.QUARANTINED):
                tx.note(entry.uuid.hex(), state="quarantined", why=why)

        await self.decisions.decide("system", "machines.quarantine", work, now=now)
        await self.standings.refresh([entry.uuid])
