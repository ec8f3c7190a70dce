"""Failed sign-ins in the audit: how many, from where, as whom, in one entry every ten minutes.

One entry a guess would let strangers fill the database, and push what people decided out of sight.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from patchtide.domain.access.callers import caller_key
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction

ACTOR = "anonymous"
OPERATION = "sessions.failed"
EVERY = timedelta(minutes=10)
KEPT = 1_000
"""So many addresses are told apart, and so many names that nobody may have; the failures of others
are counted all the same. Names of people have no limit: there are no more of them than accounts."""
NAMED = 5


@dataclass(slots=True)
class _Tally:
    since: datetime
    failures: int = 0
    callers: Counter[str] = field(default_factory=Counter)
    people: Counter[str] = field(default_factory=Counter)
    others: Counter[str] = field(default_factory=Counter)
    """Names that may be anybody's or nobody's; the one longest not tried is forgotten first."""

    def add(self, caller: str, name: str, *, is_person: bool) -> None:
        self.failures += 1
        if caller:
            _count(self.callers, caller, 1)
        if is_person:
            self.people[name] += 1
        elif name:
            self._count_other(name, 1)

    def add_all(self, earlier: _Tally) -> None:
        self.since = earlier.since
        self.failures += earlier.failures
        self.people.update(earlier.people)
        for caller, count in earlier.callers.items():
            _count(self.callers, caller, count)
        for name, count in earlier.others.items():
            self._count_other(name, count)

    def as_people(self, known: Container[str]) -> Counter[str]:
        return self.people + Counter({n: c for n, c in self.others.items() if n in known})

    def _count_other(self, name: str, count: int) -> None:
        self.others[name] = self.others.pop(name, 0) + count
        if len(self.others) > KEPT:
            del self.others[next(iter(self.others))]


class FailedSignIns:
    """What has failed since the last entry; in memory, as the attempts are."""

    def __init__(self, decisions: Decisions, clock: Clock) -> None:
        self._decisions = decisions
        self._clock = clock
        self._tally: _Tally | None = None
        self._people: set[str] = set()

    def note_person(self, name: str) -> None:
        """Somebody has this name: however many names are invented, they do not crowd it out."""
        self._people.add(name)

    def add(self, *, peer: str, name: str = "") -> None:
        """Count a failure; without a peer it is of nobody outside."""
        if self._tally is None:
            self._tally = _Tally(self._clock.now())
        caller = caller_key(peer) if peer else ""
        self._tally.add(caller, name, is_person=name in self._people)

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
            people = tally.as_people(tx.user_names())
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
