"""Who was heard of late, kept as machines are heard and as time goes by.

Most machines are heard again long before they would count as silent. So nothing happens when one
is heard, and each is looked at when the time is over that it had when it was looked at last.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from math import inf

from pyroaring import BitMap

from patchtide.server.machine_standings import Watch


@dataclass(slots=True)
class HeardLately:
    machines: BitMap = field(default_factory=BitMap)
    """Those that were heard of late at the moment that was last asked for."""
    _others: BitMap = field(default_factory=BitMap)
    """Those that were heard since, or may be silent after another time."""
    _watch: Watch[float] = field(default_factory=Watch[float])
    _usual_s: float | None = None
    """After how long machines are silent, most of them; None: everybody is to be looked at."""
    _moment: float = inf

    def copied(self) -> HeardLately:
        return HeardLately(
            self.machines.copy(),
            self._others.copy(),
            self._watch.copied(),
            self._usual_s,
            self._moment,
        )

    def heard(self, at: Mapping[int, float], *, before: Mapping[int, float]) -> None:
        """Take up when these were heard, and `before` when all were until now."""
        self._others.update(at)
        # Where a clock was put back, the time that they have is over sooner than it was to be.
        self.machines -= BitMap([n for n, moment in at.items() if moment < before.get(n, 0.0)])

    def judge_otherwise(self, machines: BitMap) -> None:
        """Take up that these may be silent after another time than before."""
        self.machines -= machines
        self._others |= machines

    def at(
        self,
        moment: float,
        heard_at: Mapping[int, float],
        *,
        usual_s: float,
        silent_after_s: Callable[[int], float],
    ) -> BitMap:
        """Return who was heard of late at that moment; nobody changes what is handed over."""
        if usual_s != self._usual_s or moment < self._moment:
            self.machines, self._watch = BitMap(), Watch()
            looked: Iterable[int] = heard_at
        else:
            looked = {*(self._others - self.machines), *self._watch.ended(moment)}
        self._others, self._usual_s, self._moment = BitMap(), usual_s, moment
        silent = []
        for number in looked:
            ends = heard_at.get(number, 0.0) + silent_after_s(number)
            if ends <= moment:
                silent.append(number)
            else:
                self.machines.add(number)
                self._watch.watch(number, ends)
        self.machines -= BitMap(silent)
        return self.machines
