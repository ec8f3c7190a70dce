"""Which inventory bodies the server has, so that a machine sends one only when nobody has before.

A check-in must not cost a query. So the digests of all bodies are kept in memory. A machine names
a list once, when it has changed; who has which body is then written down for many at once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence

from patchtide.domain.errors import InvalidDocument, Problem, TooMuch
from patchtide.server.ports.reports import HeldInventory, InventoryReading, Reports
from patchtide.wire.inventory import READERS
from patchtide.wire.messages import INVENTORY_LIMITS
from patchtide.wire.sets import unpack

PAGE = 5000
FILL_S = 0.05
"""How long references are gathered; a machine that names a list waits that long for its answer."""
BURST = 10.0
PER_S = 1 / 600
"""Bodies that one machine may send: a few while it is being set up, then six an hour."""


class Inventories:
    """Known bodies and references not yet stored, of this node."""

    def __init__(self, reading: InventoryReading, reports: Reports) -> None:
        self._reading = reading
        self._reports = reports
        self._known: set[bytes] = set()
        self._fresh: set[bytes] = set()
        self._unsaved: dict[tuple[int, str], HeldInventory] = {}
        self._next: asyncio.Task[None] | None = None
        self._one_at_a_time = asyncio.Lock()
        self._allowances: dict[int, tuple[float, float]] = {}
        self._wanted: dict[int, frozenset[str]] = {}

    def load(self) -> None:
        self._known = self._read()

    async def reload(self, *, now: float) -> None:
        """Learn what other nodes took, and forget what was trimmed."""
        self._fresh = set()
        known = await asyncio.to_thread(self._read)
        # What was taken here meanwhile may have come too late for the pages read.
        self._known = known | self._fresh
        self._allowances = {
            client: kept
            for client, kept in self._allowances.items()
            if _grown(kept, now=now) < BURST
        }

    def _read(self) -> set[bytes]:
        known: set[bytes] = set()
        page: Sequence[bytes] = self._reading.inventory_digests(limit=PAGE)
        while page:
            known.update(page)
            page = self._reading.inventory_digests(after=page[-1], limit=PAGE)
        return known

    def want(self, client: int, kinds: Collection[str]) -> None:
        """Have the client asked for these when it checks in next, here, whatever is known."""
        self._wanted[client] = self._wanted.get(client, frozenset()).union(kinds)

    async def lacking(
        self, client: int, said: Mapping[str, bytes], *, now: float
    ) -> tuple[str, ...]:
        """Return the kinds that the client must send; that it has the others is durable then.

        Raises:
            Unavailable: that could not be stored; the client will say it again.
        """
        # A kind of a newer version is not ours to ask for.
        named = {kind: digest for kind, digest in said.items() if kind in INVENTORY_LIMITS}
        known = {kind: digest for kind, digest in named.items() if digest in self._known}
        for kind, digest in known.items():
            held = HeldInventory(client=client, kind=kind, digest=digest, at=now)
            self._unsaved[client, kind] = held
        if known:
            await self._saved()
        lacking = [kind for kind, digest in named.items() if digest not in self._known]
        return (*lacking, *sorted(self._wanted.pop(client, frozenset()).difference(lacking)))

    async def take(
        self, client: int, *, kind: str, digest: bytes, packed: bytes, now: float
    ) -> None:
        """Return once the body is stored.

        Raises:
            TooMuch: this client has sent too many of late.
            InvalidDocument: no such kind, too long for it, not of its form, or not what its
                digest says.
        """
        if kind not in INVENTORY_LIMITS:
            raise InvalidDocument([Problem("kind", "is no kind of inventory")])
        self._spend(client, now)
        # Megabytes, which the loop would stand still for.
        # One at a time: a decoder holds every thread up, and many bodies fill the memory.
        async with self._one_at_a_time:
            body = await asyncio.to_thread(_checked, kind, packed)
        await self._reports.put_inventory(client, kind=kind, digest=digest, body=body, now=now)
        self._known.add(digest)
        self._fresh.add(digest)

    def _spend(self, client: int, now: float) -> None:
        left = _grown(self._allowances.get(client, (BURST, now)), now=now)
        if left < 1:
            raise TooMuch("too many inventories of this machine")
        self._allowances[client] = (left - 1, now)

    async def _saved(self) -> None:
        """Return when everything noted so far is stored, by one task for all who wait."""
        if self._next is None:
            self._next = asyncio.create_task(self._save())
        # Whoever stops waiting must not take the batch of the others with him.
        await asyncio.shield(self._next)

    async def _save(self) -> None:
        await asyncio.sleep(FILL_S)
        batch, self._unsaved, self._next = self._unsaved, {}, None
        # A body that was trimmed meanwhile is asked for again.
        self._known -= await self._reports.hold_inventory(list(batch.values()))


def _checked(kind: str, packed: bytes) -> bytes:
    body = unpack(packed, limit=INVENTORY_LIMITS[kind])
    READERS[kind](body)
    return body


def _grown(kept: tuple[float, float], *, now: float) -> float:
    left, since = kept
    return min(BURST, left + max(0.0, now - since) * PER_S)
