"""Machines tell what trust metadata they see; what this site never published is an alarm (S44)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.site import Site

ROLES = frozenset({"root", "timestamp", "snapshot"})
QUIET_S = 3600.0
KEPT = 10_000


class Divergence:
    """Raises one alarm for each strange piece of metadata, and one an hour for each machine.

    A thousand machines that are shown the same thing are one finding, not a thousand; and no
    machine can fill the audit trail with inventions.
    """

    def __init__(self, site: Site, decisions: Decisions) -> None:
        self._site = site
        self._decisions = decisions
        self._told: set[tuple[str, bytes]] = set()
        self._alarms: dict[bytes, float] = {}

    async def watch(self, client: bytes, seen: Mapping[str, bytes], *, now: datetime) -> None:
        at = now.timestamp()
        if self._is_quiet(client, at):
            return
        untold = {
            role: digest
            for role, digest in seen.items()
            if role in ROLES and (role, digest) not in self._told
        }
        strange = {
            role: digest
            for role, digest in untold.items()
            if not await self._site.knows_metadata(role, digest)
        }
        # Another with the same finding may have been quicker, or the same machine with another.
        strange = dict(strange.items() - self._told)
        if not strange or self._is_quiet(client, at):
            return
        if len(self._told) + len(self._alarms) > KEPT:
            self._told, self._alarms = set(), {}
        # Before the decision, which takes its time: others with the same finding must not wait.
        self._told |= set(strange.items())
        self._alarms[client] = at

        def work(tx: Transaction) -> None:
            for role, digest in strange.items():
                tx.note(client.hex(), role=role, seen=digest.hex())

        try:
            await self._decisions.decide("system", "trust.divergence", work, now=now)
        except BaseException:
            self._told -= set(strange.items())
            self._alarms.pop(client, None)
            raise

    def _is_quiet(self, client: bytes, at: float) -> bool:
        return self._alarms.get(client, at - QUIET_S) > at - QUIET_S
