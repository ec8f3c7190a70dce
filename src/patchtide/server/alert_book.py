"""The rules of alerts as they are kept, and how each stood when it was last measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from patchtide.domain.alerts.rules import Rule, Unit, Watched
from patchtide.domain.alerts.turns import Standing

RULES, STANDINGS = "alerts.rules", "alerts.standings"
MOST = 100
"""Rules: each is a figure for monitoring, too."""


class KeptRule(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    watched: Watched
    limit: float
    unit: Unit
    query: str = ""
    margin: float = 0.0
    lasting_s: float = 0.0
    channels: tuple[str, ...] = ()
    """Who is told besides log, console and metrics."""
    by: str = ""
    at: float = 0.0

    def rule(self) -> Rule:
        return Rule(
            name=self.name,
            watched=self.watched,
            limit=self.limit,
            unit=self.unit,
            query=self.query,
            margin=self.margin,
            lasting=timedelta(seconds=self.lasting_s),
        )


class KeptStanding(msgspec.Struct, frozen=True, kw_only=True):
    is_raised: bool = False
    turning_since: float = 0.0
    """0: it does not turn."""
    value: float | None = None
    unmeasured_since: float = 0.0
    """0: it could be measured."""

    def standing(self) -> Standing:
        since = self.turning_since
        return Standing(self.is_raised, datetime.fromtimestamp(since, UTC) if since else None)

    @classmethod
    def of(
        cls, standing: Standing, value: float | None, *, unmeasured: float = 0.0
    ) -> KeptStanding:
        since = standing.turning_since
        return cls(
            is_raised=standing.is_raised,
            turning_since=since.timestamp() if since else 0.0,
            value=value,
            unmeasured_since=unmeasured,
        )


class Standings(msgspec.Struct, frozen=True, kw_only=True):
    """How all rules stood, and up to where the log of decisions was read for them."""

    measured_at: float = 0.0
    rules: Mapping[str, KeptStanding] = {}
    epoch: str = ""
    read_up_to: int = 0
    alarms: Mapping[str, Sequence[float]] = {}
    """When what the log tells of happened, by what it is, within a day."""


READY = tuple(
    KeptRule(name=watched.value, watched=watched, limit=1, unit=Unit.COUNT)
    for watched in (Watched.CLONES, Watched.DIVERGENCE, Watched.LIMITS)
)
"""A site begins with these: of what may be an attack nobody need think of asking to be told."""


def read_rules(data: bytes | None) -> Sequence[KeptRule]:
    return READY if data is None else msgspec.msgpack.decode(data, type=list[KeptRule])


def read_standings(data: bytes | None) -> Standings:
    return msgspec.msgpack.decode(data, type=Standings) if data else Standings()


def pack(told: Standings | Sequence[KeptRule]) -> bytes:
    return msgspec.msgpack.encode(told)
