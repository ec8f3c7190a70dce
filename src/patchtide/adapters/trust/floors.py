"""What a machine has seen and will not go back behind: in SQLite, on stable storage.

The TUF client keeps its metadata in plain files that a power cut may empty; these floors do not
depend on those files. Nothing here ever goes down but by a rotation of keys (metadata) or by a
signed order (packages).
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from patchtide.adapters.trust.durable import FILE_MODE, private_folder, sync_folder
from patchtide.agent.ports.trust import TrustStoreFailed

_SCHEMA = """
CREATE TABLE IF NOT EXISTS role (
    name TEXT PRIMARY KEY, version INTEGER NOT NULL, digest BLOB NOT NULL, keys BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS clock (
    one INTEGER PRIMARY KEY CHECK (one = 1), seen REAL NOT NULL
);
CREATE TABLE IF NOT EXISTS package (name TEXT PRIMARY KEY, version TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS used_order (digest BLOB PRIMARY KEY, expires REAL NOT NULL);
"""
FINGERPRINT = 32
_DISK_TROUBLE = (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY)


@dataclass(frozen=True, slots=True)
class Floor:
    version: int
    digest: bytes
    """SHA-256 of the accepted metadata; empty: the floor was only raised."""
    keys: bytes
    """Two fingerprints: of the keys whose rotation lets it begin anew, and of its own keys.

    Empty: neither was known, and no rotation lowers it.
    """

    def begins_anew_with(self, offered: Floor) -> bool:
        return bool(self.keys) and self.keys[:FINGERPRINT] != offered.keys[:FINGERPRINT]


class FloorStore:
    """Opens (or makes) the floors. A damaged file is set aside; `damaged` then says so.

    `fresh`: they were not there before. A file without them counts as none, since that is what
    a power cut or a truncation leaves, and SQLite opens it without a word.
    """

    def __init__(self, path: Path) -> None:
        private_folder(path.parent)
        self.damaged = False
        try:
            self._db, self.fresh = _open(path)
        except sqlite3.DatabaseError as error:
            if _is_disk_trouble(error):
                raise TrustStoreFailed(str(error)) from error
            _set_aside(path)
            self.damaged = True
            self._db, self.fresh = _open(path)

    def close(self) -> None:
        self._db.close()

    def floor(self, role: str) -> Floor | None:
        row = self._db.execute(
            "SELECT version, digest, keys FROM role WHERE name = ?", (role,)
        ).fetchone()
        return None if row is None else Floor(*row)

    def roles(self) -> dict[str, Floor]:
        rows = self._db.execute("SELECT name, version, digest, keys FROM role")
        return {name: Floor(version, digest, keys) for name, version, digest, keys in rows}

    def accept(self, floors: Iterable[tuple[str, Floor]], *, signed_at: float = 0.0) -> None:
        """Store what was accepted. The caller has compared it with what was there."""
        with self._transaction():
            self._db.executemany(
                "INSERT OR REPLACE INTO role VALUES (?, ?, ?, ?)",
                [(role, f.version, f.digest, f.keys) for role, f in floors],
            )
            self._raise_clock(signed_at)

    def raise_floor(self, role: str, version: int, *, keys: bytes = b"") -> None:
        """Refuse lower versions from now on; a lower number than there is changes nothing.

        Without `keys` nothing ever lowers it again.
        """
        with self._transaction():
            self._db.execute(
                "INSERT INTO role VALUES (?, ?, x'', ?) ON CONFLICT (name) DO UPDATE"
                " SET version = excluded.version, digest = x'', keys = excluded.keys"
                " WHERE excluded.version > role.version",
                (role, version, keys),
            )

    def clock(self) -> float:
        row = self._db.execute("SELECT seen FROM clock").fetchone()
        return 0.0 if row is None else float(row[0])

    def package(self, name: str) -> str | None:
        row = self._db.execute("SELECT version FROM package WHERE name = ?", (name,)).fetchone()
        return None if row is None else str(row[0])

    def set_package(self, name: str, version: str) -> None:
        with self._transaction():
            self._db.execute("INSERT OR REPLACE INTO package VALUES (?, ?)", (name, version))

    def use_order(self, digest: bytes, *, expires: float, name: str, version: str) -> bool:
        """Lower one package's floor by an order, once; False: the order was used before."""
        with self._transaction():
            used = self._db.execute(
                "INSERT OR IGNORE INTO used_order VALUES (?, ?)", (digest, expires)
            )
            if used.rowcount:
                self._db.execute("INSERT OR REPLACE INTO package VALUES (?, ?)", (name, version))
            return bool(used.rowcount)

    def _raise_clock(self, seen: float) -> None:
        self._db.execute(
            "INSERT INTO clock VALUES (1, ?) ON CONFLICT (one) DO UPDATE"
            " SET seen = max(seen, excluded.seen)",
            (seen,),
        )

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        try:
            self._db.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._db.execute("ROLLBACK")
                raise
            self._db.execute("COMMIT")
        except sqlite3.DatabaseError as error:
            raise TrustStoreFailed(str(error)) from error


def _open(path: Path) -> tuple[sqlite3.Connection, bool]:
    """Return the database, and whether its tables had to be made."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, FILE_MODE))
    db = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        db.execute("PRAGMA journal_mode = WAL")
        db.execute("PRAGMA synchronous = FULL")
        fresh = not db.execute("SELECT 1 FROM sqlite_master WHERE name = 'role'").fetchall()
        db.executescript(_SCHEMA)
        if db.execute("PRAGMA quick_check").fetchone() != ("ok",):
            raise sqlite3.DatabaseError("the file is damaged")
    except sqlite3.DatabaseError:
        db.close()
        raise
    sync_folder(path.parent)
    return db, fresh


def _set_aside(path: Path) -> None:
    for name in (path.name, f"{path.name}-wal", f"{path.name}-shm"):
        with_suffix = path.with_name(name)
        if with_suffix.exists():
            with_suffix.rename(path.with_name(f"damaged-{name}"))


def _is_disk_trouble(error: sqlite3.DatabaseError) -> bool:
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    return code in (*_DISK_TROUBLE, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
