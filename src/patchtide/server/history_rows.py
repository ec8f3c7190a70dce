"""The rows of the fleet's history: one a day of the fleet, and of updates a thousand in a row.

Counts of updates stand column by column and byte by byte, which zstd makes an eighth of, and
which one count is read out of without reading the others.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from patchtide.domain.compliance.history import MachineCount, UpdateCount
from patchtide.wire.sets import pack, unpack

BLOCK = 1024
"""Updates in a row."""
LONGEST = 1200
"""Days back that a history tells of."""
MOST_BYTES = 16 << 20
"""That a row may be, unpacked."""
_WIDTH = 4
Column: TypeAlias = "array[int]"


@dataclass(slots=True)
class UpdateColumns:
    """Counts of updates, each at its place."""

    required: Column
    installed: Column
    restart: Column
    behind: Column
    unjudged: Column

    @classmethod
    def of_length(cls, length: int) -> UpdateColumns:
        return cls(*(array("I", bytes(_WIDTH * length)) for _ in range(5)))

    def put(self, place: int, count: UpdateCount) -> None:
        self.required[place] = count.required
        self.installed[place] = count.installed
        self.restart[place] = count.restart
        self.behind[place] = count.behind
        self.unjudged[place] = count.unjudged

    def columns(self) -> Sequence[Column]:
        return (self.required, self.installed, self.restart, self.behind, self.unjudged)


class CountRow(msgspec.Struct, frozen=True, array_like=True):
    """Machines by how they stand on updates, and how many of these there were."""

    compliant: int
    required: int
    restart: int
    unknown: int
    updates: int = 0
    made_at: float = 0.0
    """Of a list: that stays when it gets another name."""

    @classmethod
    def of(cls, count: MachineCount, *, updates: int, made_at: float = 0.0) -> CountRow:
        return cls(count.compliant, count.required, count.restart, count.unknown, updates, made_at)

    @property
    def count(self) -> MachineCount:
        return MachineCount(
            compliant=self.compliant,
            required=self.required,
            restart=self.restart,
            unknown=self.unknown,
        )


class Change(msgspec.Struct, frozen=True, array_like=True):
    """Decisions of one kind on one day that move counts."""

    operation: str
    subject: str
    """Empty where decisions about many things are told of together."""
    at: float
    """Of the first of them, in epoch seconds."""
    sequence: int
    """Its place in the audit."""
    count: int = 1


class DayRow(msgspec.Struct, frozen=True, kw_only=True):
    """The fleet on one day."""

    node: str
    fleet: CountRow
    """All active machines, on all that is published."""
    waiting: int
    quarantined: int
    reporting: int
    doubts: Mapping[str, int]
    """Why how many are unknown."""
    lists: Mapping[str, CountRow] = {}
    searches: Mapping[str, CountRow] = {}
    """By the names that they had."""
    left_out: int = 0
    """Lists and searches that were not counted: there were too many updates on them."""
    changes: tuple[Change, ...] = ()
    audit_upto: int = 0
    """The last audit entry that was looked at for changes."""


_DAY = msgspec.msgpack.Decoder(DayRow)


def pack_day(row: DayRow) -> bytes:
    return pack(msgspec.msgpack.encode(row))


def read_day(document: bytes) -> DayRow:
    """Raises InvalidDocument, msgspec.DecodeError."""
    return _DAY.decode(unpack(document, limit=MOST_BYTES, what="history"))


def planes_of(columns: Sequence[Column]) -> bytes:
    return b"".join(map(_planes, columns))


def pack_columns(columns: Sequence[Column]) -> bytes:
    return pack(planes_of(columns))


def pack_blocks(counts: UpdateColumns) -> list[bytes]:
    length = len(counts.required)
    return [
        pack_columns([column[start : start + BLOCK] for column in counts.columns()])
        for start in range(0, length, BLOCK)
    ]


def read_columns(document: bytes, *, columns: int) -> list[Column]:
    raw = unpack(document, limit=MOST_BYTES, what="history")
    size = len(raw) // columns
    return [_unplaned(raw[n * size : (n + 1) * size]) for n in range(columns)]


def count_at(document: bytes, place: int) -> UpdateCount:
    """Return the counts of one update of the block; of one that was not known then, none."""
    return count_among(unpack(document, limit=MOST_BYTES, what="history"), place % BLOCK)


def count_among(counts: bytes, at: int) -> UpdateCount:
    """Return the counts that stand there in what `planes_of` made of columns, if there are any."""
    length = len(counts) // (5 * _WIDTH)
    if at >= length:
        return UpdateCount()
    planes = counts[at::length]
    numbers = [int.from_bytes(planes[n : n + _WIDTH], "little") for n in range(0, 20, _WIDTH)]
    return UpdateCount(
        required=numbers[0],
        installed=numbers[1],
        restart=numbers[2],
        behind=numbers[3],
        unjudged=numbers[4],
    )


def _planes(column: Column) -> bytes:
    """Return the lowest bytes of all numbers, then the next ones: each are much alike."""
    if sys.byteorder == "big":
        column = column[:]
        column.byteswap()
    data = column.tobytes()
    return b"".join(data[n::_WIDTH] for n in range(_WIDTH))


def _unplaned(planes: bytes) -> Column:
    data, length = bytearray(len(planes)), len(planes) // _WIDTH
    for n in range(_WIDTH):
        data[n::_WIDTH] = planes[n * length : (n + 1) * length]
    column = array("I", bytes(data))
    if sys.byteorder == "big":
        column.byteswap()
    return column
