"""Failed sign-ins in the audit: how many, from where, as whom, in one entry every ten minutes.

One entry a guess would let strangers fill the database, and push what people decided out of sight.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from patchtide.domain.access.callers import caller_key
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.storage import Decisions, Transaction

ACTOR = "anonymous"
OPERATION = "sessions.failed"
EVERY = timedelta(minutes=10)
KEPT = 1_000
"""So many addresses and names are told apart; the failures of others are counted all the same."""
NAMED = 5


@dataclass(slots=True)
class _Tally:
    since: datetime
    failures: int = 0
    callers: Counter[str] = field(default_factory=Counter)
    names: Counter[str] = field(default_factory=Counter)

    def add(self, caller: str, name: str) -> None:
        self.failures += 1
        _count(self.callers, caller, 1)
        if name:
            _count(self.names, name, 1)

    def add_all(self, earlier: _Tally) -> None:
        self.since = earlier.since
        self.failures += earlier.failures
        for mine, others in ((self.callers, earlier.callers), (self.names, earlier.names)):
            for key, count in others.items():
                _count(mine, key, count)


class FailedSignIns:
    """What has failed since the last entry; in memory, as the attempts are."""

    def __init__(self, decisions: Decisions, clock: Clock) -> None:
        self._decisions = decisions
        self._clock = clock
        self._tally: _Tally | None = None

    def add(self, *, peer: str, name: str = "") -> None:
        if self._tally is None:
            self._tally = _Tally(self._clock.now())
        self._tally.add(caller_key(peer), name)

    async def step(self) -> None:
        """Write the entry when it is due; call it every minute."""
        if self._tally is None:
            return
        # A clock that was set back must not put it off.
        if not timedelta(0) <= self._clock.now() - self._tally.since < EVERY:
            await self.write()

    async def write(self) -> None:
        """Write down what has not been yet."""
        tally, self._tally = self._tally, None
        if tally is None:
            return

        def work(tx: Transaction) -> None:
            known = tx.user_names()
            people = Counter({n: count for n, count in tally.names.items() if n in known})
            # A name that nobody has may be a password in the wrong field: it is not written down.
            tx.note(
                "console",
                failures=tally.failures,
                since=tally.since.isoformat(),
                addresses=len(tally.callers),
                mostly_from=_most(tally.callers),
                as_people=_most(people),
            )

        try:
            await self._decisions.decide(ACTOR, OPERATION, work, now=self._clock.now())
        except BaseException:  # cancelled, too: what was counted must not be lost
            if self._tally is not None:
                self._tally.add_all(tally)
            else:
                self._tally = tally
            raise


def _count(counter: Counter[str], key: str, count: int) -> None:
    if key in counter or len(counter) < KEPT:
        counter[key] += count


def _most(counter: Counter[str]) -> str:
    return ", ".join(f"{key} ({count})" for key, count in counter.most_common(NAMED))
