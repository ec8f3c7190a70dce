"""Following the two logs by change number: accepted reports, and decisions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, insert, select, update

from patchtide.adapters.storage import ticket
from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.tables import decision_log, log_cursor, setting, state_delta
from patchtide.adapters.storage.upkeep import TRIMMED
from patchtide.domain.errors import CursorLost
from patchtide.server.ports.following import Cursor, DecisionEvent, StateDelta


def deltas(
    connection: Connection, cursor: Cursor, *, limit: int
) -> tuple[Cursor, Sequence[StateDelta]]:
    """Return what machines reported after the cursor.

    Raises:
        CursorLost: see `_page`.
    """
    end, page = _page(connection, state_delta, cursor, limit)
    return end, [
        StateDelta(
            change=row.change,
            client=row.client,
            required_added=row.required_added,
            required_removed=row.required_removed,
            installed_added=row.installed_added,
            installed_removed=row.installed_removed,
            unknown_added=row.unknown_added,
            unknown_removed=row.unknown_removed,
        )
        for row in page
    ]


def reporters(
    connection: Connection, cursor: Cursor, *, limit: int
) -> tuple[Cursor, Sequence[int]]:
    """Return which clients reported after the cursor, without what they said.

    Raises:
        CursorLost: see `_page`.
    """
    chosen = (state_delta.c.change, state_delta.c.client)
    end, page = _page(connection, state_delta, cursor, limit, *chosen)
    return end, [row.client for row in page]


def decisions(
    connection: Connection, cursor: Cursor, *, limit: int
) -> tuple[Cursor, Sequence[DecisionEvent]]:
    """Return what was decided after the cursor.

    Raises:
        CursorLost: see `_page`.
    """
    end, page = _page(connection, decision_log, cursor, limit)
    return end, [
        DecisionEvent(
            change=row.change,
            at=instant(row.at),
            actor=row.actor,
            operation=row.operation,
            subject=row.subject,
            detail=json.loads(row.detail),
        )
        for row in page
    ]


def _page(
    connection: Connection, log: Table, cursor: Cursor, limit: int, *chosen: ColumnElement[Any]
) -> tuple[Cursor, Sequence[Any]]:
    """Return the next entries, or what is chosen of them, and the cursor behind them.

    Raises:
        CursorLost: the cursor is of another epoch, or what follows it was trimmed.
    """
    now = ticket.position(connection)
    # Beyond the newest number in the same epoch: the database was put back and nobody said so.
    if cursor.epoch != now.epoch or not _trimmed(connection, log) <= cursor.n <= now.n:
        raise CursorLost
    found = (
        select(*(chosen or log.c))
        .where(log.c.change > cursor.n)
        .order_by(log.c.change)
        .limit(limit)
    )
    page = connection.execute(found).all()
    # Numbers are gapless and in the order of commits: a short page means that all is read.
    return Cursor(epoch=now.epoch, n=page[-1].change if len(page) == limit else now.n), page


def _trimmed(connection: Connection, log: Table) -> int:
    found = select(setting.c.value).where(setting.c.name == TRIMMED[log.name])
    return int(connection.execute(found).scalar() or 0)


def keep_cursor(connection: Connection, follower: str, cursor: Cursor) -> None:
    mine = log_cursor.c.follower == follower
    values = {"epoch": cursor.epoch, "n": cursor.n}
    if connection.execute(update(log_cursor).where(mine).values(values)).rowcount == 0:
        connection.execute(insert(log_cursor).values(follower=follower, **values))
