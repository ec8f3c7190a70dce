"""Taking a group of reports: here, or in a process that does nothing else.

Storing a group costs some twenty statements, each of which gives up the interpreter and has to
get it back from the event loop, as the loop does from it. The process beside has neither.

The server's one writer asks it and waits, so that nobody else writes meanwhile. What it could not
answer the writer does itself: a report that is stored already is told from a new one, and whoever
hears of it for the first time concludes from it as from a new one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec
from sqlalchemy import Engine

from patchtide.adapters.storage import reports
from patchtide.adapters.storage.engines import open_writer, parse_url
from patchtide.adapters.storage.transactions import committed
from patchtide.server.ports.reports import Accepted, IncomingReport

Group = Sequence[tuple[IncomingReport, float]]
"""Reports, and when each came."""
FAILED = b""

_encode = msgspec.msgpack.Encoder().encode
_group = msgspec.msgpack.Decoder(list[tuple[IncomingReport, float]])
_answers = msgspec.msgpack.Decoder(list[Accepted])


class Beside(Protocol):
    """What has groups taken beside this process."""

    def __call__(self, group: Group) -> Sequence[Accepted] | None:
        """Return what became of the reports; None: they are to be taken here."""

    def close(self) -> None: ...


class Nobody:
    """There is no process beside this one."""

    def __call__(self, group: Group) -> Sequence[Accepted] | None:
        return None

    def close(self) -> None:
        return None


def take(engine: Engine, group: Group) -> Sequence[Accepted]:
    """Return what became of the reports; what is accepted is durable.

    Raises:
        Unavailable: the database cannot be reached, or is busy beyond patience.
        InvalidDocument: a value does not fit its column.
    """
    taken, times = [report for report, _ in group], [at for _, at in group]
    return committed(engine, lambda c: reports.accept(c, taken, times=times))


def begin(url: bytes) -> Callable[[bytes], bytes]:
    """Open the database in the process beside; return what answers there."""
    engine = open_writer(parse_url(url.decode()))

    def answer(question: bytes) -> bytes:
        try:
            return _encode(take(engine, _group.decode(question)))
        except Exception:  # noqa: BLE001 - whoever asked does it once more, and learns why
            return FAILED

    return answer


def question(group: Group) -> bytes:
    return _encode(group)


def told(answer: bytes) -> Sequence[Accepted] | None:
    """Return what became of the reports; None: nothing of them was stored."""
    return None if answer == FAILED else _answers.decode(answer)
