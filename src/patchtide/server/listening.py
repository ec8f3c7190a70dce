"""What machines say of their health at each check-in: it is in neither log, so it is read again.

Whoever keeps a view up reads it beside whoever asks, and puts it in parts: all of a large fleet
may have spoken since. Only where nobody keeps the view up does a question read it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from msgspec import Struct

from patchtide.server.fleet_reading import spoken_in
from patchtide.server.member import Spoken
from patchtide.server.ports.fleet import FleetStore, Heard
from patchtide.server.ports.reports import Presence

EVERY = timedelta(seconds=5)
EACH = timedelta(microseconds=200)
"""Where a whole large fleet is heard every minute, to read of it costs by the machine."""
LATE = timedelta(minutes=2)
"""What is heard is stored some seconds later, and by clocks that differ a little."""
PART = 2500


class Told(Struct, frozen=True):
    """What some machines said."""

    restarting: Mapping[int, bool]
    at: Mapping[int, float]
    spoken: Mapping[int, Spoken]


@dataclass(slots=True)
class Listening:
    """How far was listened, by one view."""

    last: datetime | None = None
    _again: timedelta = EVERY

    def is_due(self, now: datetime, *, times: int = 1) -> bool:
        """Say whether it is time, or whether so many times of it have gone by."""
        # A clock that was put back makes what is heard from now on older than what was.
        return self.last is None or now < self.last or now - self.last >= times * self._again

    def told(self, store: FleetStore, known: Mapping[int, float], now: datetime) -> Iterator[Told]:
        """Yield what was said since; when all of it was taken, it is listened as far as now."""
        since = 0.0 if self.last is None else (min(self.last, now) - LATE).timestamp()
        heard = store.heard_after(since)
        new = [(number, h) for number, h in heard.items() if known.get(number) != h.at]
        for start in range(0, len(new), PART):
            yield _told(new[start : start + PART])
        self.last = now
        self._again = max(EVERY, len(heard) * EACH)


def _told(heard: Sequence[tuple[int, Heard]]) -> Told:
    said = {number: spoken_in(h) for number, h in heard}
    return Told(
        restarting={number: restarts for number, (restarts, _) in said.items()},
        at={number: h.at for number, h in heard},
        spoken={number: spoken for number, (_, spoken) in said.items()},
    )


def in_time(seen: Iterable[Presence], *, now: datetime) -> list[Presence]:
    """Return them so that every view will hear of them, also what could not be stored for long.

    Views look back by `LATE`: who was heard before that is stored as heard since.
    """
    earliest = (now - LATE / 2).timestamp()
    return [p if p.seen_at >= earliest else replace(p, seen_at=earliest) for p in seen]
