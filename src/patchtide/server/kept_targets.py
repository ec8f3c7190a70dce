"""A site's targets as they are kept: what was set, and what it begins with for the rest."""

from __future__ import annotations

from datetime import timedelta

import msgspec

from patchtide.domain.catalog.risk import RiskClass
from patchtide.domain.catalog.targets import DEFAULT_TARGETS, Target, Targets

TARGETS = "targets"


def read_targets(data: bytes | None) -> Targets:
    kept = msgspec.msgpack.decode(data, type=dict[RiskClass, tuple[int, int]]) if data else {}
    own = {
        risk: Target(percent=percent, within=timedelta(days=days))
        for risk, (percent, days) in kept.items()
    }
    return {**DEFAULT_TARGETS, **own}


def written_targets(targets: Targets) -> bytes:
    """Return only what differs: what a newer version begins with then counts for the rest."""
    own = {
        risk: (target.percent, target.within.days)
        for risk, target in targets.items()
        if target != DEFAULT_TARGETS[risk]
    }
    return msgspec.msgpack.encode(own)
