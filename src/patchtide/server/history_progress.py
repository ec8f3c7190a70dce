"""How far each update has come, carried on from one day's counts to the next."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from datetime import date

from patchtide.domain.compliance.reaching import SHARES, Reaching, advanced
from patchtide.server.history_rows import Column, UpdateColumns, pack_columns, read_columns

_COLUMNS = 3 + len(SHARES)


@dataclass(slots=True)
class Progress:
    """By place. A day is its number from year 1, and 0 is none."""

    has: Column
    """How many had it at the last count."""
    since: Column
    base: Column
    reached: list[Column]

    @classmethod
    def of_length(cls, length: int) -> Progress:
        columns = [array("I", bytes(4 * length)) for _ in range(_COLUMNS)]
        return cls(columns[0], columns[1], columns[2], columns[3:])

    @classmethod
    def read(cls, document: bytes) -> Progress:
        columns = read_columns(document, columns=_COLUMNS)
        return cls(columns[0], columns[1], columns[2], columns[3:])

    def packed(self) -> bytes:
        return pack_columns([self.has, self.since, self.base, *self.reached])

    def at(self, place: int) -> Reaching | None:
        if place >= len(self.since) or not self.since[place]:
            return None
        return Reaching(
            since=date.fromordinal(self.since[place]),
            base=self.base[place],
            reached=tuple(_day(column[place]) for column in self.reached),
        )

    def put(self, place: int, reaching: Reaching) -> None:
        self.since[place] = reaching.since.toordinal()
        self.base[place] = reaching.base
        for column, day in zip(self.reached, reaching.reached, strict=True):
            column[place] = 0 if day is None else day.toordinal()


def progressed(before: Progress | None, counts: UpdateColumns, *, day: date) -> Progress:
    """Return how far each update is after this day; `before` is of an earlier one."""
    length = len(counts.required)
    after = Progress.of_length(length)
    for place in range(length):
        required = counts.required[place]
        has = after.has[place] = counts.installed[place] - counts.restart[place]
        known = before.at(place) if before else None
        if not required and known is None:
            continue
        reaching = advanced(
            known, day=day, required=required, has=has, had=_had(before, place, has)
        )
        if reaching is not None:
            after.put(place, reaching)
    return after


def _had(before: Progress | None, place: int, has: int) -> int:
    """Return how many had it at the count before; when there was none, those that have it now."""
    if before is None:
        return has
    return before.has[place] if place < len(before.has) else 0


def _day(number: int) -> date | None:
    return date.fromordinal(number) if number else None
