"""Stretches of time, half open, and their union and difference.

Where several are given or returned, they are in order, and those that come back neither overlap
nor touch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple


class Span(NamedTuple):
    """`begins` is in it, `ends` is not."""

    begins: datetime
    ends: datetime

    @property
    def length(self) -> timedelta:
        return self.ends - self.begins

    def has(self, moment: datetime) -> bool:
        return self.begins <= moment < self.ends


def united(spans: Iterable[Span]) -> list[Span]:
    """Return what lies in any of them; they may come in any order."""
    found: list[Span] = []
    for span in sorted(spans):
        if found and span.begins <= found[-1].ends:
            found[-1] = Span(found[-1].begins, max(found[-1].ends, span.ends))
        elif span.begins < span.ends:
            found.append(span)
    return found


def without(spans: Sequence[Span], removed: Sequence[Span]) -> list[Span]:
    """Return what lies in the first and not in the second; both are united."""
    found: list[Span] = []
    place = 0
    for span in spans:
        begins = span.begins
        while place < len(removed) and removed[place].ends <= begins:
            place += 1
        for gap in removed[place:]:
            if gap.begins >= span.ends:
                break
            if gap.begins > begins:
                found.append(Span(begins, gap.begins))
            begins = gap.ends
        if begins < span.ends:
            found.append(Span(begins, span.ends))
    return found
