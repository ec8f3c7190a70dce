"""What settings this agent goes by: what its site told it, within limits, and what was set here.

Whoever owns the server can tell a machine much. So an interval is bounded, what cannot be read
counts as nothing said, and what the machine's own administrator wrote wins over all of it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from enum import StrEnum
from typing import Protocol
from zoneinfo import ZoneInfo

from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.postponing import PostponeLimit, bounded_limit
from patchtide.domain.schedules.recurrence import OnCycle, next_after
from patchtide.domain.schedules.scanning import (
    LONGEST_SCAN_S,
    SCAN_EVERY_S,
    SHORTEST_SCAN_S,
    bounded,
)
from patchtide.domain.schedules.spans import united
from patchtide.domain.schedules.windows import Clock, Freeze, wall_time
from patchtide.domain.sequencer.pacing import SCAN_SPREAD_S, fraction
from patchtide.domain.sequencer.proxies import Proxy, proxy_of
from patchtide.domain.sequencer.states import Pace
from patchtide.wire.agent_settings import NOTHING_SAID, AgentSettingsV1, AnchorV1, FreezeV1, mark_of
from patchtide.wire.messages import decode


class SettingsStore(Protocol):
    """Keeps what the site told, as it came."""

    def load(self) -> bytes: ...

    def keep(self, data: bytes) -> None: ...


class MemorySettings:
    """In memory, for the simulator and tests."""

    def __init__(self) -> None:
        self._data = b""

    def load(self) -> bytes:
        return self._data

    def keep(self, data: bytes) -> None:
        self._data = data


class Source(StrEnum):
    """Who said what is in force."""

    MACHINE = "this machine"
    SITE = "the site"
    DEFAULT = "as agents begin"


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalSettings:
    """What the machine's administrator wrote; 0: nothing."""

    poll_s: int = 0
    scan_every_s: int = 0
    has_proxy: bool = False
    """Something was written of it, if only that there is none."""
    proxy: Proxy | None = None
    take_over_updaters: bool | None = None


NOTHING_LOCAL = LocalSettings()


class Settings:
    """The settings of one agent."""

    def __init__(
        self,
        store: SettingsStore,
        local: LocalSettings = NOTHING_LOCAL,
        *,
        zone: Callable[[], str] = str,
    ) -> None:
        """`zone`: by which the machine's own clock goes, as `Europe/Berlin`."""
        self._store = store
        self._local = local
        self._zone = zone
        self._data = store.load()

    def mark(self) -> bytes:
        """Return what a check-in says of them."""
        return mark_of(self._data)

    def take(self, data: bytes) -> None:
        """Keep what the site tells now.

        Raises:
            InvalidDocument: it cannot be read. It is kept nevertheless, so that it is told of and
                sent no second time, and counts as nothing said.
        """
        self._store.keep(data)
        self._data = data
        told = decode(data, AgentSettingsV1)
        check(told)
        for one in told.freezes:
            freeze_of(one)  # one that cannot be read holds nothing, and the others do

    def is_readable(self) -> bool:
        """Say whether what the site told, if anything, is understood."""
        return not self._data or read_told(self._data) is not NOTHING_SAID

    @property
    def takes_over_here(self) -> bool | None:
        """Return the same as it was written on the machine; None: nothing was."""
        return self._local.take_over_updaters

    def takes_over(self) -> bool:
        """Say whether others that install updates here are to be held back."""
        return takes_over(read_told(self._data), self._local)

    def pace(self, *, seed: bytes, now: float) -> Pace:
        told, local = read_told(self._data), self._local
        zone = zone_of(self._zone())
        return Pace(
            poll_s=local.poll_s,
            scan_every_s=local.scan_every_s or scan_interval(told),
            told_scan_every_s=scan_interval(told),
            anchor_at=_next_anchor(anchor_of(told), seed=seed, now=now),
            frozen=tuple(
                (span.begins.timestamp(), span.ends.timestamp())
                for span in united(one.span(zone) for one in freezes_of(told))
            ),
        )


def takes_over(told: AgentSettingsV1, local: LocalSettings) -> bool:
    return told.takes_over if local.take_over_updaters is None else local.take_over_updaters


def proxy_in_force(told: bytes, local: LocalSettings) -> tuple[Proxy | None, Source]:
    """Return the proxy to go by, and who said so."""
    if local.has_proxy:
        return local.proxy, Source.MACHINE
    proxy = told_proxy(read_told(told))
    return proxy, Source.SITE if proxy else Source.DEFAULT


def told_proxy(told: AgentSettingsV1) -> Proxy | None:
    """Return the site's proxy.

    Raises:
        InvalidDocument: it is none that this agent could go by.
    """
    said = told.proxy
    if said is None:
        return None
    return proxy_of(said.address, direct=said.direct)


def read_told(data: bytes) -> AgentSettingsV1:
    """Return what the site told; what cannot be read is nothing."""
    if not data:
        return NOTHING_SAID
    try:
        told = decode(data, AgentSettingsV1)
        check(told)
    except InvalidDocument:
        return NOTHING_SAID
    return told


def check(told: AgentSettingsV1) -> None:
    """Raises InvalidDocument: this agent does not understand all of it, and so goes by nothing."""
    anchor_of(told)
    told_proxy(told)


def scan_interval(told: AgentSettingsV1) -> int:
    wanted = told.scan_every_s or SCAN_EVERY_S
    return bounded(wanted, shortest=SHORTEST_SCAN_S, longest=LONGEST_SCAN_S)


def postpone_limit(told: AgentSettingsV1) -> PostponeLimit:
    """Return what whoever sits at the machine may put off: the site says, within bounds."""
    return bounded_limit(told.postpone_times, told.postpone_s)


def freezes_of(told: AgentSettingsV1) -> Iterator[Freeze]:
    """Yield from when to when nothing is changed, as far as that can be read."""
    for one in told.freezes:
        with contextlib.suppress(InvalidDocument):
            yield freeze_of(one)


def freeze_of(said: FreezeV1) -> Freeze:
    """Raises InvalidDocument: this agent does not understand it."""
    try:
        return Freeze(
            begins=wall_time(said.begins),
            ends=wall_time(said.ends),
            clock=Clock.UTC if said.is_utc else Clock.MACHINE,
            reason="",
        )
    except ValueError as error:
        raise InvalidDocument([Problem("freezes", str(error))]) from error


def zone_of(name: str) -> tzinfo:
    """Return the machine's zone; one that it does not say, or that is none here, is UTC."""
    try:
        return ZoneInfo(name) if name else UTC
    except (ValueError, OSError, LookupError):
        return UTC


def anchor_of(told: AgentSettingsV1) -> OnCycle | None:
    """Return the days by the calendar, if there are any.

    Raises:
        InvalidDocument: this agent does not know the calendar, the zone or such a time.
    """
    return _on_cycle(told.anchor) if told.anchor else None


def _on_cycle(said: AnchorV1) -> OnCycle:
    try:
        return OnCycle(
            cycle=said.cycle,
            days_after=said.days_after,
            for_days=said.for_days,
            at=datetime.strptime(said.at, "%H:%M").replace(tzinfo=UTC).time(),
            zone=ZoneInfo(said.zone),
        )
    except (ValueError, OSError, LookupError) as error:
        raise InvalidDocument([Problem("anchor", str(error))]) from error


def _next_anchor(anchor: OnCycle | None, *, seed: bytes, now: float) -> float:
    """Return when the calendar wants this machine's next scan: at its own place in the spread."""
    if anchor is None:
        return 0.0
    place = SCAN_SPREAD_S * fraction(seed, "anchor")
    found = next_after(anchor, datetime.fromtimestamp(now - place, UTC))
    return found.timestamp() + place if found else 0.0
