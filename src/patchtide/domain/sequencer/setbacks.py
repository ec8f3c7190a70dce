"""What a failed step, or a server that wants it otherwise, does to what is still to be done."""

from __future__ import annotations

from typing import assert_never

from msgspec import structs

from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer import orders
from patchtide.domain.sequencer.pacing import heed_retry_after
from patchtide.domain.sequencer.states import (
    CheckingIn,
    Consenting,
    Downloading,
    Idle,
    Installing,
    Memory,
    Phase,
    Refreshing,
    Repairing,
    Reporting,
    Restarting,
    Scanning,
    Staging,
    TakingEnvelope,
)
from patchtide.domain.sequencer.steps import (
    Commands,
    Step,
    UnexpectedEvent,
    back_off,
    begin,
    delay,
    go_on,
    noted,
    refreshed,
    report,
    rest,
    sooner,
)

MAX_AGAIN = 2
MAX_CLOCK_OFFSET_S = 20 * 366 * 86_400
OUT_OF_REACH = frozenset({"repository-unreachable", "content-unreachable", "download-failed"})
"""Failures that say nothing about an order: it waits, and is not given up for them."""


def failed(memory: Memory, phase: Phase, event: ev.Failed, now: float) -> Step:
    """Say what follows where a command failed."""
    # A failure that repeats itself every few minutes is told once.
    notes = noted(event.code, event.detail) if memory.failures == 0 else ()
    match phase:
        case Idle():
            raise UnexpectedEvent(phase, event)
        case CheckingIn() | Reporting():
            return back_off(memory, event, now)
        case TakingEnvelope():
            return go_on(structs.replace(memory, envelope_due=b""), now, notes)
        case Refreshing():
            # What is already here still says something: it is scanned and reported.
            memory = sooner(_not_online(refreshed(memory, now)), now)
            return go_on(memory, now, notes)
        case Scanning():
            # What was told of shards is told anew by the next scan that comes to an end.
            memory = structs.replace(memory, scan_due=False, report_due=True, evaluated={})
            return go_on(sooner(memory, now), now, notes)
        case Consenting(order) | Downloading(order) | Staging(order):
            if event.code in OUT_OF_REACH:
                return _set_back(memory, order, event, now)
            memory = orders.with_attempt(memory, order)
            held = now + delay(memory, memory.attempts[order])
            memory = orders.hold(memory, order, until=held)
            return _after_failed_attempt(memory, order, event, now)
        case Installing(order):
            held = now + delay(memory, max(1, memory.attempts.get(order, 0)))
            memory = structs.replace(memory, repair_for=order, hold_until=held)
            return _after_failed_attempt(memory, order, event, now)
        case Restarting():
            memory = structs.replace(memory, hold_until=now + delay(memory, 1))
            return go_on(memory, now, notes)
        case Repairing(order):
            held = now + memory.poll_s
            memory = structs.replace(memory, repair_for=order, hold_until=held, scan_due=True)
            return go_on(memory, now, noted(event.code, event.detail))
        case _:
            assert_never(phase)


def _not_online(memory: Memory) -> Memory:
    """What is scanned now does not count as asked of the server: one that needs that is owed."""
    memory = structs.replace(memory, offline=True)
    return structs.replace(memory, scan_for=0, retrying=True) if memory.scan_for else memory


def _set_back(memory: Memory, order: str, event: ev.Failed, now: float) -> Step:
    """Try again after growing gaps, as long as the order is valid; others go on meanwhile."""
    before = memory.held[order].setbacks if order in memory.held else 0
    notes = () if before else noted(event.code, event.detail)
    held = now + delay(memory, before + 1)
    return go_on(orders.hold(memory, order, until=held, setbacks=before + 1), now, notes)


def _after_failed_attempt(memory: Memory, order: str, event: ev.Failed, now: float) -> Step:
    notes = noted(event.code, event.detail)
    if memory.attempts.get(order, 0) >= orders.MAX_ATTEMPTS:
        memory = orders.close(memory, [order])
        notes += noted("order-given-up", order)
    return go_on(structs.replace(memory, scan_due=True), now, notes)


def put_off(
    memory: Memory,
    phase: Phase,
    event: ev.CounterJumped | ev.ClockOff | ev.FullWanted | ev.Deferred,
    now: float,
) -> Step:
    """The server wants the same thing later, or said otherwise."""
    if isinstance(event, ev.Deferred):
        wait = heed_retry_after(memory.seed, asked_s=event.retry_after_s)
        return rest(structs.replace(memory, poll_at=now + wait), now)
    notes: Commands = ()
    again = phase.again + 1 if isinstance(phase, CheckingIn | Reporting) else 0
    if again > MAX_AGAIN:
        return back_off(memory, ev.Failed("no-agreement", type(event).__name__), now)
    match event:
        case ev.CounterJumped():
            notes = () if memory.restored else noted("restored")
            memory = structs.replace(memory, restored=True, full_due=True, report_due=True)
            memory = structs.replace(memory, scan_due=True)
        case ev.ClockOff(server_now):
            if not abs(server_now - now) <= MAX_CLOCK_OFFSET_S:  # NaN is as unbelievable
                return back_off(memory, ev.Failed("clock-unbelievable"), now)
            memory = structs.replace(memory, clock_offset_s=server_now - now)
        case ev.FullWanted():
            memory = structs.replace(memory, full_due=True)
        case _:
            assert_never(event)
    if isinstance(phase, CheckingIn):
        return begin(memory, CheckingIn(again), ev.CheckIn(), now, notes)
    return begin(memory, Reporting(again), report(memory), now, notes)
