"""How many whole days ago something was, of every machine, kept as time goes by.

Most machines are heard again long before a day is over, and nothing becomes of that. So each is
looked at again when its day is over, and those of a day or more when they were heard.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from math import inf

from pyroaring import BitMap

from patchtide.domain.collections.facts import Column
from patchtide.domain.compliance.machine_query import ENROLLED, SILENT
from patchtide.server.fact_index import FactMoves
from patchtide.server.fleet_view import View
from patchtide.server.machine_standings import Following, Watch

DAY_S = 86_400


def _enrolled(view: View, machine: int) -> float | None:
    at = view.members[machine].client.enrolled_at
    return at.timestamp() if at else None


SINCE: Mapping[str, Callable[[View, int], float | None]] = {
    SILENT: lambda view, n: view.heard_at.get(n) or _enrolled(view, n),
    ENROLLED: _enrolled,
}
"""When it was, in epoch seconds: another moment only of machines that moved, or were heard."""


class MachineAges:
    def __init__(self, place: str) -> None:
        self.moves = FactMoves()
        self._place = place
        self._column = Column()
        self._ages: dict[int, int] = {}
        self._old = BitMap()
        """Those of a day or more."""
        self._watch = Watch[float]()
        self._now = inf
        self._heard, self._moved = Following(), Following()

    def column(self, view: View) -> Column:
        """Return who has which age at the moment of the view."""
        view.standings()
        now = view.now.timestamp()
        heard, moved = self._heard.since(view.heard), self._moved.since(view.moves)
        if heard is None or moved is None or now < self._now:
            self._look(view, view.members, now)
        else:
            self._look(view, {*moved, *(self._old & BitMap(heard)), *self._watch.ended(now)}, now)
        self._now = now
        return self._column

    def _look(self, view: View, machines: Iterable[int], now: float) -> None:
        since, older = SINCE[self._place], dict[int, list[int]]()
        for number in machines:
            at = since(view, number)
            if at is None:
                continue
            age = int(now - at) // DAY_S
            self._watch.watch(number, at + (age + 1) * DAY_S)
            was = self._ages.get(number)
            if was != age:
                older.setdefault(age, []).append(number)
                if was is not None:
                    self._column.discard(was, number)
        for age, numbers in older.items():
            self._put(age, numbers)

    def _put(self, age: int, numbers: list[int]) -> None:
        self._column.put(age, numbers)
        self._ages.update(dict.fromkeys(numbers, age))
        (self._old.update if age > 0 else self._old.difference_update)(BitMap(numbers))
        for number in numbers:
            self.moves.add(number, {self._place: (age,)})
