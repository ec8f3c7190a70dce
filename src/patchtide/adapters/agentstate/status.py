"""What a state folder says, read without disturbing the agent that may be at work on it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID

import msgspec

from patchtide.agent.enrolment import Enrolment
from patchtide.domain.sequencer.states import Brain


def read_status(state: Path) -> dict[str, Any]:
    """Return plain values. Parts that are not there (yet) are None."""
    return {"enrolment": _enrolment(state / "identity" / "enrolment"), **_journal(state)}


def _enrolment(path: Path) -> dict[str, Any] | None:
    try:
        kept = msgspec.msgpack.decode(path.read_bytes(), type=Enrolment)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
    return {
        "client": str(UUID(bytes=kept.client)),
        "server": kept.url,
        "site": kept.site,
    }


def _journal(state: Path) -> dict[str, Any]:
    nothing: dict[str, Any] = {"phase": None, "next_poll": None, "shards": {}, "pending": None}
    path = state / "journal.db"
    if not path.exists():
        return nothing
    try:
        with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as database:
            return nothing | _read(database)
    except (sqlite3.DatabaseError, msgspec.DecodeError) as error:
        return nothing | {"damaged": str(error)}


def _read(database: sqlite3.Connection) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if row := database.execute("SELECT state FROM brain").fetchone():
        brain = msgspec.msgpack.decode(row[0], type=Brain)
        found["phase"] = type(brain.phase).__name__
        found["next_poll"] = brain.memory.poll_at
        found["failures"] = brain.memory.failures
        found["clock_offset_s"] = brain.memory.clock_offset_s
    found["shards"] = dict(database.execute("SELECT name, serial FROM shard"))
    if row := database.execute("SELECT counter FROM pending").fetchone():
        found["pending"] = row[0]
    if row := database.execute("SELECT digest FROM acknowledged").fetchone():
        found["acknowledged"] = row[0].hex()
    [found["untold_events"]] = database.execute("SELECT count(*) FROM event").fetchone()
    return found
