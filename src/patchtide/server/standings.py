"""What each node keeps in memory of every client: what admits its requests, and its presence.

A check-in changes nothing durable. Counter, last-seen and health live here and go to the
database in one batch every ten seconds; a report's counter is stored with the report.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from patchtide.server.ports.storage import Presence, Reading, Standing

WINDOW = 64
_MASK = (1 << WINDOW) - 1
BOOTS_KEPT = 4
LOOKUPS_PER_S = 100


class Entry:
    """One client's standing on this node. Mutable on purpose: 100,000 of them, touched often."""

    __slots__ = (
        "booted_at", "boots", "counter", "digest", "full_report", "health", "number", "public_key",
        "restores", "seen_at", "state", "tokens", "tokens_at", "used", "uuid",
    )  # fmt: skip

    def __init__(self, standing: Standing) -> None:
        self.uuid = standing.uuid
        self.number = standing.number
        self.seen_at = 0.0
        self.health = b""
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
        self._lookups_at = 0
        self._lookups = 0

    def __len__(self) -> int:
        return len(self._entries)

    def load(self) -> None:
        self._follow(self._reading.standings())

    def refresh(self, uuids: Sequence[bytes]) -> None:
        """Read these again: somebody decided something about them."""
        self._follow(self._reading.standings(uuids))

    def _follow(self, standings: Iterable[Standing]) -> None:
        for standing in standings:
            entry = self._entries.get(standing.uuid)
            if entry is None:
                self._entries[standing.uuid] = Entry(standing)
            else:
                entry.take_over(standing)

    def find(self, uuid: bytes, *, now: float) -> Entry | None:
        """Return the client's entry. One that enrolled at another node is looked up, but
        strangers may not make this node ask the database more than so often.
        """
        entry = self._entries.get(uuid)
        if entry is not None:
            return entry
        if int(now) != self._lookups_at:
            self._lookups_at, self._lookups = int(now), 0
        if self._lookups >= LOOKUPS_PER_S:
            return None
        self._lookups += 1
        self.refresh([uuid])
        return self._entries.get(uuid)

    def seen(self, entry: Entry, *, now: float, health: bytes) -> None:
        entry.seen_at = now
        entry.health = health
        self._unsaved[entry.uuid] = entry

    def unsaved(self) -> list[Presence]:
        """Hand over what has to be flushed; what comes later belongs to the next batch."""
        entries, self._unsaved = self._unsaved, {}
        return [
            Presence(client=e.number, counter=e.counter, seen_at=e.seen_at, health=e.health)
            for e in entries.values()
        ]

    def keep_for_later(self, presences: Sequence[Presence]) -> None:
        """Take back a batch that could not be stored."""
        numbers = {p.client for p in presences}
        for entry in self._entries.values():
            if entry.number in numbers:
                self._unsaved.setdefault(entry.uuid, entry)
