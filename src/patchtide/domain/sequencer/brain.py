"""What one machine does in what order: `advance(state, event, now)`.

A cycle goes: check in, take the envelope, refresh the catalog, scan, report, and then whatever
order is due: ask for consent, download, stage, install, each only after the one before. `Memory`
says what is still to be done; a step clears its own mark and the next thing due follows, so a
crash at any point loses nothing but the step itself. An installation or a restart is stored as
the phase before it begins; after a crash it is never replayed: what is half done is repaired, the
facts are read again and the decision is made again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from msgspec import structs

from patchtide.domain.schedules.scanning import LONGEST_POLL_S, says_so_after_s
from patchtide.domain.sequencer import events as ev
from patchtide.domain.sequencer import orders
from patchtide.domain.sequencer.pacing import next_scan
from patchtide.domain.sequencer.setbacks import failed, put_off
from patchtide.domain.sequencer.states import (
    Brain,
    CheckingIn,
    Consenting,
    Downloading,
    Idle,
    Installing,
    Memory,
    Order,
    Pace,
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
    begin,
    delay,
    enforce,
    go_on,
    next_poll,
    noted,
    refreshed,
    rest,
    stay,
)


def advance(state: Brain, event: ev.Event, now: float) -> Step:
    """Return the new state, what is to be done now, and when to wake the brain next.

    Raises:
        UnexpectedEvent: the event answers no command that is under way.
    """
    memory, phase = state.memory, state.phase
    match event:
        case ev.Started(boot_id, pace):
            return _started(_at_pace(memory, pace, now), phase, boot_id, now)
        case ev.Woken():
            return _woken(state, now)
        case ev.Rung(scan):
            memory = structs.replace(memory, scan_due=memory.scan_due or scan)
            state = structs.replace(state, memory=memory)
            return _check_in(memory, now) if isinstance(phase, Idle) else stay(state, now)
        case ev.CheckedIn():
            _expect(event, phase, CheckingIn)
            return _checked_in(memory, event, now)
        case ev.CounterJumped() | ev.ClockOff() | ev.FullWanted() | ev.Deferred():
            _expect(event, phase, CheckingIn, Reporting)
            return put_off(memory, phase, event, now)
        case ev.Failed():
            return failed(memory, phase, event, now)
        case ev.EnvelopeTaken(given, restarts_per_day):
            _expect(event, phase, TakingEnvelope)
            changed = given != memory.orders
            memory = orders.release(memory, memory.held.keys() - {order.id for order in given})
            memory = structs.replace(memory, envelope_due=b"", orders=given)
            memory = structs.replace(memory, restarts_per_day=restarts_per_day)
            return go_on(structs.replace(memory, scan_due=memory.scan_due or changed), now)
        case ev.Refreshed(shards):
            _expect(event, phase, Refreshing)
            return go_on(_refreshed(memory, shards, now), now)
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
                scan_for=0,
                retrying=False,
                evaluated_told=memory.evaluated,
                told_at=now,
            )
            return go_on(memory, now)
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
            memory = structs.replace(memory, hold_until=now + delay(memory, 1))
            notes = (ev.Note("restart-did-not-happen", order),)
        case _:
            pass
    if rebooted and 0 < memory.poll_at <= now:
        # Power came back for a whole site at once: each machine waits for its own slot.
        memory = structs.replace(memory, poll_at=next_poll(memory, now))
    return rest(memory, now, notes)


def _woken(state: Brain, now: float) -> Step:
    memory = state.memory
    if isinstance(state.phase, Restarting):
        return _started(memory, state.phase, memory.boot_id, now)
    if not isinstance(state.phase, Idle):
        return stay(state, now)
    if now >= memory.poll_at or memory.poll_at > now + 2 * LONGEST_POLL_S:
        return _check_in(memory, now)
    return enforce(memory, now)


def _check_in(memory: Memory, now: float) -> Step:
    memory = structs.replace(memory, stumbled=False)
    return begin(memory, CheckingIn(), ev.CheckIn(), now)


def _checked_in(memory: Memory, said: ev.CheckedIn, now: float) -> Step:
    memory = _at_pace(memory, said.pace, now)
    # A scan that falls due by itself goes by the catalog of now.
    refresh_due = bool(said.shards) or now >= min(memory.scan_at, memory.refresh_at)
    memory = structs.replace(
        memory,
        heard_at=now,
        poll_s=memory.pace.poll_s or min(said.next_poll_s, LONGEST_POLL_S) or memory.poll_s,
        shards_due=dict(said.shards),
        refresh_due=memory.refresh_due or refresh_due,
        envelope_due=said.envelope,
        full_due=memory.full_due or said.full_report,
        report_due=memory.report_due or said.full_report or _is_missed(memory, now),
        scan_due=memory.scan_due or said.full_report or now >= memory.scan_at,
    )
    if said.scan:
        memory = _demanded(memory, said.scan)
    return go_on(structs.replace(memory, poll_at=next_poll(memory, now)), now)


def _is_missed(memory: Memory, now: float) -> bool:
    """Say whether the site expects a word before the next scan: it was told to scan rarer here."""
    told_s = memory.pace.told_scan_every_s
    is_late = not 0 <= now - memory.told_at < says_so_after_s(told_s)
    return 0 < told_s < memory.pace.scan_every_s and is_late and memory.scanned_at > 0


def _demanded(memory: Memory, scan: int) -> Memory:
    """Whoever asks for a scan wants it by the catalog of now, at once, and to hear of it."""
    return structs.replace(
        memory, scan_for=scan, retrying=False, refresh_due=True, scan_due=True, report_due=True
    )


def _at_pace(memory: Memory, pace: Pace | None, now: float) -> Memory:
    """Go on at another pace; what is due already stays due."""
    if pace is None or pace == memory.pace:
        return memory
    is_frozen_otherwise = structs.replace(pace, frozen=()) == structs.replace(
        memory.pace, frozen=()
    )
    memory = structs.replace(memory, pace=pace)
    if is_frozen_otherwise or memory.scan_at <= now:
        return memory
    return structs.replace(memory, scan_at=_next_scan(memory, since=memory.scanned_at or now))


def _next_scan(memory: Memory, *, since: float) -> float:
    """Return when to scan by itself after that one: as often as told, and when the calendar says.

    Whoever goes by the calendar alone would not notice what is done to the machine in between.
    """
    pace = memory.pace
    own = next_scan(memory.seed, every_s=pace.scan_every_s, now=since)
    return min(own, pace.anchor_at) if pace.anchor_at > since else own


def _refreshed(memory: Memory, shards: Mapping[str, int] | None, now: float) -> Memory:
    """Scan only by what the last scan did not know: a look at the date alone changes nothing."""
    is_known = shards is not None and shards == memory.evaluated and not memory.offline
    made = structs.replace(refreshed(memory, now), offline=False)
    return structs.replace(made, scan_due=memory.scan_due) if is_known else made


def _scanned(memory: Memory, seen: ev.Scanned, now: float) -> Step:
    done = orders.fulfilled(memory, seen.present)
    # Without a word for long, or about newer updates, the server must take states for unknown.
    is_quiet = not 0 <= now - memory.told_at < says_so_after_s(memory.pace.scan_every_s)
    is_news = seen.changed or dict(seen.shards) != memory.evaluated_told or is_quiet
    memory = structs.replace(
        orders.close(memory, done),
        scan_due=False,
        scanned_at=now,
        scan_at=_next_scan(memory, since=now),
        needed=seen.needed,
        evaluated=dict(seen.shards),
        report_due=memory.report_due or is_news or memory.full_due,
        restart_for=memory.restart_for if seen.restart_pending else "",
    )
    notes = tuple(ev.Note("order-done", order) for order in done)
    return go_on(memory, now, notes)


def _came_nearer(
    memory: Memory, phase: Phase, event: ev.Consented | ev.Downloaded | ev.Staged, now: float
) -> Step:
    """Take the next step towards the installation, unless the order's time went by meanwhile."""
    under_way = getattr(phase, "order", "")
    order = orders.pick(memory, now=now, under_way=under_way)
    match event, phase:
        case ev.Consented(), Consenting(order_id):
            if order is not None and order.id == order_id:
                return begin(memory, Downloading(order_id), ev.Download(order), now)
        case ev.Downloaded(), Downloading(order_id):
            if order is not None and order.id == order_id:
                return begin(memory, Staging(order_id), ev.Stage(order), now)
        case ev.Staged(), Staging(order_id):
            if order is not None and order.id == order_id:
                return _install(memory, order, now)
        case _:
            raise UnexpectedEvent(phase, event)
    return rest(memory, now)


def _enforced(memory: Memory, phase: Phase, event: ev.Installed | ev.Repaired, now: float) -> Step:
    match event, phase:
        case ev.Installed(), Installing(order_id):
            order = orders.find(memory, order_id)
            memory = _awaiting_restart(memory, order, event)
            memory = structs.replace(memory, scan_due=True)
            code = "rolled-back" if order and order.rollback else "installed"
            return go_on(memory, now, noted(code, order_id))
        case ev.Repaired(), Repairing(order_id):
            memory = structs.replace(memory, repair_for="", scan_due=True)
            return go_on(memory, now, noted("repaired", order_id))
        case _:
            raise UnexpectedEvent(phase, event)


def _awaiting_restart(memory: Memory, order: Order | None, done: ev.Installed) -> Memory:
    """Note for which order a restart is waited for; on an emergency no other's rides."""
    if not done.restart_needed:
        return structs.replace(memory, restart_for="")
    if order is None or not order.may_restart:
        return memory
    was_urgent = memory.restart_urgent and bool(memory.restart_for)
    is_urgent = was_urgent or (order.emergency and not done.for_others)
    return structs.replace(memory, restart_for=order.id, restart_urgent=is_urgent)


def _install(memory: Memory, order: Order, now: float) -> Step:
    memory = orders.with_attempt(orders.release(memory, [order.id]), order.id)
    attempt = memory.attempts[order.id]
    phase = Installing(order.id, memory.boot_id, attempt)
    return begin(memory, phase, ev.Install(order, attempt), now)
