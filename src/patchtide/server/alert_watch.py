"""Measures what alerts watch, once a minute on one node of a site, and says what came of it.

Which node does it, nobody appoints: whoever locks the standings first when a minute is over. What
is raised or ends becomes durable together with the standings, so no node tells it twice.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, Protocol

import msgspec

from patchtide.domain.alerts.rules import Rule, Watched
from patchtide.domain.alerts.turns import Turn, advance
from patchtide.domain.errors import CursorLost
from patchtide.server.alert_book import (
    RULES,
    STANDINGS,
    KeptStanding,
    Standings,
    pack,
    read_rules,
    read_standings,
)
from patchtide.server.alert_facts import AlertFacts
from patchtide.server.alert_message import turned
from patchtide.server.alert_words import sentence, unmeasured
from patchtide.server.channel_book import tell
from patchtide.server.disruptions import REACHED
from patchtide.server.node_figures import NodeFigures, exchanged
from patchtide.server.ports.alerts import Alert
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.following import Cursor, DecisionEvent
from patchtide.server.proposing import PROPOSED

log = logging.getLogger(__name__)

EVERY = timedelta(minutes=1)
OF_NODES = frozenset({Watched.WAITING_REPORTS, Watched.INDEX_LAG})
ALARMS_KEPT = timedelta(days=1)
PAGE = 1000
SYSTEM, MEASURE = "system", "alerts.measure"


class AlertReading(Protocol):
    def setting(self, name: str) -> bytes | None: ...

    def epoch(self) -> Cursor: ...

    def decided(
        self, cursor: Cursor, *, limit: int = 1000
    ) -> tuple[Cursor, Sequence[DecisionEvent]]: ...


@dataclass(frozen=True, slots=True)
class Told:
    """A rule that turned, or that nothing can be measured for, and what was seen."""

    rule: Rule
    value: float | None
    channels: Sequence[str]
    turn: Turn | Literal["unmeasured"]
    text: str


@dataclass(kw_only=True)
class AlertWatch:
    facts: AlertFacts
    reading: AlertReading
    decisions: Decisions
    clock: Clock
    node: str = field(default_factory=lambda: secrets.token_hex(8))
    """What this run of this node is called among the others."""

    async def step(self) -> None:
        """Say how this node stands, and measure if it is time; call it a few times a minute."""
        now = self.clock.now()
        rules, known = await asyncio.to_thread(self._read)
        if not rules:
            return
        nodes = await self._nodes(now) if any(r.watched in OF_NODES for r in rules) else {}
        if not _is_due(known, now):
            return
        known = await asyncio.to_thread(self._heard, known, now)
        values = await self.facts.fleet.run(
            lambda: self.facts.measured(rules, alarms=known.alarms, nodes=nodes.values())
        )
        told = await self.decisions.decide(
            SYSTEM, MEASURE, lambda tx: conclude(tx, known, values, now=now), now=now
        )
        for one in told:
            log.warning("alert %s %s: %s", one.rule.name, one.turn, one.text)

    async def _nodes(self, now: datetime) -> Mapping[str, NodeFigures]:
        figures = await self.facts.fleet.run(lambda: self.facts.of_this_node(now))
        return await self.decisions.decide(
            SYSTEM, MEASURE, lambda tx: exchanged(tx, self.node, figures, now=now), now=now
        )

    def _read(self) -> tuple[Sequence[Rule], Standings]:
        rules = read_rules(self.reading.setting(RULES))
        return [one.rule() for one in rules], read_standings(self.reading.setting(STANDINGS))

    def _heard(self, known: Standings, now: datetime) -> Standings:
        """Return the standings with the alarms that the log of decisions tells of since."""
        position = self.reading.epoch()
        if not known.epoch:
            return msgspec.structs.replace(known, epoch=position.epoch, read_up_to=position.n)
        cursor, is_done = Cursor(epoch=known.epoch, n=known.read_up_to), False
        found: list[tuple[str, float]] = []
        try:
            while not is_done:
                cursor, events = self.reading.decided(cursor, limit=PAGE)
                found += _alarms_in(events)
                is_done = len(events) < PAGE
        except CursorLost:
            cursor = position
        return msgspec.structs.replace(
            known,
            epoch=cursor.epoch,
            read_up_to=cursor.n,
            alarms=_within_a_day(known.alarms, found, now),
        )


def conclude(
    tx: Transaction, heard: Standings, values: Mapping[str, float | None], *, now: datetime
) -> Sequence[Told]:
    """Write down how the rules stand now; return those that turned, or cannot be measured.

    Nothing is written when another node was quicker.
    """
    known = read_standings(tx.lock_setting(STANDINGS))
    if not _is_due(known, now):
        return ()
    told: list[Told] = []
    standings: dict[str, KeptStanding] = {}
    for kept in read_rules(tx.setting(RULES)):
        rule, value = kept.rule(), values.get(kept.name)
        before = known.rules.get(kept.name, KeptStanding())
        standing, turn = advance(rule, before.standing(), value, now=now)
        since = (before.unmeasured_since or now.timestamp()) if value is None else 0.0
        standings[kept.name] = KeptStanding.of(standing, value, unmeasured=since)
        if turn is not None and value is not None:
            told.append(Told(rule, value, kept.channels, turn, sentence(rule, value)))
        elif since and known.measured_at < since + kept.lasting_s <= now.timestamp():
            told.append(Told(rule, None, kept.channels, "unmeasured", unmeasured(rule)))
    for one in told:
        _write_down(tx, one, now=now)
    at = now.timestamp()
    tx.put_setting(STANDINGS, pack(msgspec.structs.replace(heard, measured_at=at, rules=standings)))
    return told


def _write_down(tx: Transaction, told: Told, *, now: datetime) -> None:
    name = told.rule.name
    if told.turn is Turn.RAISED:
        tx.alerts.add(Alert(id=secrets.token_hex(16), rule=name, text=told.text, raised_at=now))
    elif told.turn is Turn.ENDED:
        tx.alerts.end(name, at=now)
    tx.note(name, turn=str(told.turn), text=told.text)
    tell(tx, turned(told.rule, told.turn, told.text, told.value, now=now), told.channels)


def _is_due(known: Standings, now: datetime) -> bool:
    """Say whether a minute is over; a clock that was put back must not stop the watch."""
    since = now.timestamp() - known.measured_at
    return not 0 <= since < EVERY.total_seconds() - 5


def _alarms_in(events: Iterable[DecisionEvent]) -> Iterable[tuple[str, float]]:
    for event in events:
        if event.operation == "trust.divergence":
            yield Watched.DIVERGENCE, event.at.timestamp()
        elif event.operation == "machines.quarantine" and event.actor == SYSTEM:
            yield Watched.CLONES, event.at.timestamp()
        elif event.operation in (REACHED, "settings.set-limits"):
            yield Watched.LIMITS, event.at.timestamp()
        elif event.operation == PROPOSED:
            yield Watched.PROPOSALS, event.at.timestamp()


def _within_a_day(
    known: Mapping[str, Sequence[float]], found: Iterable[tuple[str, float]], now: datetime
) -> Mapping[str, Sequence[float]]:
    since = (now - ALARMS_KEPT).timestamp()
    alarms = {name: [at for at in times if at > since] for name, times in known.items()}
    for name, at in found:
        if at > since:
            alarms.setdefault(name, []).append(at)
    return {name: times[-1000:] for name, times in alarms.items() if times}
