"""The settings of a site's agents as they are kept, and as they travel."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

import msgspec

from patchtide.domain.schedules.postponing import PostponeLimit, bounded_limit
from patchtide.domain.schedules.recurrence import OnCycle
from patchtide.domain.schedules.scanning import SCAN_EVERY_S, ScanRule
from patchtide.domain.sequencer.agent_settings import AgentSettings
from patchtide.domain.sequencer.proxies import proxy_of
from patchtide.server.synchronisation_plan import CycleName, SaidSchedule, schedule_of
from patchtide.wire.agent_settings import AgentSettingsV1, AnchorV1, ProxyV1

AGENTS = "agents.settings"
OF_COLLECTIONS = "agents.of-collections"
HOUR_S = 3600
TAKE_OVER = "take-over"


UpdatersName = Literal["", "take-over", "leave"]


class SaidAnchor(msgspec.Struct, frozen=True, kw_only=True):
    """Days by a vendor's calendar, in the words in which people give them."""

    cycle: CycleName
    days_after: int = 0
    for_days: int = 1
    at: str = "04:00"
    zone: str = "UTC"


class SaidProxy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    address: str
    direct: tuple[str, ...] = ()


class KeptAgents(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What is not kept is as sites begin; a newer version may begin with something else."""

    poll_s: int = 0
    scan_every_s: int = 0
    anchor: SaidAnchor | None = None
    proxy: SaidProxy | None = None
    missed: int = 0
    """A machine is silent once so many check-ins are missing."""
    updaters: UpdatersName = ""
    """What becomes of others that install updates on the machines; empty: they are left."""
    build_h: int = 0
    """A new machine is in build for so many hours at most; 0: none is."""
    postpone_times: int | None = None
    """How often whoever sits at a machine may put off what is due there; 0: never."""
    postpone_h: int | None = None
    """And for how many hours in all."""
    before_s: int = 0
    """Between two scans, as it was set before."""
    since: float = 0.0


class KeptForCollection(msgspec.Struct, frozen=True, kw_only=True):
    """What is not kept is as for the whole site, and the proxy always is."""

    collection: UUID
    said: KeptAgents


Order = tuple[KeptForCollection, ...]
"""Of the collections that a machine is in the first one here decides, and no other."""
_order = msgspec.msgpack.Decoder(Order)


def read_order(data: bytes | None) -> Order:
    return _order.decode(data) if data else ()


def laid_over(site: KeptAgents, said: KeptAgents) -> KeptAgents:
    """Return what machines of a collection go by of which this is said."""
    scans = said if said.scan_every_s else site
    return msgspec.structs.replace(
        site,
        poll_s=said.poll_s or site.poll_s,
        scan_every_s=scans.scan_every_s,
        before_s=scans.before_s,
        since=scans.since,
        anchor=said.anchor or site.anchor,
        updaters=said.updaters or site.updaters,
        postpone_times=_first(said.postpone_times, site.postpone_times),
        postpone_h=_first(said.postpone_h, site.postpone_h),
    )


def _first(said: int | None, otherwise: int | None) -> int | None:
    return otherwise if said is None else said


def read_agents(data: bytes | None) -> KeptAgents:
    return msgspec.msgpack.decode(data, type=KeptAgents) if data else KeptAgents()


def settings_in(kept: KeptAgents) -> AgentSettings:
    """Return what the words mean.

    Raises:
        InvalidDocument: with every mistake in them.
    """
    return AgentSettings(
        poll_s=kept.poll_s,
        scan_every_s=kept.scan_every_s or SCAN_EVERY_S,
        anchor=_on_cycle(kept.anchor) if kept.anchor else None,
        proxy=proxy_of(**_words(kept.proxy)) if kept.proxy else None,
    )


def _words(proxy: SaidProxy) -> dict[str, Any]:
    return msgspec.structs.asdict(proxy)


def _on_cycle(said: SaidAnchor) -> OnCycle:
    words = msgspec.structs.asdict(said)
    found = schedule_of(SaidSchedule(**words))
    if not isinstance(found, OnCycle):
        raise LookupError("an anchor names a calendar")
    return found


def told_of(kept: KeptAgents) -> AgentSettingsV1:
    """Return what machines are told; how often they check in every answer says."""
    anchor = AnchorV1(**msgspec.structs.asdict(kept.anchor)) if kept.anchor else None
    proxy = ProxyV1(**_words(kept.proxy)) if kept.proxy else None
    return AgentSettingsV1(
        scan_every_s=kept.scan_every_s,
        anchor=anchor,
        proxy=proxy,
        takes_over=kept.updaters == TAKE_OVER,
        postpone_times=kept.postpone_times,
        postpone_s=_postpone_s(kept),
    )


def postpone_limit_of(kept: KeptAgents) -> PostponeLimit:
    return bounded_limit(kept.postpone_times, _postpone_s(kept))


def _postpone_s(kept: KeptAgents) -> int | None:
    return None if kept.postpone_h is None else kept.postpone_h * HOUR_S


def scan_rule_of(kept: KeptAgents) -> ScanRule:
    return ScanRule(
        every_s=kept.scan_every_s or SCAN_EVERY_S,
        before_s=kept.before_s or SCAN_EVERY_S,
        since=datetime.fromtimestamp(kept.since, UTC) if kept.since else None,
    )
