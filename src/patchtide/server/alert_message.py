"""What channels are told of an alert: that it was raised, or that it ended."""

from __future__ import annotations

import secrets
from datetime import datetime

from patchtide.domain.alerts.rules import Rule
from patchtide.server.channel_book import message
from patchtide.server.ports.notifying import Message


def turned(rule: Rule, turn: str, text: str, value: float | None, *, now: datetime) -> Message:
    """Return the message; `value` is what was measured last, None: nothing could be."""
    return message(
        secrets.token_hex(16),
        f"alert.{turn}",
        f"{turn}: {rule.name}",
        text,
        at=now,
        alert={
            "rule": rule.name,
            "watched": rule.watched.value,
            "value": value,
            "limit": rule.limit,
            "unit": rule.unit.value,
            "query": rule.query,
        },
    )
