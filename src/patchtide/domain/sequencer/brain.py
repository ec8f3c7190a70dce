"""What one machine does in what order: `advance(state, event, now)`.

A cycle goes: check in, take the envelope, refresh the catalog, scan, report, and then whatever
order is due: ask for consent, download, stage, install, each only after the one before. `Memory`
says what is still to be done; a step clears its own mark and the next thing due follows, so a
crash at any point loses nothing but the step itself. An installation or a restart is stored as
the phase before it begins; after a crash it is never replayed: what is half done is repaired, the
facts are read again and the decision is made again.
"""

from __future__ import annotations

from typing import assert_never

from msgspec import structs

from patchtide.domain.errors import PatchtideError
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer import orders
from patchtide.domain.sequencer.pacing import (
    LONGEST_POLL_S,
    heed_retry_after,
    next_slot,
    retry_delay,
)
from patchtide.domain.sequencer.states import (
    Brain,
    CheckingIn,
    Consenting,
    Downloading,
    Idle,
    Installing,
    Memory,
    Order,
    Phase,
    Refreshing,
    Repairing,
    Reporting,
    Restarting,
    Scanning,
    Staging,
    TakingEnvelope,
)

SCAN_EVERY_S = 86_400
QUIET_S = 7 * 86_400
"""A machine on which nothing changes says so once in a while; after twice as long it is stale."""
RESTART_GRACE_S = 600
MAX_AGAIN = 2
MAX_CLOCK_OFFSET_S = 20 * 366 * 86_400
QUIET = frozenset({"unreachable"})
"""Failures that need no telling: the server notices a machine's silence itself."""
OUT_OF_REACH = frozenset({"repository-unreachable", "content-unreachable", "download-failed"})
"""Failures that say nothing about an order: it waits, and is not given up for them."""

Commands = tuple[ev.Command, ...]
Step = tuple[Brain, Commands, float]


class UnexpectedEvent(PatchtideError):
    """The brain was told something that cannot happen in its phase."""

    code = "unexpected-event"

    def __init__(self, phase: Phase, event: ev.Event) -> None:
        super().__init__(f"{type(event).__name__} while {type(phase).__name__}")


def advance(state: Brain, event: ev.Event, now: float) -> Step:
    """Return the new state, what is to be done now, and when to wake the brain next.

    Raises:
        UnexpectedEvent: the event answers no command that is under way.
    """
    memory, phase = state.memory, state.phase
    match event:
        case ev.Started(boot_id):
            return _started(memory, phase, boot_id, now)
        case ev.Woken():
            return _woken(state, now)
        case ev.Rung(scan):
            memory = structs.replace(memory, scan_due=memory.scan_due or scan)
            state = structs.replace(state, memory=memory)
            return _check_in(memory, now) if isinstance(phase, Idle) else _stay(state, now)
        case ev.CheckedIn():
            _expect(event, phase, CheckingIn)
            return _checked_in(memory, event, now)
        case ev.CounterJumped() | ev.ClockOff() | ev.FullWanted() | ev.Deferred():
            _expect(event, phase, CheckingIn, Reporting)
            return _put_off(memory, phase, event, now)
        case ev.Failed():
            return _failed(memory, phase, event, now)
        case ev.EnvelopeTaken(given, restarts_per_day):
            _expect(event, phase, TakingEnvelope)
            changed = given != memory.orders
            memory = orders.release(memory, memory.held.keys() - {order.id for order in given})
            memory = structs.replace(memory, envelope_due=b"", orders=given)
            memory = structs.replace(memory, restarts_per_day=restarts_per_day)
            return _go_on(structs.replace(memory, scan_due=memory.scan_due or changed), now)
        case ev.Refreshed():
            _expect(event, phase, Refreshing)
            return _go_on(_refreshed(memory), now)
        case ev.Scanned():
            _expect(event, phase, Scanning)
            return _scanned(memory, event, now)
        case ev.Acknowledged():
            _expect(event, phase, Reporting)
            memory = structs.replace(
                memory,
                report_due=False,
                full_due=False,
                restored=False,
                evaluated_told=memory.evaluated,
                told_at=now,
            )
            return _go_on(memory, now)
        case ev.Consented() | ev.Downloaded() | ev.Staged():
            return _came_nearer(memory, phase, event, now)
        case ev.Installed() | ev.Repaired():
            return _enforced(memory, phase, event, now)
        case _:
            assert_never(event)


def _expect(event: ev.Event, phase: Phase, *phases: type[Phase]) -> None:
    if not isinstance(phase, phases):
        raise UnexpectedEvent(phase, event)


def _started(memory: Memory, phase: Phase, boot_id: str, now: float) -> Step:
    notes: Commands = ()
    rebooted = memory.boot_id != boot_id
    # Whatever was not stored before a power cut is found out again.
    memory = structs.replace(memory, boot_id=boot_id, scan_due=memory.scan_due or rebooted)
    match phase:
        case Installing(order) | Repairing(order):
            memory = structs.replace(memory, repair_for=order, scan_due=True)
            notes = (ev.Note("installation-interrupted", order),)
        case Restarting(order, boot_before) if boot_before != boot_id:
            memory = structs.replace(memory, restart_for="", scan_due=True)
            notes = (ev.Note("restarted", order),)
        case Restarting(order):
            memory = structs.replace(memory, hold_until=now + _delay(memory, 1))
            notes = (ev.Note("restart-did-not-happen", order),)
        case _:
            pass
    if rebooted and 0 < memory.poll_at <= now:
        # Power came back for a whole site at once: each machine waits for its own slot.
        memory = structs.replace(memory, poll_at=_next_poll(memory, now))
    return _rest(memory, now, notes)


def _woken(state: Brain, now: float) -> Step:
    memory = state.memory
    if isinstance(state.phase, Restarting):
        return _started(memory, state.phase, memory.boot_id, now)
    if not isinstance(state.phase, Idle):
        return _stay(state, now)
    if now >= memory.poll_at or memory.poll_at > now + 2 * LONGEST_POLL_S:
        return _check_in(memory, now)
    return _enforce(memory, now)


def _check_in(memory: Memory, now: float) -> Step:
    memory = structs.replace(memory, stumbled=False)
    return _begin(memory, CheckingIn(), ev.CheckIn(), now)


def _refreshed(memory: Memory) -> Memory:
    return structs.replace(memory, refresh_due=False, shards_due={}, scan_due=True)


def _checked_in(memory: Memory, said: ev.CheckedIn, now: float) -> Step:
    memory = structs.replace(
        memory,
        heard_at=now,
        poll_s=said.next_poll_s or memory.poll_s,
        shards_due=dict(said.shards),
        refresh_due=memory.refresh_due or bool(said.shards) or now >= memory.scan_at,
        envelope_due=said.envelope,
        full_due=memory.full_due or said.full_report,
        report_due=memory.report_due or said.full_report,
        scan_due=memory.scan_due or said.full_report or now >= memory.scan_at,
    )
    return _go_on(structs.replace(memory, poll_at=_next_poll(memory, now)), now)


def _put_off(
    memory: Memory,
    phase: Phase,
    event: ev.CounterJumped | ev.ClockOff | ev.FullWanted | ev.Deferred,
    now: float,
) -> Step:
    """The server wants the same thing later, or said otherwise."""
    if isinstance(event, ev.Deferred):
        wait = heed_retry_after(memory.seed, asked_s=event.retry_after_s)
        return _rest(structs.replace(memory, poll_at=now + wait), now)
    notes: Commands = ()
    again = phase.again + 1 if isinstance(phase, CheckingIn | Reporting) else 0
    if again > MAX_AGAIN:
        return _back_off(memory, ev.Failed("no-agreement", type(event).__name__), now)
    match event:
        case ev.CounterJumped():
            notes = () if memory.restored else _said("restored")
            memory = structs.replace(memory, restored=True, full_due=True, report_due=True)
            memory = structs.replace(memory, scan_due=True)
        case ev.ClockOff(server_now):
            if not abs(server_now - now) <= MAX_CLOCK_OFFSET_S:  # NaN is as unbelievable
                return _back_off(memory, ev.Failed("clock-unbelievable"), now)
            memory = structs.replace(memory, clock_offset_s=server_now - now)
        case ev.FullWanted():
            memory = structs.replace(memory, full_due=True)
        case _:
            assert_never(event)
    if isinstance(phase, CheckingIn):
        return _begin(memory, CheckingIn(again), ev.CheckIn(), now, notes)
    command = ev.Report(memory.full_due, memory.restored)
    return _begin(memory, Reporting(again), command, now, notes)


def _failed(memory: Memory, phase: Phase, event: ev.Failed, now: float) -> Step:
    # A failure that repeats itself every few minutes is told once.
    notes = _said(event.code, event.detail) if memory.failures == 0 else ()
    match phase:
        case Idle():
            raise UnexpectedEvent(phase, event)
        case CheckingIn() | Reporting():
            return _back_off(memory, event, now)
        case TakingEnvelope():
            return _go_on(structs.replace(memory, envelope_due=b""), now, notes)
        case Refreshing():
            # What is already here still says something: it is scanned and reported.
            memory = _sooner(_refreshed(memory), now)
            return _go_on(memory, now, notes)
        case Scanning():
            memory = structs.replace(memory, scan_due=False, report_due=True)
            return _go_on(_sooner(memory, now), now, notes)
        case Consenting(order) | Downloading(order) | Staging(order):
            if event.code in OUT_OF_REACH:
                return _set_back(memory, order, event, now)
            memory = orders.with_attempt(memory, order)
            held = now + _delay(memory, memory.attempts[order])
            memory = orders.hold(memory, order, until=held)
            return _after_failed_attempt(memory, order, event, now)
        case Installing(order):
            held = now + _delay(memory, max(1, memory.attempts.get(order, 0)))
            memory = structs.replace(memory, repair_for=order, hold_until=held)
            return _after_failed_attempt(memory, order, event, now)
        case Restarting():
            memory = structs.replace(memory, hold_until=now + _delay(memory, 1))
            return _go_on(memory, now, notes)
        case Repairing(order):
            held = now + memory.poll_s
            memory = structs.replace(memory, repair_for=order, hold_until=held, scan_due=True)
            return _go_on(memory, now, _said(event.code, event.detail))
        case _:
            assert_never(phase)


def _set_back(memory: Memory, order: str, event: ev.Failed, now: float) -> Step:
    """Try again after growing gaps, as long as the order is valid; others go on meanwhile."""
    before = memory.held[order].setbacks if order in memory.held else 0
    notes = () if before else _said(event.code, event.detail)
    held = now + _delay(memory, before + 1)
    return _go_on(orders.hold(memory, order, until=held, setbacks=before + 1), now, notes)


def _after_failed_attempt(memory: Memory, order: str, event: ev.Failed, now: float) -> Step:
    notes = _said(event.code, event.detail)
    if memory.attempts.get(order, 0) >= orders.MAX_ATTEMPTS:
        memory = orders.close(memory, [order])
        notes += _said("order-given-up", order)
    return _go_on(structs.replace(memory, scan_due=True), now, notes)


def _scanned(memory: Memory, seen: ev.Scanned, now: float) -> Step:
    done = orders.fulfilled(memory, seen.present)
    # Without a word for long, or about newer updates, the server must take states for unknown.
    is_quiet = not 0 <= now - memory.told_at < QUIET_S
    is_news = seen.changed or dict(seen.shards) != memory.evaluated_told or is_quiet
    memory = structs.replace(
        orders.close(memory, done),
        scan_due=False,
        scan_at=now + SCAN_EVERY_S,
        needed=seen.needed,
        evaluated=dict(seen.shards),
        report_due=memory.report_due or is_news or memory.full_due,
        restart_for=memory.restart_for if seen.restart_pending else "",
    )
    notes = tuple(ev.Note("order-done", order) for order in done)
    return _go_on(memory, now, notes)


def _came_nearer(
    memory: Memory, phase: Phase, event: ev.Consented | ev.Downloaded | ev.Staged, now: float
) -> Step:
    """Take the next step towards the installation, unless the order's time went by meanwhile."""
    under_way = getattr(phase, "order", "")
    order = orders.pick(memory, now=now, under_way=under_way)
    match event, phase:
        case ev.Consented(), Consenting(order_id):
            if order is not None and order.id == order_id:
                return _begin(memory, Downloading(order_id), ev.Download(order), now)
        case ev.Downloaded(), Downloading(order_id):
            if order is not None and order.id == order_id:
                return _begin(memory, Staging(order_id), ev.Stage(order), now)
        case ev.Staged(), Staging(order_id):
            if order is not None and order.id == order_id:
                return _install(memory, order, now)
        case _:
            raise UnexpectedEvent(phase, event)
    return _rest(memory, now)


def _enforced(memory: Memory, phase: Phase, event: ev.Installed | ev.Repaired, now: float) -> Step:
    match event, phase:
        case ev.Installed(restart_needed), Installing(order_id):
            order = orders.find(memory, order_id)
            restart = order_id if restart_needed and order and order.may_restart else ""
            memory = structs.replace(memory, scan_due=True, restart_for=restart)
            code = "rolled-back" if order and order.rollback else "installed"
            return _go_on(memory, now, _said(code, order_id))
        case ev.Repaired(), Repairing(order_id):
            memory = structs.replace(memory, repair_for="", scan_due=True)
            return _go_on(memory, now, _said("repaired", order_id))
        case _:
            raise UnexpectedEvent(phase, event)


def _install(memory: Memory, order: Order, now: float) -> Step:
    memory = orders.with_attempt(orders.release(memory, [order.id]), order.id)
    attempt = memory.attempts[order.id]
    phase = Installing(order.id, memory.boot_id, attempt)
    return _begin(memory, phase, ev.Install(order, attempt), now)


def _go_on(memory: Memory, now: float, notes: Commands = ()) -> Step:
    """Take up the first thing that is due."""
    if notes:
        memory = structs.replace(memory, report_due=True)
    if memory.envelope_due:
        command = ev.TakeEnvelope(memory.envelope_due)
        return _begin(memory, TakingEnvelope(), command, now, notes)
    if memory.refresh_due:
        return _begin(memory, Refreshing(), ev.Refresh(memory.shards_due), now, notes)
    if memory.scan_due and not _repair_due(memory, now):
        ordered = frozenset(u for order in memory.orders for u in order.updates)
        return _begin(memory, Scanning(), ev.Scan(ordered), now, notes)
    if memory.report_due and not _repair_due(memory, now):
        command_ = ev.Report(memory.full_due, memory.restored)
        return _begin(memory, Reporting(), command_, now, notes)
    return _enforce(memory, now, notes)


def _enforce(memory: Memory, now: float, notes: Commands = ()) -> Step:
    """Take up what changes the machine; asks the server for nothing."""
    if _repair_due(memory, now):
        order = memory.repair_for
        return _begin(memory, Repairing(order), ev.Repair(order), now, notes)
    if memory.repair_for:
        return _rest(memory, now, notes)
    if memory.restart_for and now >= memory.hold_until:
        return _restart(memory, now, notes)
    order_due = orders.pick(memory, now=now)
    if order_due is None:
        return _rest(memory, now, notes)
    return _begin(memory, Consenting(order_due.id), ev.Consent(order_due), now, notes)


def _repair_due(memory: Memory, now: float) -> bool:
    return bool(memory.repair_for) and now >= memory.hold_until


def _restart(memory: Memory, now: float, notes: Commands) -> Step:
    order = memory.restart_for
    if not orders.may_restart(memory, now=now):
        memory = structs.replace(memory, restart_for="")
        return _go_on(memory, now, notes + _said("restart-limit", order))
    memory = orders.with_restart(memory, now=now)
    phase = Restarting(order, memory.boot_id)
    return _begin(memory, phase, ev.Restart(order), now, notes)


def _begin(
    memory: Memory, phase: Phase, command: ev.Command, now: float, notes: Commands = ()
) -> Step:
    wake_up = now + RESTART_GRACE_S if isinstance(phase, Restarting) else _wake_up(memory, now)
    return Brain(memory, phase), (*notes, command), wake_up


def _rest(memory: Memory, now: float, notes: Commands = ()) -> Step:
    if notes:
        memory = structs.replace(memory, report_due=True)
    if not memory.stumbled:
        memory = structs.replace(memory, failures=0)
    return Brain(memory, Idle()), notes, _wake_up(memory, now)


def _stay(state: Brain, now: float) -> Step:
    return state, (), _wake_up(state.memory, now)


def _back_off(memory: Memory, event: ev.Failed, now: float) -> Step:
    first = memory.failures == 0
    memory = _sooner(memory, now)
    told = first and event.code not in QUIET
    return _rest(memory, now, _said(event.code, event.detail) if told else ())


def _sooner(memory: Memory, now: float) -> Memory:
    """Count a failure and poll again after the back-off, not only in the next period."""
    failures = memory.failures + 1
    wait = _delay(memory, failures)
    return structs.replace(memory, failures=failures, stumbled=True, poll_at=now + wait)


def _delay(memory: Memory, failures: int) -> float:
    return retry_delay(memory.seed, failures=failures, cap_s=memory.poll_s)


def _next_poll(memory: Memory, now: float) -> float:
    return next_slot(memory.seed, period_s=memory.poll_s, now=now)


def _wake_up(memory: Memory, now: float) -> float:
    times = [memory.poll_at]
    if memory.repair_for or memory.restart_for:
        times.append(memory.hold_until)
    opening = orders.next_opening(memory, now=now)
    if opening is not None and not memory.repair_for:
        times.append(opening)
    return max(now, min(times))


def _said(code: str, detail: str = "") -> Commands:
    return (ev.Note(code, detail),)
