"""The days on which vendors release: Patch Tuesday and its like, as anchors for schedules.

A cycle is a day of the month counted by weeks ("the second Tuesday"), in some months or in all,
moved by some days ("the Thursday before").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from types import MappingProxyType

ALL_MONTHS = frozenset(range(1, 13))
MONDAY, TUESDAY, WEDNESDAY = range(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cycle:
    """The n-th such weekday of these months, moved by `shift` days."""

    nth: int
    weekday: int
    """0 is Monday."""
    months: frozenset[int] = ALL_MONTHS
    shift: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.nth <= 4 or not 0 <= self.weekday <= 6 or abs(self.shift) > 14:
            raise ValueError(
                "a cycle is the first to the fourth weekday, moved by two weeks at most"
            )
        if not self.months or not self.months <= ALL_MONTHS:
            raise ValueError("a cycle is of at least one month of the year")

    def last(self, day: date) -> date:
        """Return the newest of its days up to and with that one."""
        place = _place(day) + 1
        while (found := self._of(place)) is None or found > day:
            place -= 1
        return found

    def next(self, day: date) -> date:
        """Return the first of its days after that one."""
        place = _place(day) - 1
        while (found := self._of(place)) is None or found <= day:
            place += 1
        return found

    def _of(self, place: int) -> date | None:
        """Return the day that the month brings; a shift may have moved it out of the month."""
        year, month = divmod(place, 12)
        if month + 1 not in self.months:
            return None
        first = date(year, month + 1, 1)
        ahead = (self.weekday - first.weekday()) % 7 + 7 * (self.nth - 1)
        return first + timedelta(days=ahead + self.shift)


def _place(day: date) -> int:
    """Return the month's place in the row of all months."""
    return day.year * 12 + day.month - 1


PATCH_TUESDAY = Cycle(nth=2, weekday=TUESDAY)
CYCLES: Mapping[str, Cycle] = MappingProxyType(
    {
        "patch-tuesday": PATCH_TUESDAY,
        "advance-notice": Cycle(nth=2, weekday=TUESDAY, shift=-5),
        "preview-tuesday": Cycle(nth=4, weekday=TUESDAY),
        "android": Cycle(nth=1, weekday=MONDAY),
        "cisco": Cycle(nth=4, weekday=WEDNESDAY, months=frozenset({3, 9})),
        "oracle": Cycle(nth=3, weekday=TUESDAY, months=frozenset({1, 4, 7, 10})),
        "sap": PATCH_TUESDAY,
    }
)
"""By name: Microsoft's three, then those of vendors who keep a calendar of their own."""
