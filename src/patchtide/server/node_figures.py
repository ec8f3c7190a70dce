"""What each node says of itself, so that whichever measures alerts knows of all of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import msgspec

from patchtide.server.ports.decisions import Transaction

NODES = "alerts.nodes"
FRESH = timedelta(minutes=3)
"""Who has said nothing for so long is gone, and what it said with it."""


class NodeFigures(msgspec.Struct, frozen=True, kw_only=True):
    at: float
    waiting_reports: int
    index_lag_s: float


def exchanged(
    tx: Transaction, node: str, figures: NodeFigures, *, now: datetime
) -> Mapping[str, NodeFigures]:
    """Write down what this node says; return what all say that are there."""
    known = {**_read(tx.lock_setting(NODES)), node: figures}
    there = {name: one for name, one in known.items() if _is_fresh(one, now)}
    tx.put_setting(NODES, msgspec.msgpack.encode(there))
    return there


def most_waiting(nodes: Iterable[NodeFigures]) -> int:
    return max((one.waiting_reports for one in nodes), default=0)


def longest_lag_s(nodes: Iterable[NodeFigures]) -> float:
    return max((one.index_lag_s for one in nodes), default=0.0)


def _is_fresh(figures: NodeFigures, now: datetime) -> bool:
    return abs(now.timestamp() - figures.at) < FRESH.total_seconds()


def _read(data: bytes | None) -> Mapping[str, NodeFigures]:
    return msgspec.msgpack.decode(data, type=dict[str, NodeFigures]) if data else {}
