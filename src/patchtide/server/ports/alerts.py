"""What alerts need from the database: those that were raised, and who took them on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class Alert:
    """One time that a rule was broken."""

    id: str
    rule: str
    text: str
    """What was seen when it was raised."""
    raised_at: datetime
    ended_at: datetime | None = None
    acknowledged_by: str = ""
    acknowledged_at: datetime | None = None


class AlertWriting(Protocol):
    """Inside one decision."""

    def add(self, alert: Alert) -> None: ...

    def end(self, rule: str, *, at: datetime) -> bool:
        """Return whether one of that rule was raised."""
        ...

    def acknowledge(self, rule: str, *, by: str, at: datetime) -> Alert | None:
        """Return the raised one of that rule, which somebody has taken on now."""
        ...


class AlertReading(Protocol):
    def alerts(self, *, rule: str = "", limit: int = 100) -> Sequence[Alert]:
        """Return those of one rule or of all, the newest first; those that are raised first."""
        ...

    def raised(self) -> Sequence[Alert]: ...
