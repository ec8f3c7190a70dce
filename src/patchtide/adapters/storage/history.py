"""The fleet's history: what was counted on which day."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, Connection, Table, delete, func, insert, or_, select

from patchtide.adapters.storage.history_tables import (
    history_block,
    history_day,
    history_needing,
    history_pair,
    history_place,
    history_progress,
    history_since,
)
from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.update_lists import Read
from patchtide.server.ports.history import StoredDay

_DAY = select(history_day).order_by(history_day.c.day)


class HistoryReads:
    """The HistoryReading port."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def days(self, *, first: date, last: date) -> Sequence[StoredDay]:
        between = history_day.c.day.between(first.toordinal(), last.toordinal())
        return self._read(lambda c: [_stored(row) for row in c.execute(_DAY.where(between))])

    def newest(self, *, before: date) -> StoredDay | None:
        earlier = select(history_day).where(history_day.c.day < before.toordinal())
        newest = earlier.order_by(history_day.c.day.desc()).limit(1)
        row = self._read(lambda c: c.execute(newest).first())
        return None if row is None else _stored(row)

    def recorded(self) -> Sequence[date]:
        all_days = select(history_day.c.day).order_by(history_day.c.day)
        return self._read(lambda c: [date.fromordinal(n) for n in c.execute(all_days).scalars()])

    def block(self, block: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        return self._days_of(history_block, history_block.c.block == block, first, last)

    def pairs(self, part: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        return self._days_of(history_pair, history_pair.c.part == part, first, last)

    def needing(self, block: int, *, first: date, last: date) -> Sequence[tuple[date, bytes]]:
        return self._days_of(history_needing, history_needing.c.block == block, first, last)

    def needed_since(self) -> Sequence[tuple[int, bytes]]:
        found = select(history_since.c.block, history_since.c.document)
        return self._read(lambda c: [(row.block, row.document) for row in c.execute(found)])

    def _days_of(
        self, table: Table, which: ColumnElement[bool], first: date, last: date
    ) -> Sequence[tuple[date, bytes]]:
        between = table.c.day.between(first.toordinal(), last.toordinal())
        found = select(table.c.day, table.c.document).where(which, between).order_by(table.c.day)
        return self._read(
            lambda c: [(date.fromordinal(row.day), row.document) for row in c.execute(found)]
        )

    def place(self, update: UUID) -> int | None:
        named = history_place.c.update_id == update.bytes
        found = select(history_place.c.place).where(named)
        return self._read(lambda c: c.execute(found).scalar())

    def places(self) -> Mapping[UUID, int]:
        found = select(history_place.c.update_id, history_place.c.place)
        return self._read(
            lambda c: {UUID(bytes=row.update_id): row.place for row in c.execute(found)}
        )

    def progress(self, day: date) -> bytes | None:
        named = history_progress.c.day == day.toordinal()
        found = select(history_progress.c.document).where(named)
        return self._read(lambda c: c.execute(found).scalar())


class HistoryWrites:
    """The HistoryWriting port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add_places(self, first: int, updates: Sequence[UUID]) -> None:
        rows = [{"place": first + n, "update_id": one.bytes} for n, one in enumerate(updates)]
        if rows:
            self._connection.execute(insert(history_place), rows)

    def put_day(
        self,
        day: StoredDay,
        *,
        blocks: Sequence[bytes],
        pairs: Mapping[int, bytes],
        progress: bytes,
    ) -> None:
        number = day.day.toordinal()
        self._drop([number])
        row = {"day": number, "at": day.at.timestamp(), "document": day.document}
        self._connection.execute(insert(history_day), row)
        rows = [{"block": n, "day": number, "document": one} for n, one in enumerate(blocks)]
        if rows:
            self._connection.execute(insert(history_block), rows)
        counted = [{"part": n, "day": number, "document": one} for n, one in pairs.items()]
        if counted:
            self._connection.execute(insert(history_pair), counted)
        self._put_progress(number, progress)

    def _put_progress(self, number: int, progress: bytes) -> None:
        at = history_progress.c.day
        earlier = select(func.max(at)).where(at < number)
        kept = self._connection.execute(earlier).scalar() or 0
        # Those of days to come stay: perhaps it is this clock that is wrong.
        gone = or_(at == number, at < kept)
        self._connection.execute(delete(history_progress).where(gone))
        self._connection.execute(insert(history_progress), {"day": number, "document": progress})

    def put_needing(self, day: date, blocks: Mapping[int, bytes], *, kept_since: date) -> None:
        number, at = day.toordinal(), history_needing.c.day
        gone = or_(at == number, at < kept_since.toordinal())
        self._connection.execute(delete(history_needing).where(gone))
        rows = [{"block": n, "day": number, "document": one} for n, one in blocks.items()]
        self._connection.execute(insert(history_needing), rows)

    def put_needed_since(self, blocks: Mapping[int, bytes]) -> None:
        gone = history_since.c.block.in_(blocks)
        self._connection.execute(delete(history_since).where(gone))
        rows = [{"block": n, "document": one} for n, one in blocks.items()]
        if rows:
            self._connection.execute(insert(history_since), rows)

    def drop_days(self, days: Sequence[date]) -> None:
        numbers = [day.toordinal() for day in days]
        self._drop(numbers)
        gone = history_needing.c.day.in_(numbers)
        self._connection.execute(delete(history_needing).where(gone))

    def _drop(self, numbers: Sequence[int]) -> None:
        for table in (history_day, history_block, history_pair):
            self._connection.execute(delete(table).where(table.c.day.in_(numbers)))


def _stored(row: Any) -> StoredDay:
    return StoredDay(day=date.fromordinal(row.day), at=instant(row.at), document=row.document)
