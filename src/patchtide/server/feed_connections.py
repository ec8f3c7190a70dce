"""Whether the addresses of the feeds can be reached, and where the way to one of them ends."""

from __future__ import annotations

import asyncio

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import WrongState
from patchtide.server.context import Call
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.feed import Tried
from patchtide.server.table import Nothing, Output

LOCAL = "no feed has an address: all that is read lies on this server, or was imported"


class ShownTried(Output, kw_only=True, frozen=True):
    address: str
    reached: bool
    step: str
    """Where it failed: `name`, `connection`, `proxy`, `tls`, `answer`, `account` or `status`."""
    detail: str


class TriedList(Output, kw_only=True, frozen=True):
    items: tuple[ShownTried, ...]
    failed: int
    note: str
    """Why there is nothing to try, where there is none."""


async def test(call: Call, principal: Principal, asked: Nothing) -> TriedList:
    """Raises WrongState: there is no feed, or they are being tried already."""
    connections = call.context.synchronisations.connections
    if connections is None:
        raise WrongState("this server has no feed; start it with --feed")
    found = await asyncio.to_thread(connections.try_all)
    failed = sum(each.step is not None for each in found)

    def work(tx: Transaction) -> None:
        tx.note("feeds", tried=len(found), failed=failed)

    await call.decide(principal, work)
    return TriedList(items=tuple(map(_shown, found)), failed=failed, note="" if found else LOCAL)


def _shown(tried: Tried) -> ShownTried:
    return ShownTried(
        address=tried.address,
        reached=tried.step is None,
        step=tried.step.value if tried.step else "",
        detail=tried.detail,
    )
