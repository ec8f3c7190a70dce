"""The next step of a machine: what is due first, what is begun with it, when to wake again.

It knows nothing of how a step came out; `brain` does, and takes this up after each.
"""

from __future__ import annotations

from msgspec import structs

from patchtide.domain.errors import PatchtideError
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer import orders
from patchtide.domain.sequencer.pacing import (
    LONGEST_RETRY_S,
    REFRESH_EVERY_S,
    next_scan,
    next_slot,
    retry_delay,
)
from patchtide.domain.sequencer.states import (
    Brain,
    Consenting,
    Idle,
    Memory,
    Phase,
    Refreshing,
    Repairing,
    Reporting,
    Restarting,
    Scanning,
    TakingEnvelope,
)

RESTART_GRACE_S = 600
QUIET = frozenset({"unreachable"})
"""Failures that need no telling: the server notices a machine's silence itself."""
Commands = tuple[ev.Command, ...]
Step = tuple[Brain, Commands, float]


class UnexpectedEvent(PatchtideError):
    """The brain was told something that cannot happen in its phase."""

    code = "unexpected-event"

    def __init__(self, phase: Phase, event: ev.Event) -> None:
        super().__init__(f"{type(event).__name__} while {type(phase).__name__}")


def go_on(memory: Memory, now: float, notes: Commands = ()) -> Step:
    """Take up the first thing that is due."""
    if notes:
        memory = structs.replace(memory, report_due=True)
    if memory.envelope_due:
        command = ev.TakeEnvelope(memory.envelope_due)
        return begin(memory, TakingEnvelope(), command, now, notes)
    if memory.refresh_due:
        return begin(memory, Refreshing(), ev.Refresh(memory.shards_due), now, notes)
    if memory.scan_due and not _repair_due(memory, now):
        ordered = frozenset(u for order in memory.orders for u in order.updates)
        return begin(memory, Scanning(), ev.Scan(ordered), now, notes)
    if memory.report_due and not _repair_due(memory, now):
        return begin(memory, Reporting(), report(memory), now, notes)
    return enforce(memory, now, notes)


def enforce(memory: Memory, now: float, notes: Commands = ()) -> Step:
    """Take up what changes the machine; asks the server for nothing."""
    if _repair_due(memory, now):
        order = memory.repair_for
        return begin(memory, Repairing(order), ev.Repair(order), now, notes)
    if memory.repair_for:
        return rest(memory, now, notes)
    if memory.restart_for and now >= orders.restart_opening(memory, now):
        return _restart(memory, now, notes)
    order_due = orders.pick(memory, now=now)
    if order_due is None:
        return rest(memory, now, notes)
    return begin(memory, Consenting(order_due.id), ev.Consent(order_due), now, notes)


def report(memory: Memory) -> ev.Report:
    return ev.Report(memory.full_due, memory.restored, memory.scan_for, memory.retrying)


def _repair_due(memory: Memory, now: float) -> bool:
    return bool(memory.repair_for) and now >= memory.hold_until


def _restart(memory: Memory, now: float, notes: Commands) -> Step:
    order = memory.restart_for
    if not orders.may_restart(memory, now=now):
        memory = structs.replace(memory, restart_for="")
        return go_on(memory, now, notes + noted("restart-limit", order))
    memory = orders.with_restart(memory, now=now)
    phase = Restarting(order, memory.boot_id)
    return begin(memory, phase, ev.Restart(order), now, notes)


def begin(
    memory: Memory, phase: Phase, command: ev.Command, now: float, notes: Commands = ()
) -> Step:
    """Enter a phase with its command, and what is to be told before it."""
    wake_up = now + RESTART_GRACE_S if isinstance(phase, Restarting) else _wake_up(memory, now)
    return Brain(memory, phase), (*notes, command), wake_up


def rest(memory: Memory, now: float, notes: Commands = ()) -> Step:
    """Do nothing until the next thing is due."""
    if notes:
        memory = structs.replace(memory, report_due=True)
    if not memory.stumbled:
        memory = structs.replace(memory, failures=0)
    return Brain(memory, Idle()), notes, _wake_up(memory, now)


def stay(state: Brain, now: float) -> Step:
    """Go on with what is under way."""
    return state, (), _wake_up(state.memory, now)


def back_off(memory: Memory, event: ev.Failed, now: float) -> Step:
    """Put it off, and tell why the first time."""
    first = memory.failures == 0
    memory = sooner(memory, now)
    told = first and event.code not in QUIET
    return rest(memory, now, noted(event.code, event.detail) if told else ())


def sooner(memory: Memory, now: float) -> Memory:
    """Count a failure and poll again after the back-off, not only in the next period."""
    failures = memory.failures + 1
    cap_s = min(memory.poll_s, LONGEST_RETRY_S)
    wait = retry_delay(memory.seed, failures=failures, cap_s=cap_s)
    return structs.replace(memory, failures=failures, stumbled=True, poll_at=now + wait)


def delay(memory: Memory, failures: int) -> float:
    """Return how many seconds to wait after so many failures."""
    return retry_delay(memory.seed, failures=failures, cap_s=memory.poll_s)


def next_poll(memory: Memory, now: float) -> float:
    """Return the machine's own next slot."""
    return next_slot(memory.seed, period_s=memory.poll_s, now=now)


def _wake_up(memory: Memory, now: float) -> float:
    times = [memory.poll_at]
    if memory.repair_for:
        times.append(memory.hold_until)
    if memory.restart_for:
        times.append(orders.restart_opening(memory, now))
    opening = orders.next_opening(memory, now=now)
    if opening is not None and not memory.repair_for:
        times.append(opening)
    return max(now, min(times))


def noted(code: str, detail: str = "") -> Commands:
    """Return what tells one thing."""
    return (ev.Note(code, detail),)


def refreshed(memory: Memory, now: float) -> Memory:
    """Mark the catalog as refreshed until tomorrow; what is here is to be scanned."""
    tomorrow = next_scan(memory.seed, every_s=REFRESH_EVERY_S, now=now)
    return structs.replace(
        memory, refresh_due=False, refresh_at=tomorrow, shards_due={}, scan_due=True
    )
