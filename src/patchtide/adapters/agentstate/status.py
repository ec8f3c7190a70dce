"""What a state folder says, read without disturbing the agent that may be at work on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from patchtide.adapters.agentstate.looking import LookedAt, looked_at
from patchtide.agent.enrolment import Enrolment
from patchtide.agent.ports.journal import JournalFailed, States
from patchtide.domain.sequencer.states import Brain
from patchtide.wire.messages import EventV1


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """Parts that are not there (yet) are None."""

    enrolment: Enrolment | None
    brain: Brain | None = None
    shards: Mapping[str, int] = field(default_factory=dict)
    pending: int | None = None
    """The counter of a report that the server has not said to have."""
    acknowledged: States | None = None
    untold_events: int = 0
    last_event: EventV1 | None = None
    damaged: str = ""
    """Why the journal cannot be read."""


def read_status(state: Path) -> Status:
    enrolment = read_enrolment(state / "identity")
    try:
        with looked_at(state) as journal:
            if journal is None:
                return Status(enrolment=enrolment)
            return _read(enrolment, journal)
    except (JournalFailed, msgspec.DecodeError) as error:
        return Status(enrolment=enrolment, damaged=str(error))


def read_enrolment(folder: Path) -> Enrolment | None:
    try:
        return msgspec.msgpack.decode((folder / "enrolment").read_bytes(), type=Enrolment)
    except (FileNotFoundError, msgspec.DecodeError):
        return None


def _read(enrolment: Enrolment | None, journal: LookedAt) -> Status:
    stored = journal.brain()
    count, last = journal.untold()
    return Status(
        enrolment=enrolment,
        brain=msgspec.msgpack.decode(stored, type=Brain) if stored else None,
        shards={name: head.serial for name, head in journal.shards().items()},
        pending=journal.pending(),
        acknowledged=journal.acknowledged(),
        untold_events=count,
        last_event=msgspec.msgpack.decode(last, type=EventV1) if last else None,
    )


def open_to_others(state: Path) -> list[str]:
    """Return what in the folder others than its owner may read, write or enter."""
    here = [state, *state.rglob("*")]
    owner = state.stat().st_uid
    return [
        str(path)
        for path in here
        if (seen := path.lstat()).st_uid != owner
        or (seen.st_mode & 0o077 and not path.is_symlink())
    ]
