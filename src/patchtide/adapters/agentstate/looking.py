"""The journal for whoever only looks, while the agent may be at work on it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from patchtide.adapters.agentstate.sqlite import SCHEMA_VERSION
from patchtide.agent.ports.journal import JournalFailed, ShardHead, States


class LookedAt:
    """One moment of the journal: what the agent writes meanwhile does not show."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._db = database

    def shards(self) -> Mapping[str, ShardHead]:
        rows = self._db.execute("SELECT name, lineage, serial FROM shard")
        return {name: ShardHead(lineage=lineage, serial=serial) for name, lineage, serial in rows}

    def leaves(self, shard: str) -> Iterator[tuple[int, int, bytes]]:
        return self._db.execute(
            "SELECT number, revision, body FROM leaf WHERE shard = ? ORDER BY number", (shard,)
        )

    def acknowledged(self) -> States | None:
        """Return what the server was last told, and has."""
        row = self._db.execute(
            "SELECT lineage, digest, required, installed, unknown FROM acknowledged"
        ).fetchone()
        if row is None:
            return None
        names = ("lineage", "digest", "required", "installed", "unknown")
        return States(**dict(zip(names, row, strict=True)))

    def brain(self) -> bytes | None:
        row = self._db.execute("SELECT state FROM brain").fetchone()
        return row[0] if row else None

    def pending(self) -> int | None:
        """Return the counter of the report that the server has not said to have."""
        row = self._db.execute("SELECT counter FROM pending").fetchone()
        return row[0] if row else None

    def untold(self) -> tuple[int, bytes | None]:
        """Return how many events the server has not heard of, and the newest one."""
        [count] = self._db.execute("SELECT count(*) FROM event").fetchone()
        row = self._db.execute("SELECT body FROM event ORDER BY id DESC LIMIT 1").fetchone()
        return count, row[0] if row else None


@contextmanager
def looked_at(state: Path) -> Iterator[LookedAt | None]:
    """Return the journal of a state folder; None where there is none yet.

    Raises:
        JournalFailed: it cannot be read.
    """
    path = state / "journal.db"
    if not path.exists():
        yield None
        return
    address = f"{path.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(address, uri=True, isolation_level=None)) as database:
            database.execute("BEGIN")
            [version] = database.execute("PRAGMA user_version").fetchone()
            if version != SCHEMA_VERSION:
                raise JournalFailed(f"{path} has schema version {version}")
            yield LookedAt(database)
    except sqlite3.DatabaseError as error:
        raise JournalFailed(f"{path}: {error}") from error
