"""Which order a machine takes up, how often, and when it may restart itself."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import structs

from patchtide.domain.sequencer.states import Held, Memory, Order

MAX_ATTEMPTS = 3
MAX_RESTARTS_PER_DAY = 2
DAY_S = 86_400
CLOSED_KEPT = 256


def open_orders(memory: Memory) -> list[Order]:
    """Return orders that may still lead to something, in the order of their envelope."""
    return [
        order
        for order in memory.orders
        if order.id not in memory.closed
        and memory.attempts.get(order.id, 0) < MAX_ATTEMPTS
        and not set(order.updates).isdisjoint(memory.needed)
    ]


def pick(memory: Memory, *, now: float, under_way: str = "") -> Order | None:
    """Return the order to take up now, narrowed to what the machine needs of it.

    What brings the machine back from a bad update comes before what leads it on, and then what
    is under way: else two orders that both fail would never let each other come to an end.
    """
    ready = [x for x in open_orders(memory) if opening(memory, x, now) <= now < x.valid_until]
    if not ready:
        return None
    order = min(ready, key=lambda x: (not x.rollback, x.id != under_way))
    needed = tuple(u for u in order.updates if u in memory.needed)
    return structs.replace(order, updates=needed)


def opening(memory: Memory, order: Order, now: float) -> float:
    """Return from when on the order may be taken up: now, or later."""
    held = memory.held[order.id].until if order.id in memory.held else 0.0
    at = max(order.not_before, memory.hold_until, held, now)
    return at if order.emergency else thawed(memory, at)


def restart_opening(memory: Memory, now: float) -> float:
    """Return from when on the restart that is waited for may be done: now, or later."""
    at = max(memory.hold_until, now)
    return at if memory.restart_urgent else thawed(memory, at)


def thawed(memory: Memory, at: float) -> float:
    """Return the first moment from then on in which no freeze holds."""
    for begins, ends in memory.pace.frozen:
        if begins <= at < ends:
            at = ends
    return at


def hold(memory: Memory, order_id: str, *, until: float, setbacks: int = 0) -> Memory:
    return structs.replace(memory, held={**memory.held, order_id: Held(until, setbacks)})


def release(memory: Memory, order_ids: Iterable[str]) -> Memory:
    gone = set(order_ids)
    return structs.replace(memory, held={i: x for i, x in memory.held.items() if i not in gone})


def find(memory: Memory, order_id: str) -> Order | None:
    return next((order for order in memory.orders if order.id == order_id), None)


def next_opening(memory: Memory, *, now: float) -> float | None:
    """Return when the next order can be taken up."""
    openings = (opening(memory, x, now) for x in open_orders(memory) if x.valid_until > now)
    return min(openings, default=None)


def may_restart(memory: Memory, *, now: float) -> bool:
    """Say whether the agent may restart the machine by itself once more today (S16).

    Restarts dated in the future (the clock went back) count as today's.
    """
    limit = min(memory.restarts_per_day or MAX_RESTARTS_PER_DAY, MAX_RESTARTS_PER_DAY)
    return sum(at > now - DAY_S for at in memory.restarts) < limit


def with_restart(memory: Memory, *, now: float) -> Memory:
    kept = tuple(at for at in memory.restarts if at > now - DAY_S)
    return structs.replace(memory, restarts=(*kept, now))


def with_attempt(memory: Memory, order_id: str) -> Memory:
    count = memory.attempts.get(order_id, 0) + 1
    return structs.replace(memory, attempts={**memory.attempts, order_id: count})


def close(memory: Memory, order_ids: Iterable[str]) -> Memory:
    ids = set(order_ids)
    closed = tuple(i for i in memory.closed if i not in ids) + tuple(sorted(ids))
    return structs.replace(
        release(memory, ids),
        closed=closed[-CLOSED_KEPT:],
        attempts={i: n for i, n in memory.attempts.items() if i not in ids},
    )


def fulfilled(memory: Memory, present: Iterable[int]) -> list[str]:
    """Return the ids of open orders of which every update is installed."""
    there = set(present)
    return [
        order.id
        for order in memory.orders
        if order.id not in memory.closed and there.issuperset(order.updates)
    ]
