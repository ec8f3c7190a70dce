"""What each node keeps in memory of every client: what admits its requests, and its presence.

A check-in changes nothing durable. Counter, last-seen and health live here and go to the
database in one batch every ten seconds; a report's counter is stored with the report.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence

from patchtide.domain.errors import Unavailable
from patchtide.server.ports.clients import Standing
from patchtide.server.ports.reading import Reading
from patchtide.server.ports.reports import Presence

WINDOW = 64
_MASK = (1 << WINDOW) - 1
BOOTS_KEPT = 4
LOOK_UP_S = 0.05
PAGE = 10_000
UNKNOWN_LIMIT = 500


class Entry:
    """One client's standing on this node. Mutable on purpose: 100,000 of them, touched often."""

    __slots__ = (
        "booted_at", "boots", "counter", "digest", "full_report", "health", "number", "platform",
        "policy_at", "public_key", "restores", "scan_wanted", "seen_at", "state", "tokens",
        "tokens_at", "used", "uuid",
    )  # fmt: skip

    def __init__(self, standing: Standing) -> None:
        self.uuid = standing.uuid
        self.number = standing.number
        self.seen_at = 0.0
        self.health = b""
        self.platform = ""
        self.policy_at = 0.0
        self.tokens = 0.0
        self.tokens_at = 0.0
        self.boots: tuple[str, ...] = ()
        self.booted_at = 0
        self.counter = 0
        self.used = 0
        self.take_over(standing)

    def take_over(self, standing: Standing) -> None:
        """Follow what the database says; a counter only ever rises."""
        self.public_key = standing.public_key
        self.state = standing.state
        self.digest = standing.digest
        self.full_report = standing.full_report
        self.restores = standing.restores
        self.scan_wanted = standing.scan_wanted
        if standing.counter > self.counter:
            self.counter, self.used = standing.counter, 1
        if standing.boot_id and not self.boots:
            self.boots = (standing.boot_id,)

    def take_counter(self, counter: int) -> bool:
        """Use up a counter; False when it was used already, or lies behind the window."""
        ahead = counter - self.counter
        if ahead > 0:
            self.used = (self.used << min(ahead, WINDOW) | 1) & _MASK
            self.counter = counter
            return True
        if -ahead >= WINDOW or self.used >> -ahead & 1:
            return False
        self.used |= 1 << -ahead
        return True

    def saw_boot(self, boot_id: str, *, counter: int) -> bool:
        """Note the boot; False when an earlier boot came back: two machines share the key.

        A message from before the current boot's first one may come late: a report that was
        queued, then the machine restarted.
        """
        is_current = bool(self.boots) and self.boots[-1] == boot_id
        if not boot_id or is_current or counter < self.booted_at:
            return True
        if boot_id in self.boots:
            return False
        self.boots = (*self.boots[-BOOTS_KEPT + 1 :], boot_id)
        self.booted_at = counter
        return True

    def may_call(self, now: float, *, per_s: float, burst: float) -> bool:
        """Take one token of this client's own bucket (S36)."""
        self.tokens = min(burst, self.tokens + (now - self.tokens_at) * per_s)
        self.tokens_at = now
        if self.tokens < 1:
            return False
        self.tokens -= 1
        return True


class Standings:
    """All clients of the site, by UUID; read once at start, then followed."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self._entries: dict[bytes, Entry] = {}
        self._unsaved: dict[bytes, Entry] = {}
        self._unknown: set[bytes] = set()
        self._asking: asyncio.Task[None] | None = None
        self._refreshing = asyncio.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def load(self) -> None:
        """Read all, in pages: of a million machines no single question is answered in time."""
        after = 0
        while page := self._reading.standings_after(after, limit=PAGE):
            self._follow(page)
            after = page[-1].number

    async def refresh(self, uuids: Sequence[bytes]) -> None:
        """Read these again: somebody decided something about them."""
        # One at a time: an older answer that comes last would undo a quarantine.
        async with self._refreshing:
            self._follow(await asyncio.to_thread(self._reading.standings, uuids))

    def _follow(self, standings: Iterable[Standing]) -> None:
        for standing in standings:
            entry = self._entries.get(standing.uuid)
            if entry is None:
                self._entries[standing.uuid] = Entry(standing)
            else:
                entry.take_over(standing)

    def keep_only(self, uuids: Collection[bytes]) -> None:
        """Forget all others: a restored database does not know them."""
        self._entries = {uuid: entry for uuid, entry in self._entries.items() if uuid in uuids}
        # Their numbers may be given to others by now, whose counters must not jump.
        self._unsaved = {uuid: entry for uuid, entry in self._unsaved.items() if uuid in uuids}

    def find(self, uuid: bytes) -> Entry | None:
        """Return the client's entry, if this node knows it."""
        return self._entries.get(uuid)

    async def look_up(self, uuid: bytes) -> Entry | None:
        """Return the entry of a client that may have enrolled at another node.

        Strangers cannot make this node ask the database more often than it likes: whoever asks
        while a question is out waits for the next one, which asks for all of them.

        Raises:
            Unavailable: too many unknown clients wait already.
        """
        if len(self._unknown) >= UNKNOWN_LIMIT:
            raise Unavailable("too many unknown machines at once")
        self._unknown.add(uuid)
        while uuid in self._unknown:
            if self._asking is None or self._asking.done():
                self._asking = asyncio.create_task(self._ask())
            await asyncio.shield(self._asking)
        return self._entries.get(uuid)

    async def _ask(self) -> None:
        await asyncio.sleep(LOOK_UP_S)
        uuids, self._unknown = self._unknown, set()
        await self.refresh(sorted(uuids))

    def seen(self, entry: Entry, *, now: float, health: bytes, has_policy: bool = False) -> None:
        entry.seen_at = now
        if has_policy:
            entry.policy_at = now
        entry.health = health
        self._unsaved[entry.uuid] = entry

    def unsaved(self) -> list[Presence]:
        """Hand over what has to be flushed; what comes later belongs to the next batch."""
        entries, self._unsaved = self._unsaved, {}
        return [
            Presence(
                client=e.number,
                counter=e.counter,
                seen_at=e.seen_at,
                health=e.health,
                policy_at=e.policy_at,
            )
            for e in entries.values()
        ]

    def count_unsaved(self) -> int:
        return len(self._unsaved)

    def keep_for_later(self, presences: Sequence[Presence]) -> None:
        """Take back a batch that could not be stored."""
        numbers = {p.client for p in presences}
        for entry in self._entries.values():
            if entry.number in numbers:
                self._unsaved.setdefault(entry.uuid, entry)
