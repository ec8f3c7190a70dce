"""Tells the server what the last scan found: everything at first, then what changed.

A report is queued durably before it is sent, and sent again with the same counter until the
server has acknowledged it, so whatever happens in between, it is not lost and not doubled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from patchtide.agent.ports.journal import Journal, PendingReport, States
from patchtide.agent.ports.link import (
    Answer,
    Busy,
    JumpTo,
    LinkFailed,
    NeedFull,
    News,
    NoNews,
    Outgoing,
    SendAgain,
    ServerLink,
    Taken,
)
from patchtide.domain.sequencer import events as ev
from patchtide.wire.messages import ChangesV1, EventV1, FullV1, ReportV1, ScanState, decode, encode
from patchtide.wire.sets import decode_set, encode_set, pack, state_digest

EVENTS_PER_REPORT = 256
REPORTS_PER_STEP = 6
MAX_JUMP = 2**40
NO_LINEAGE = bytes(16)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScanResult:
    """What one look at the machine came to."""

    states: States | None
    """None: there was no catalog to hold it against."""
    shards: dict[str, int]
    scan: ScanState
    at: int
    boot_id: str
    error: str = ""
    facts: bytes = b""
    """What the scan went by, as the server is told of it; empty: nothing could be read."""
    aged: bool = False
    """The catalog's metadata has expired and no newer one could be had."""


class Reporter:
    def __init__(self, journal: Journal, link: ServerLink) -> None:
        self._journal = journal
        self._link = link

    def report(self, found: ScanResult, wanted: ev.Report, *, created: int) -> ev.Event:
        """Send what is queued, then what is new, until the server has it all."""
        pending = self._journal.pending()
        if pending is not None and not _fits(pending, wanted):
            pending = None
        sent = 0
        while True:
            pending = pending or self._build(found, wanted)
            answer = self._send(pending, created=created)
            if not isinstance(answer, ev.Acknowledged):
                return answer
            sent += 1
            pending = None
            wanted = ev.Report(full=False, restored=False)
            if sent == REPORTS_PER_STEP or not self._has_more(found):
                return answer

    def _has_more(self, found: ScanResult) -> bool:
        known = self._journal.acknowledged()
        return bool(self._journal.events(1)) or (
            found.states is not None and (known is None or known.digest != found.states.digest)
        )

    def _send(self, pending: PendingReport, *, created: int) -> ev.Event:
        message = Outgoing(body=pending.body, counter=pending.counter, created=created)
        answer = event_of(self._link.report(message), self._journal, counter=pending.counter)
        match answer:
            case ev.Acknowledged():
                self._journal.acknowledge()
            case ev.CounterJumped() | ev.FullWanted():
                self._journal.drop_pending()
            case ev.Failed("refused"):
                # The server will never take these bytes; the next report is made anew.
                self._journal.drop_pending()
            case _:
                pass
        return answer

    def _build(self, found: ScanResult, wanted: ev.Report) -> PendingReport:
        known = self._journal.acknowledged()
        told = self._journal.events(EVENTS_PER_REPORT)
        counter = self._journal.take_counter()
        full, changes = _content(known, found.states, whole=wanted.full)
        message = ReportV1(
            counter=counter,
            lineage=_lineage(known, found.states),
            shards=found.shards,
            digest=_digest(known, found.states),
            boot_id=found.boot_id,
            full=full,
            changes=changes,
            scan=found.scan,
            scanned_at=found.at,
            scan_error=found.error[:1024],
            events=tuple(event for _, event in told),
            restored=wanted.restored,
            aged_catalog=found.aged,
            scan_for=wanted.scan_for,
        )
        pending = PendingReport(
            counter=counter,
            body=encode(message),
            states=found.states,
            full=full is not None,
            restored=wanted.restored,
            events_to=told[-1][0] if told else 0,
        )
        self._journal.queue(pending)
        return pending


def _fits(pending: PendingReport, wanted: ev.Report) -> bool:
    """One that was queued before a scan was asked for tells nothing of that scan."""
    if pending.full < wanted.full or pending.restored < wanted.restored:
        return False
    return not wanted.scan_for or decode(pending.body, ReportV1).scan_for == wanted.scan_for


def _content(
    known: States | None, states: States | None, *, whole: bool
) -> tuple[FullV1 | None, ChangesV1 | None]:
    """Return the smaller of everything and what moved; neither when nothing did."""
    if states is None:
        return None, None
    if whole or known is None or known.lineage != states.lineage:
        return _full(states), None
    if known.digest == states.digest:
        return None, None
    full, changes = _full(states), changes_between(known, states)
    return (full, None) if _size(full) <= _size(changes) else (None, changes)


def _full(states: States) -> FullV1:
    return FullV1(
        required=pack(states.required),
        installed=pack(states.installed),
        unknown=pack(states.unknown),
    )


def _size(part: FullV1 | ChangesV1) -> int:
    return len(encode(part))


def changes_between(known: States, states: States) -> ChangesV1:
    """Return what moved; a number that left all three sets is `gone`."""
    before = [set(decode_set(s)) for s in (known.required, known.installed, known.unknown)]
    after = [set(decode_set(s)) for s in (states.required, states.installed, states.unknown)]
    required, installed, unknown = (
        pack(encode_set(new - old)) if new - old else b""
        for old, new in zip(before, after, strict=True)
    )
    gone = set[int]().union(*before) - set[int]().union(*after)
    return ChangesV1(
        base=known.digest,
        required=required,
        installed=installed,
        unknown=unknown,
        gone=pack(encode_set(gone)) if gone else b"",
    )


def _lineage(known: States | None, states: States | None) -> bytes:
    current = states or known
    return current.lineage if current else NO_LINEAGE


def _digest(known: States | None, states: States | None) -> bytes:
    current = states or known
    if current:
        return current.digest
    return state_digest(lineage=NO_LINEAGE, required=b"", installed=b"", unknown=b"")


def states_of(
    lineage: bytes, *, required: Sequence[int], installed: Sequence[int], unknown: Sequence[int]
) -> States:
    """Return the canonical form of what a scan found."""
    sets = {
        "required": encode_set(required),
        "installed": encode_set(installed),
        "unknown": encode_set(unknown),
    }
    return States(lineage=lineage, digest=state_digest(lineage=lineage, **sets), **sets)


def event_of(answer: Answer, journal: Journal, *, counter: int) -> ev.Event:
    """Return what the brain is told of an answer; a jump is taken here, before it hears of it."""
    match answer:
        case News(said):
            return ev.CheckedIn(
                next_poll_s=said.next_poll_s,
                shards=said.shards,
                envelope=said.envelope,
                full_report=said.full_report,
                scan=said.scan,
            )
        case NoNews(next_poll_s=next_poll_s):
            return ev.CheckedIn(next_poll_s=next_poll_s)
        case Taken():
            return ev.Acknowledged()
        case JumpTo(expected):
            # Bounded, so that no single answer can use the counter up for ever.
            if expected > counter + MAX_JUMP:
                return ev.Failed("jump-too-far", str(expected))
            journal.jump_counter(expected)
            return ev.CounterJumped()
        case SendAgain(server_now):
            return ev.ClockOff(server_now)
        case NeedFull():
            return ev.FullWanted()
        case Busy(retry_after_s):
            return ev.Deferred(retry_after_s)
        case LinkFailed(code, detail):
            return ev.Failed(code, detail)


def event_note(at: float, note: ev.Note) -> EventV1:
    return EventV1(at=int(at), code=note.code[:256], detail=note.detail[:1024])
