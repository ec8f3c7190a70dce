"""Messages that wait until somebody outside was told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from patchtide.adapters.storage.tables import outbox
from patchtide.adapters.storage.update_lists import Read
from patchtide.server.ports.notifying import ChannelStanding, Message, Outgoing

NEVER = 1e12
"""Due no more: nobody tries it again."""
_c = outbox.c
_MOST_ERROR = 1000


class OutboxWrites:
    """The OutboxWriting port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def put(self, outgoing: Sequence[Outgoing]) -> None:
        rows = [
            {
                "message": one.message.id,
                "channel": one.channel,
                "at": one.message.at.timestamp(),
                "due_at": one.message.at.timestamp(),
                "attempts": 0,
                "error": "",
                "document": msgspec.msgpack.encode(one.message),
            }
            for one in outgoing
        ]
        if rows:
            self._connection.execute(insert(outbox), rows)

    def claim(
        self, *, now: datetime, until: datetime, limit: int, of_one: int
    ) -> Sequence[Outgoing]:
        place = func.row_number().over(partition_by=_c.channel, order_by=(_c.due_at, _c.message))
        ready = _c.due_at <= now.timestamp()
        turn = select(_c.message, _c.channel, place.label("place")).where(ready).subquery()
        first = select(turn.c.message, turn.c.channel).where(turn.c.place <= of_one)
        due = (
            select(outbox)
            # What another node takes meanwhile is not due any more once its lock is gone.
            .where(ready, tuple_(_c.message, _c.channel).in_(first))
            .order_by(_c.due_at, _c.message, _c.channel)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        found = self._connection.execute(due).all()
        for row in found:
            mine = (_c.message == row.message, _c.channel == row.channel)
            self._connection.execute(update(outbox).where(*mine).values(due_at=until.timestamp()))
        return [
            Outgoing(
                channel=row.channel,
                message=msgspec.msgpack.decode(row.document, type=Message),
                attempts=row.attempts,
            )
            for row in found
        ]

    def told(self, message: str, channel: str) -> None:
        mine = (_c.message == message, _c.channel == channel)
        self._connection.execute(delete(outbox).where(*mine))

    def failed(self, message: str, channel: str, *, error: str, again_at: datetime | None) -> None:
        values = {
            "due_at": again_at.timestamp() if again_at else NEVER,
            "attempts": _c.attempts + 1,
            "error": error[:_MOST_ERROR],
        }
        mine = (_c.message == message, _c.channel == channel)
        self._connection.execute(update(outbox).where(*mine).values(values))


class OutboxReads:
    """The OutboxReading port."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def is_due(self, *, now: datetime) -> bool:
        due = select(_c.message).where(_c.due_at <= now.timestamp()).limit(1)
        return self._read(lambda c: c.execute(due).first() is not None)

    def standings(self) -> Mapping[str, ChannelStanding]:
        counted = select(
            _c.channel, (_c.due_at == NEVER).label("is_over"), func.count(), func.max(_c.error)
        )
        # By its name: PostgreSQL takes the same comparison with two parameters for two of them.
        grouped = counted.group_by(_c.channel, "is_over")
        found: dict[str, ChannelStanding] = {}
        for channel, over, count, error in self._read(lambda c: c.execute(grouped).all()):
            known = found.get(channel, ChannelStanding())
            found[channel] = ChannelStanding(
                waiting=known.waiting + (0 if over else count),
                given_up=known.given_up + (count if over else 0),
                error=error or known.error,
            )
        return found
