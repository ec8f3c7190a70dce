"""The audit: append-only, each entry hashed with the one before it, sealed by checkpoints.

An entry that was altered, removed or moved breaks the chain where it stood; a chain that was cut
at its end contradicts the last signed checkpoint, or the log of decisions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, Engine, func, insert, select

from patchtide.adapters.storage.batches import Batch
from patchtide.adapters.storage.tables import audit, audit_checkpoint, decision_log
from patchtide.adapters.storage.transactions import read
from patchtide.server.ports.audit import AuditFlaw

PAGE = 5000
Sign = Callable[[bytes], bytes]
Check = Callable[[bytes, bytes], bool]
"""(signature, message) -> does it verify"""


@dataclass(frozen=True, slots=True)
class Seal:
    """The key that signs the audit's checkpoints, as functions."""

    sign: Sign
    check: Check


def _cannot_sign(message: bytes) -> bytes:
    raise LookupError("this database was opened without a key for its audit")


# Without a key no checkpoint can be made, and one that is there cannot be believed.
NO_SEAL = Seal(_cannot_sign, lambda signature, message: False)

_LAST = select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
_APPEND = Batch(insert(audit))


def append(connection: Connection, entries: Sequence[dict[str, Any]]) -> None:
    """Chain the entries; the caller holds the ticket, so nobody else appends meanwhile."""
    last = connection.execute(_LAST).first()
    sequence, previous = (last.sequence, last.hash) if last else (0, b"")
    _APPEND.run(connection, chained(entries, sequence=sequence, previous=previous))


def chained(
    entries: Sequence[dict[str, Any]], *, sequence: int, previous: bytes
) -> list[dict[str, Any]]:
    """Return the entries as they follow one with that number and hash."""
    rows = []
    for number, entry in enumerate(entries, sequence + 1):
        previous = digest_of(previous, number, entry)
        rows.append({**entry, "sequence": number, "hash": previous})
    return rows


def digest_of(previous: bytes, sequence: int, entry: dict[str, Any]) -> bytes:
    """Return the hash of an entry after that one; JSON arrays have one spelling here."""
    said = [
        sequence,
        entry["change"],
        repr(float(entry["at"])),
        entry["actor"],
        entry["operation"],
        entry["subject"],
        entry["detail"],
    ]
    return sha256(previous + json.dumps(said, ensure_ascii=True).encode()).digest()


def checkpoint(connection: Connection, sign: Sign, *, now: datetime) -> bool:
    """Seal the chain as it stands; False when it is sealed already, or empty."""
    last = connection.execute(_LAST).first()
    sealed = connection.execute(select(func.max(audit_checkpoint.c.sequence))).scalar()
    if last is None or sealed == last.sequence:
        return False
    at = now.timestamp()
    signature = sign(_sealed(last.sequence, last.hash, at))
    connection.execute(
        insert(audit_checkpoint).values(
            sequence=last.sequence, hash=last.hash, at=at, signature=signature
        )
    )
    return True


def _sealed(sequence: int, digest: bytes, at: float) -> bytes:
    return b"patchtide-audit-1\0" + sequence.to_bytes(8) + digest + repr(float(at)).encode()


def verify(readers: Engine, check: Check) -> AuditFlaw | None:
    """Return the first entry at which the chain is not what was written, or None.

    Reads page by page, so that no read transaction is long. What is appended meanwhile is read
    too, or left for the next time.
    """
    # Asked before the walk: what is decided during it must not look as if it were cut off.
    end = read(readers, lambda c: c.execute(_EXPECTED_END).one())
    walk = _Walk(check)
    while True:
        rows, seals = read(readers, lambda c: _page(c, walk.sequence))
        flaw = walk.flaw_in(rows, seals)
        if flaw is not None:
            return flaw
        if len(rows) < PAGE:
            break
    cut = max(end.sealed or 0, 0) > walk.sequence or (end.decided or 0) > walk.change
    what = "entries cut off at the end"
    return AuditFlaw(sequence=walk.sequence + 1, what=what) if cut else None


_EXPECTED_END = select(
    select(func.max(audit_checkpoint.c.sequence)).scalar_subquery().label("sealed"),
    select(func.max(decision_log.c.change)).scalar_subquery().label("decided"),
)


def _page(connection: Connection, after: int) -> tuple[Sequence[Any], dict[int, Any]]:
    found = select(audit).where(audit.c.sequence > after).order_by(audit.c.sequence).limit(PAGE)
    rows = connection.execute(found).all()
    last = rows[-1].sequence if rows else after
    sealed = select(audit_checkpoint).where(audit_checkpoint.c.sequence.between(after + 1, last))
    return rows, {row.sequence: row for row in connection.execute(sealed)}


class _Walk:
    """Follows the chain and remembers where it stands."""

    def __init__(self, check: Check) -> None:
        self._check = check
        self._previous = b""
        self.sequence = 0
        self.change = 0

    def flaw_in(self, rows: Sequence[Any], seals: dict[int, Any]) -> AuditFlaw | None:
        for row in rows:
            what = self._what_is_wrong(row, seals.get(row.sequence))
            if what:
                return AuditFlaw(sequence=self.sequence + 1, what=what)
            self.sequence, self.change, self._previous = row.sequence, row.change, row.hash
        return None

    def _what_is_wrong(self, row: Any, seal: Any) -> str:
        if row.sequence != self.sequence + 1:
            return "entry removed"
        if row.hash != digest_of(self._previous, row.sequence, row._asdict()):
            return "entry altered, moved or put in"
        if seal is None:
            return ""
        signed = self._check(seal.signature, _sealed(seal.sequence, row.hash, seal.at))
        return "" if signed and seal.hash == row.hash else "entry contradicts its checkpoint"
