"""A machine reports: decoded and checked here, durable before it is acknowledged."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import msgspec

from patchtide.domain.errors import InvalidDocument, PatchtideError, Problem
from patchtide.server.admission import Caller, Door, NotAdmitted
from patchtide.server.clones import CloneWatch, restored_too_often
from patchtide.server.inventories import Inventories
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.reports import Accepted, IncomingReport, Outcome, Reports
from patchtide.server.standings import Entry, Standings
from patchtide.wire.messages import (
    ChangesV1,
    FullV1,
    InventoryV1,
    ReportV1,
)
from patchtide.wire.sets import check_set, state_digest, unpack, unpacked_size

_encode = msgspec.msgpack.Encoder().encode
SETS_LIMIT = 256 << 10
"""Of all sets of a report together, unpacked: a hundred bytes may unpack to much, and checking
costs a microsecond a number. Ten times what 30,000 updates need."""


SHORT = 16 << 10


class NeedFull(PatchtideError):
    """The difference does not fit what is stored; report everything."""

    code = "need-full"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportIntake:
    reports: Reports
    door: Door
    standings: Standings
    clones: CloneWatch
    inventories: Inventories
    clock: Clock

    async def take(self, caller: Caller, said: ReportV1) -> None:
        """Return once the report is durable (or was already).

        Raises:
            Jump: the counter is behind the last accepted report's.
            NeedFull: the difference does not fit.
            NotAdmitted: the machine turned out to be a clone.
        """
        if said.counter != caller.claim.counter:
            raise InvalidDocument([Problem("counter", "is not the one that was signed")])
        entry = caller.entry
        if not entry.saw_boot(said.boot_id, counter=said.counter):
            await self.clones.quarantine(entry, why="interleaved boot ids", now=self.clock.now())
            raise NotAdmitted(entry.state)
        if _is_long(said.full or said.changes):
            report = await asyncio.to_thread(incoming, entry.number, said)
        else:
            report = incoming(entry.number, said)
        now = self.clock.now().timestamp()
        [accepted] = await self.reports.accept([report], now=now)
        await self._conclude(entry, said, accepted)

    async def _conclude(self, entry: Entry, said: ReportV1, accepted: Accepted) -> None:
        now = self.clock.now()
        match accepted.outcome:
            case Outcome.STALE_COUNTER:
                raise self.door.jump(entry, at_least=accepted.expected)
            case Outcome.NEED_FULL:
                raise NeedFull
        is_new_here = entry.take_counter(said.counter)
        entry.digest = said.digest
        if accepted.outcome is Outcome.REPEATED and not is_new_here:
            return  # what was asked of the machine since then still stands
        if said.full is not None:
            entry.full_report = False
        if said.scan_for >= entry.scan_wanted:
            entry.scan_wanted = 0
        if said.restored:
            entry.restores = (*entry.restores[-8:], now.timestamp())
            if restored_too_often(entry.restores, now=now.timestamp()):
                await self.clones.quarantine(entry, why="restored too often", now=now)

    async def take_inventory(self, caller: Caller, said: InventoryV1) -> None:
        """Return once the list is stored.

        Raises:
            InvalidDocument: no such kind, too long for it, or not what its digest says.
            TooMuch: the machine has sent too many of late.
        """
        # Nothing stored tells an old list from a new one: each counter brings one only once.
        self.door.take_counter(caller, now=self.clock.now().timestamp())
        await self.inventories.take(
            caller.entry.number,
            kind=said.kind,
            digest=said.digest,
            packed=said.body,
            now=self.clock.now().timestamp(),
        )


def incoming(client: int, said: ReportV1) -> IncomingReport:
    """Return the report as the storage takes it, its sets unpacked and checked.

    Raises:
        InvalidDocument: a set is not canonical, or a full report's digest is not its own.
    """
    if said.full is not None and said.changes is not None:
        raise InvalidDocument([Problem("report", "is either full or a difference, not both")])
    states = said.full or said.changes
    required, installed, unknown, gone = _sets(states)
    if said.full is not None:
        own = state_digest(
            lineage=said.lineage, required=required, installed=installed, unknown=unknown
        )
        if own != said.digest:
            raise InvalidDocument([Problem("digest", "is not that of the states")])
    return IncomingReport(
        client=client,
        counter=said.counter,
        lineage=said.lineage,
        digest=said.digest,
        base=said.changes.base if said.changes is not None else None,
        required=required,
        installed=installed,
        unknown=unknown,
        gone=gone,
        has_states=states is not None,
        shards=_encode(said.shards),
        boot_id=said.boot_id,
        scan=said.scan,
        scanned_at=said.scanned_at,
        scan_error=said.scan_error,
        restored=said.restored,
        aged_catalog=said.aged_catalog,
        scan_for=said.scan_for,
        events=_encode(said.events) if said.events else b"",
    )


def _is_long(states: FullV1 | ChangesV1 | None) -> bool:
    """Say whether checking the sets would hold up everybody else; what is broken is not long."""
    if states is None:
        return False
    gone = states.gone if isinstance(states, ChangesV1) else b""
    packed = (states.required, states.installed, states.unknown, gone)
    return sum(unpacked_size(p) for p in packed if p) > SHORT


def _sets(states: FullV1 | ChangesV1 | None) -> tuple[bytes, bytes, bytes, bytes]:
    if states is None:
        return b"", b"", b"", b""
    gone = states.gone if isinstance(states, ChangesV1) else b""
    sets: list[bytes] = []
    for packed in (states.required, states.installed, states.unknown, gone):
        left = SETS_LIMIT - sum(map(len, sets))
        sets.append(check_set(unpack(packed, limit=left)) if packed else b"")
    return sets[0], sets[1], sets[2], sets[3]
