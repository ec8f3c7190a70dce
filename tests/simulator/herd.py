"""A fleet that comes back after an outage, in virtual time: real brains, the server's real door.

What is made up is the time that work takes: one request after the other, as fast as was measured;
refusing one costs a little of the same time. Everything that decides is the product's own code:
when a machine speaks and how it backs off (`advance`), who is let in and when the others are to
come back (`Crowd`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from heapq import heapify, heappop, heappush
from math import erfc, sqrt

from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer.brain import advance
from patchtide.domain.sequencer.states import Brain, Idle, Memory
from patchtide.server.crowd import Crowd

BEGAN = 1_772_450_000.0
BIN_S = 5.0


def seed(number: int) -> bytes:
    return sha256(f"herd {number}".encode()).digest()[:16]


def settled(number: int, *, poll_s: int, now: float) -> Brain:
    """A machine that has long told everything, and waits for its slot."""
    memory = Memory(
        seed=seed(number), boot_id="1", poll_s=poll_s, scan_due=False, full_due=False,
        scan_at=now + 86_400, refresh_at=now + 86_400, told_at=now, poll_at=now + 1,
    )  # fmt: skip
    state, _, _ = advance(Brain(memory, Idle()), ev.Woken(), now + 1)
    state, _, _ = advance(state, ev.CheckedIn(next_poll_s=poll_s), now + 1)
    return state


@dataclass
class Herd:
    """So many machines. `capacity_per_s`: check-ins that the server answers."""

    size: int
    poll_s: int
    capacity_per_s: float
    believed_per_s: float = 0.0
    """What the server takes for that before it knows better; 0: the same."""
    refusal_s: float = 0.0002
    down: tuple[float, float] = (BEGAN, BEGAN)
    """From when to when nobody answers."""
    asked: Counter[int] = field(default_factory=Counter)
    """Requests that reached the server, by machine."""
    first_in: dict[int, float] = field(default_factory=dict)
    """When each was first answered after the server came back."""
    took: list[float] = field(default_factory=list)
    bins: Counter[int] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._crowd = Crowd(capacity_per_s=self.believed_per_s or self.capacity_per_s)
        self._busy_until = 0.0
        now = self.down[0] - self.poll_s
        self._states = [settled(n, poll_s=self.poll_s, now=now) for n in range(self.size)]
        self._due = [(state.memory.poll_at, 0, n) for n, state in enumerate(self._states)]
        heapify(self._due)

    def all_at_once(self) -> None:
        """Everybody comes in the first two seconds after the outage, as after a ring."""
        self._due = [(self.down[1] + 2 * n / self.size, 0, n) for n in range(self.size)]
        for n, state in enumerate(self._states):
            memory = Memory(**{**_fields(state.memory), "poll_at": self._due[n][0]})
            self._states[n] = Brain(memory, Idle())
        heapify(self._due)

    def run(self, *, until: float) -> None:
        while self._due and self._due[0][0] <= until:
            now, began, number = heappop(self._due)
            if began:
                self._answered(number, now, began)
            else:
                self._woken(number, now)

    def _woken(self, number: int, now: float) -> None:
        state, commands, wake_up = advance(self._states[number], ev.Woken(), now)
        self._states[number] = state
        if not commands:
            heappush(self._due, (max(wake_up, now + 0.001), 0, number))
        elif self.down[0] <= now < self.down[1]:
            self._tell(number, ev.Failed("unreachable"), now)
        else:
            self._ask(number, now)

    def _ask(self, number: int, now: float) -> None:
        if now >= self.down[1]:
            self.asked[number] += 1
            self.bins[int((now - self.down[1]) // BIN_S)] += 1
        wait = self._crowd.enter(now, number.to_bytes(16))
        self._busy_until = max(self._busy_until, now)
        if wait is not None:
            self._busy_until += self.refusal_s
            self._tell(number, ev.Deferred(max(1, round(wait))), now)
            return
        self._busy_until += 1 / self.capacity_per_s
        heappush(self._due, (self._busy_until, now, number))

    def _answered(self, number: int, now: float, began: float) -> None:
        self._crowd.leave(now)
        if began >= self.down[1]:
            self.took.append(now - began)
            self.first_in.setdefault(number, now)
        self._tell(number, ev.CheckedIn(next_poll_s=self.poll_s), now)

    def _tell(self, number: int, event: ev.Event, now: float) -> None:
        state, commands, wake_up = advance(self._states[number], event, now)
        if commands:
            raise LookupError(f"a settled machine does nothing but check in: {commands}")
        self._states[number] = state
        heappush(self._due, (max(wake_up, now + 0.001), 0, number))

    @property
    def all_in_s(self) -> float:
        """Return how long after its end the last machine got in."""
        if len(self.first_in) < self.size:
            return float("inf")
        return max(self.first_in.values()) - self.down[1]

    def peak_per_s(self, *, after_s: float = 0.0) -> float:
        return max(n for place, n in self.bins.items() if place * BIN_S >= after_s) / BIN_S

    @property
    def p99_s(self) -> float:
        return sorted(self.took)[int(len(self.took) * 0.99)]


def _fields(memory: Memory) -> dict[str, object]:
    return {name: getattr(memory, name) for name in memory.__struct_fields__}


def chance_of_uniform(places: Sequence[float], *, bins: int = 50) -> float:
    """Return p of chi-square for numbers from 0 to 1: how often chance alone is as uneven.

    Wilson and Hilferty: the cube root of chi-square over its degrees is close to normal.
    """
    counts = Counter(int(place * bins) for place in places)
    expected = len(places) / bins
    chi = sum((counts[n] - expected) ** 2 / expected for n in range(bins))
    degrees = bins - 1
    spread = 2 / (9 * degrees)
    z = ((chi / degrees) ** (1 / 3) - (1 - spread)) / spread**0.5
    return erfc(z / sqrt(2)) / 2
