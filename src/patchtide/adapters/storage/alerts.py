"""Alerts that were raised. Of each rule at most one is at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from patchtide.adapters.storage.rows import instant
from patchtide.adapters.storage.tables import alert
from patchtide.adapters.storage.update_lists import Read
from patchtide.server.ports.alerts import Alert

_RAISED = alert.c.ended_at == 0.0


class AlertWrites:
    """The AlertWriting port over one connection."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def add(self, alert_: Alert) -> None:
        row = {
            "id": alert_.id,
            "rule": alert_.rule,
            "text": alert_.text,
            "raised_at": alert_.raised_at.timestamp(),
            "ended_at": 0.0,
            "acknowledged_by": "",
            "acknowledged_at": 0.0,
        }
        self._connection.execute(insert(alert).values(row))

    def end(self, rule: str, *, at: datetime) -> bool:
        raised = update(alert).where(alert.c.rule == rule, _RAISED)
        return self._connection.execute(raised.values(ended_at=at.timestamp())).rowcount > 0

    def acknowledge(self, rule: str, *, by: str, at: datetime) -> Alert | None:
        taken = (
            update(alert)
            .where(alert.c.rule == rule, _RAISED)
            .values(acknowledged_by=by, acknowledged_at=at.timestamp())
            .returning(alert)
        )
        row = self._connection.execute(taken).first()
        return None if row is None else _alert(row)


class AlertReads:
    """The AlertReading port."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def raised(self) -> Sequence[Alert]:
        found = select(alert).where(_RAISED).order_by(alert.c.raised_at.desc(), alert.c.id)
        return self._read(lambda c: [_alert(row) for row in c.execute(found)])

    def alerts(self, *, rule: str = "", limit: int = 100) -> Sequence[Alert]:
        found = select(alert).order_by(alert.c.raised_at.desc(), alert.c.id).limit(limit)
        if rule:
            found = found.where(alert.c.rule == rule)
        return self._read(lambda c: [_alert(row) for row in c.execute(found)])


def _alert(row: Any) -> Alert:
    return Alert(
        id=row.id,
        rule=row.rule,
        text=row.text,
        raised_at=instant(row.raised_at),
        ended_at=instant(row.ended_at) if row.ended_at else None,
        acknowledged_by=row.acknowledged_by,
        acknowledged_at=instant(row.acknowledged_at) if row.acknowledged_at else None,
    )
