"""New machines are in build: changed at any time, until they are compliant or their hours are over.

That a machine was handed over is kept, and it is never in build again. Every node looks; of two
that find the same machine only one writes it down.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Protocol

from patchtide.domain.compliance.judgement import Compliance
from patchtide.domain.schedules.spans import Span
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.kept_agent_settings import AGENTS, read_agents
from patchtide.server.ports.clients import Client
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction

SYSTEM, HAND_OVER = "system", "machines.hand-over"
HOUR_S = 3600
SLICE = 200


class BuildReading(Protocol):
    def clients_in_build(self) -> Mapping[bytes, int]:
        """Return until when each is, at the latest, in epoch seconds."""
        ...


def build_ends(tx: Transaction, now: datetime) -> int:
    """Return until when a machine is in build that is let in now; 0: it is not."""
    hours = read_agents(tx.setting(AGENTS)).build_h
    return int(now.timestamp()) + hours * HOUR_S if hours else 0


def build_of(client: Client) -> Span | None:
    """Return while it is in build; None: it is not."""
    if not client.build_until:
        return None
    zone = client.enrolled_at.tzinfo
    return Span(client.enrolled_at, datetime.fromtimestamp(client.build_until, zone))


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildWatch:
    """Call `step` every few seconds."""

    reading: BuildReading
    fleet: Fleet
    decisions: Decisions
    clock: Clock

    async def step(self) -> None:
        now = self.clock.now()
        building = await asyncio.to_thread(self.reading.clients_in_build)
        if not building:
            return
        over = {uuid for uuid, until in building.items() if until <= now.timestamp()}
        fit = await self.fleet.run(lambda: self._compliant(building.keys() - over))
        for uuids, why in ((over, "hours"), (fit, "compliant")):
            await self._hand_over(sorted(uuids), why, now)

    def _compliant(self, uuids: Collection[bytes]) -> set[bytes]:
        def question(view: View) -> set[bytes]:
            known = ((uuid, view.numbers.get(uuid)) for uuid in uuids)
            return {u for u, n in known if n is not None and _is_compliant(view, n)}

        return self.fleet.ask(question)

    async def _hand_over(self, uuids: Sequence[bytes], why: str, now: datetime) -> None:
        for start in range(0, len(uuids), SLICE):
            work = partial(_handed_over, uuids=uuids[start : start + SLICE], why=why)
            await self.decisions.decide(SYSTEM, HAND_OVER, work, now=now)


def _is_compliant(view: View, number: int) -> bool:
    found = view.standing(view.members[number])
    return number in view.active and found.judgement.compliance is Compliance.COMPLIANT


def _handed_over(tx: Transaction, *, uuids: Sequence[bytes], why: str) -> None:
    ended = set(tx.end_build(uuids))
    for client in tx.clients(uuids):
        if client.uuid in ended:
            tx.note(client.uuid.hex(), name=client.name, why=why)
