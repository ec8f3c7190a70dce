"""What a named report answers: a table, and all that says how far it may be believed.

One value for everybody who shows it: console, interface, files, mail. It is of one moment: nothing
in it changes any more, though its rows are made only when somebody reads them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar, overload

from patchtide.domain.compliance.shares import share

H = TypeVar("H")
Cell = str | int | float | bool | datetime | tuple[str, ...] | None


class CellKind(StrEnum):
    TEXT = "text"
    TEXTS = "texts"
    NUMBER = "number"
    SHARE = "share"
    """In per cent, rounded down: 100 stands for all alone."""
    INSTANT = "instant"
    WORD = "word"
    """One of few; what people read for it, the column says."""
    FLAG = "flag"


@dataclass(frozen=True, slots=True, kw_only=True)
class ReportColumn:
    key: str
    heading: str
    kind: CellKind = CellKind.TEXT
    words: Mapping[str, str] = field(default_factory=dict)
    """What people read for what a WORD says."""
    is_sortable: bool = True
    falls: bool = False
    """People look at its greatest first: sorting by it begins there, and a minus turns it round."""


def number(key: str, heading: str) -> ReportColumn:
    return ReportColumn(key=key, heading=heading, kind=CellKind.NUMBER, falls=True)


@dataclass(frozen=True, slots=True)
class Row:
    """Cells in the order of the columns, and where a click on one leads, by column."""

    cells: tuple[Cell, ...]
    links: Mapping[str, str] = field(default_factory=dict)


class Rows(Sequence[Row], Generic[H]):
    """Made one by one of what they are about, and not kept: a fleet's rows fill no memory."""

    def __init__(self, about: Sequence[H], make: Callable[[H], Row]) -> None:
        self._about = about
        self._make = make

    def __len__(self) -> int:
        return len(self._about)

    def __iter__(self) -> Iterator[Row]:
        return map(self._make, self._about)

    @overload
    def __getitem__(self, place: int) -> Row: ...

    @overload
    def __getitem__(self, place: slice) -> Sequence[Row]: ...

    def __getitem__(self, place: int | slice) -> Row | Sequence[Row]:
        if isinstance(place, slice):
            return Rows(self._about[place], self._make)
        return self._make(self._about[place])


@dataclass(frozen=True, slots=True, kw_only=True)
class Denominators:
    """Of whom shares speak: all members, or those of them whose last report is believed."""

    members: int
    reporting: int
    doubts: Mapping[str, int]
    """Why the others do not report: how many for which reason."""

    def of_members(self, part: int) -> float | None:
        return share(part, self.members)

    def of_reporting(self, part: int) -> float | None:
        return share(part, self.reporting)


MEMBERS, UPDATES = "all members", "all updates"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number that sums up a report."""

    key: str
    heading: str
    count: int
    of: int | None = None
    among: str = MEMBERS
    """Whom its share speaks of, if it has one."""
    link: str = ""

    @property
    def share(self) -> float | None:
        return None if self.of is None else share(self.count, self.of)


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    name: str
    title: str
    says: str
    """What it shows, in a sentence."""
    site: str
    parameters: Sequence[tuple[str, str]]
    """What was asked for, in words: what, and which."""
    at: datetime
    """As of when: all that was durable then is counted."""
    waiting: int
    """Reports of machines that are not counted: they came since, or are not durable yet."""
    silent: int
    """Members that were not heard of late."""
    silent_after_s: int
    denominators: Denominators
    figures: Sequence[Figure] = ()
    columns: Sequence[ReportColumn]
    rows: Sequence[Row]
    """One page of them, or all."""
    total: int
    first: int = 1
    """Where the page begins, counted from 1."""
    sort: str = ""
    link: str = ""
    """The path of its page in the console."""
