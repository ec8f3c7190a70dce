"""Which settings the agent goes by, and who said each."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from patchtide.adapters.agentstate.local import HOUR_S, local_or_nothing
from patchtide.adapters.agentstate.settings import read_kept
from patchtide.adapters.agentstate.status import Status
from patchtide.agent.settings import (
    Source,
    postpone_limit,
    proxy_in_force,
    read_told,
    scan_interval,
    takes_over,
)
from patchtide.domain.schedules.postponing import PostponeLimit
from patchtide.domain.sequencer.states import Memory


def settings_shown(state: Path, config: Path, seen: Status) -> dict[str, Any]:
    local, flaw = local_or_nothing(config, state=state)
    data = read_kept(state)
    told = read_told(data)
    proxy, of_proxy = proxy_in_force(data, local)
    memory = seen.brain.memory if seen.brain else None
    scans = local.scan_every_s or scan_interval(told)
    anchor, limit = told.anchor, postpone_limit(told)
    days = anchor and f"{anchor.cycle}, {anchor.for_days} days from {anchor.days_after} after it"
    return {
        "flaw": flaw or None,
        "check_in_every_s": _said(
            local.poll_s or (memory and memory.poll_s), by_machine=local.poll_s, by_site=memory
        ),
        "scan_every_s": _said(scans, by_machine=local.scan_every_s, by_site=told.scan_every_s),
        "scan_days": _said(
            anchor and f"{days}, at {anchor.at} {anchor.zone}", by_machine=0, by_site=anchor
        ),
        "proxy": {"value": proxy and proxy.address, "from": of_proxy.value},
        "others_held": _said(
            takes_over(told, local),
            by_machine=local.take_over_updaters is not None,
            by_site=told.takes_over,
        ),
        "postpone_times": _said(limit.times, by_machine=0, by_site=told.postpone_times is not None),
        "postpone_h": _said(
            limit.within_s // HOUR_S, by_machine=0, by_site=told.postpone_s is not None
        ),
        "frozen": _said(_frozen(memory, time.time()), by_machine=0, by_site=told.freezes),
        "due_now_postponed_until": _until(limit, due=time.time()),
        "proxy_trouble": (memory and memory.troubles.get("proxy-failed")) or None,
    }


def _frozen(memory: Memory | None, now: float) -> str | None:
    """Return from when to when nothing is changed here, now or next."""
    spans = memory.pace.frozen if memory else ()
    ahead = next(((begins, ends) for begins, ends in spans if ends > now), None)
    if ahead is None:
        return None
    begins, ends = (f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}" for at in ahead)
    return f"until {ends} UTC" if ahead[0] <= now else f"from {begins} until {ends} UTC"


def _until(limit: PostponeLimit, *, due: float) -> float | None:
    """Return until when users could put off what fell due then, had it no deadline before."""
    until = limit.until(due=due, deadline=math.inf)
    return until if until > due else None


def _said(value: object, *, by_machine: object, by_site: object) -> dict[str, Any]:
    source = Source.MACHINE if by_machine else Source.SITE if by_site else Source.DEFAULT
    return {"value": value, "from": source.value}
