"""Synchronisations as the database keeps them: the last one apart, all of them as a history.

The last one's record is what two nodes wait for. Whoever runs it renews the record; when that
stops, anybody may begin the next one, and what the earlier one still tries to write is refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Literal

import msgspec

from patchtide.domain.errors import StaleRevision, WrongState
from patchtide.domain.schedules.synchronising import Ended, Past
from patchtide.server.ports.decisions import Transaction

LAST = "catalog.synchronising"
RENEWED_EVERY = timedelta(seconds=10)
LEASE = timedelta(minutes=2)
"""After which a run that was not renewed has ended with its node."""
_MAX_TEXT = 1000

RunState = Literal["running", "done", "failed", "interrupted"]


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """One synchronisation. Times are epoch seconds."""

    number: int
    node: str
    by: str
    full: bool
    started_at: float
    ended_at: float = 0.0
    state: RunState = "running"
    code: str = ""
    error: str = ""
    note: str = ""
    as_of: float = 0.0
    """When a vendor last signed anything of what was read."""
    updates: int = 0
    """How many the feed told of; and how many leaves of theirs were news."""
    new: int = 0
    revised: int = 0
    gone: int = 0
    left_out: int = 0
    """How many updates it told of that nobody here has chosen."""
    feeds: tuple[str, ...] = ()
    """Of several these alone were fetched; none: all."""
    failed: tuple[str, ...] = ()
    """Those of several that could not be read, while others could."""


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """The last synchronisation, and how far it is."""

    run: Run
    renewed_at: float
    answered_at: float = 0.0
    """When the last full one began that was done."""
    step: str = ""
    done: int = 0
    of: int = 0

    def history(self) -> Sequence[Past]:
        """Return what the next one depends on."""
        answered = datetime.fromtimestamp(self.answered_at, UTC)
        before = Past(began_at=answered, ended_at=answered, state=Ended.DONE, full=True)
        return ([before] if self.answered_at else []) + [_past(self.run)]


class Watch:
    """Says which runs of other nodes have ended with them, by this node's clock alone.

    Theirs may be minutes off, so when they say that a run was renewed means nothing here; that
    they say another time than before means that it goes on.
    """

    def __init__(self) -> None:
        self._seen: tuple[int, float, datetime] | None = None

    def is_lost(self, last: Last, now: datetime) -> bool:
        """Say whether the run has not been renewed since it was looked at long enough ago."""
        told = last.run.number, last.renewed_at
        seen = self._seen
        if seen is None or seen[:2] != told or seen[2] > now:
            self._seen = (*told, now)
            return False
        return last.run.state == "running" and now - seen[2] >= LEASE


def read_last(data: bytes | None) -> Last | None:
    return msgspec.msgpack.decode(data, type=Last) if data else None


def read_runs(documents: Sequence[bytes]) -> list[Run]:
    return [msgspec.msgpack.decode(document, type=Run) for document in documents]


def interrupted(run: Run) -> Run:
    return msgspec.structs.replace(
        run, state="interrupted", error="the server ended before this did"
    )


def begin(
    tx: Transaction,
    *,
    node: str,
    by: str,
    full: bool,
    now: datetime,
    is_lost: Callable[[Last], bool],
    feeds: tuple[str, ...] = (),
) -> Run:
    """Begin the next one. `is_lost` says of one that seems to go on whether it does not.

    Raises:
        WrongState: one is running.
    """
    last = read_last(tx.lock_setting(LAST))
    if last is not None and last.run.state == "running":
        if not is_lost(last):
            raise WrongState("another node is synchronising")
        _keep(tx, interrupted(last.run))
    run = Run(
        number=last.run.number + 1 if last else 1,
        node=node,
        by=by,
        full=full,
        started_at=now.timestamp(),
        feeds=feeds,
    )
    answered = last.answered_at if last else 0.0
    _put(tx, Last(run=run, renewed_at=now.timestamp(), answered_at=answered, step="starting"))
    _keep(tx, run)
    tx.note(str(run.number), full=full)
    return run


def require_latest(tx: Transaction, run: Run) -> Last:
    """Lock the record; until the end of this transaction nobody can begin another one.

    Raises:
        StaleRevision: somebody has.
    """
    last = read_last(tx.lock_setting(LAST))
    if last is None or last.run.number != run.number:
        raise StaleRevision("another synchronisation has begun since")
    return last


def renew(tx: Transaction, run: Run, *, now: datetime, step: str, done: int, of: int) -> None:
    """Say that it goes on, and how far it is.

    Raises:
        StaleRevision: another one has begun.
    """
    last = require_latest(tx, run)
    told = msgspec.structs.replace(last, renewed_at=now.timestamp(), step=step, done=done, of=of)
    _put(tx, told)


def end(tx: Transaction, ended: Run) -> None:
    """Write down what came of it, also when another one has begun meanwhile."""
    # Both come from feeds, and are read, fifty to a page, for thirteen months.
    cut = {"note": ended.note[:_MAX_TEXT], "error": ended.error[:_MAX_TEXT]}
    ended = msgspec.structs.replace(ended, **cut)
    _keep(tx, ended)
    last = read_last(tx.lock_setting(LAST))
    if last is not None and last.run.number == ended.number:
        is_answer = ended.full and ended.state == "done" and not ended.feeds
        answered = ended.started_at if is_answer else last.answered_at
        _put(tx, Last(run=ended, renewed_at=ended.ended_at, answered_at=answered))
    tx.note(str(ended.number), state=ended.state, code=ended.code, updates=ended.updates)


def _put(tx: Transaction, last: Last) -> None:
    tx.put_setting(LAST, msgspec.msgpack.encode(last))


def _keep(tx: Transaction, run: Run) -> None:
    tx.put_synchronisation(run.number, at=run.started_at, document=msgspec.msgpack.encode(run))


def _past(run: Run) -> Past:
    return Past(
        began_at=datetime.fromtimestamp(run.started_at, UTC),
        ended_at=datetime.fromtimestamp(run.ended_at, UTC) if run.ended_at else None,
        state=Ended(run.state),
        full=run.full,
        is_partial=bool(run.failed) or (bool(run.feeds) and run.state != "done"),
    )
