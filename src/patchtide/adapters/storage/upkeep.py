"""What is trimmed, in slices: deltas after a day, decisions after a month, old events."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import Connection, Table, delete, func, insert, select, update

from patchtide.adapters.storage import ticket
from patchtide.adapters.storage.tables import (
    client,
    client_event,
    decision_log,
    log_cursor,
    setting,
    state_delta,
)

SLICE = 500
DELTAS_S = 86_400.0
DECISIONS_S = 30 * 86_400.0
EVENTS_S = 400 * 86_400.0
Slice = Callable[[Connection], bool]
"""Does one slice of the work; True when there is more."""


def slices(now: float) -> tuple[Slice, ...]:
    return (
        lambda c: _trim_deltas(c, now - DELTAS_S),
        lambda c: _trim_decisions(c, now - DECISIONS_S),
        lambda c: _trim(c, client_event, now - EVENTS_S),
    )


def _trim_deltas(connection: Connection, before: float) -> bool:
    old = (
        select(state_delta.c.change)
        .where(state_delta.c.at < before)
        .order_by(state_delta.c.change)
        .limit(SLICE)
    )
    changes = list(connection.execute(old).scalars())
    if not changes:
        return False
    connection.execute(delete(state_delta).where(state_delta.c.change <= changes[-1]))
    mark = str(changes[-1]).encode()
    named = setting.c.name == "deltas.trimmed"
    if connection.execute(update(setting).where(named).values(value=mark)).rowcount == 0:
        connection.execute(insert(setting).values(name="deltas.trimmed", value=mark))
    return len(changes) == SLICE


def _trim_decisions(connection: Connection, before: float) -> bool:
    """Trim what every follower of this epoch has read."""
    epoch = ticket.position(connection).epoch
    behind = connection.execute(
        select(func.min(log_cursor.c.n)).where(log_cursor.c.epoch == epoch)
    ).scalar()
    newest = connection.execute(select(func.max(decision_log.c.change))).scalar() or 0
    old = select(decision_log.c.change).where(
        decision_log.c.at < before,
        decision_log.c.change <= (newest - 1 if behind is None else behind),
        decision_log.c.change < newest,
    )
    return _delete(connection, decision_log, old.order_by(decision_log.c.change).limit(SLICE))


def _trim(connection: Connection, table: Table, before: float) -> bool:
    keys = list(table.primary_key.columns)
    old = select(*keys).where(table.c.at < before).limit(SLICE)
    found = connection.execute(old).all()
    for row in found:
        connection.execute(
            delete(table).where(*(column == value for column, value in zip(keys, row, strict=True)))
        )
    return len(found) == SLICE


def _delete(connection: Connection, table: Table, old: object) -> bool:
    changes = list(connection.execute(old).scalars())  # type: ignore[call-overload]
    if changes:
        connection.execute(delete(table).where(table.c.change.in_(changes)))
    return len(changes) == SLICE


def ask_everybody(connection: Connection) -> None:
    """Begin a new epoch after a restore: every machine is asked for everything."""
    ticket.start_epoch(connection)
    connection.execute(update(client).values(full_report=True))
