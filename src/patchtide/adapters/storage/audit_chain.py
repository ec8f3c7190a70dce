"""The audit: append-only, each entry hashed with the one before it, sealed by checkpoints.

An entry that was altered, removed or moved breaks the chain where it stood; a chain that was cut
at its end contradicts the last signed checkpoint, or the log of decisions.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, func, insert, select

from patchtide.adapters.storage.tables import audit, audit_checkpoint, decision_log
from patchtide.server.ports.storage import AuditFlaw

_PAGE = 5000
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


def append(connection: Connection, entries: Sequence[dict[str, Any]]) -> None:
    """Chain the entries; the caller holds the ticket, so nobody else appends meanwhile."""
    last = connection.execute(
        select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
    ).first()
    sequence, previous = (last.sequence, last.hash) if last else (0, b"")
    rows = []
    for entry in entries:
        sequence += 1
        previous = _hash(previous, sequence, entry)
        rows.append({**entry, "sequence": sequence, "hash": previous})
    connection.execute(insert(audit), rows)


def _hash(previous: bytes, sequence: int, entry: dict[str, Any]) -> bytes:
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
    last = connection.execute(
        select(audit.c.sequence, audit.c.hash).order_by(audit.c.sequence.desc()).limit(1)
    ).first()
    sealed = connection.execute(select(func.max(audit_checkpoint.c.sequence))).scalar()
    if last is None or sealed == last.sequence:
        return False
    connection.execute(
        insert(audit_checkpoint).values(
            sequence=last.sequence,
            hash=last.hash,
            at=now.timestamp(),
            signature=sign(_sealed(last.sequence, last.hash)),
        )
    )
    return True


def _sealed(sequence: int, digest: bytes) -> bytes:
    return b"patchtide-audit-1\0" + sequence.to_bytes(8) + digest


def verify(connection: Connection, check: Check) -> AuditFlaw | None:
    """Return the first entry at which the chain is not what was written, or None."""
    seals = {r.sequence: r for r in connection.execute(select(audit_checkpoint))}
    expected, previous, change = 1, b"", 0
    for row in _rows(connection):
        if row.sequence != expected:
            return AuditFlaw(sequence=expected, what="entry removed")
        if row.hash != _hash(previous, row.sequence, row._asdict()):
            return AuditFlaw(sequence=row.sequence, what="entry altered, moved or put in")
        seal = seals.pop(row.sequence, None)
        if seal is not None and not _holds(seal, row.hash, check):
            return AuditFlaw(sequence=row.sequence, what="entry contradicts its signed checkpoint")
        expected, previous, change = row.sequence + 1, row.hash, row.change
    newest = connection.execute(select(func.max(decision_log.c.change))).scalar() or 0
    if seals or newest > change:
        return AuditFlaw(sequence=expected, what="entries cut off at the end")
    return None


def _holds(seal: Any, digest: bytes, check: Check) -> bool:
    return seal.hash == digest and check(seal.signature, _sealed(seal.sequence, digest))


def _rows(connection: Connection) -> Iterator[Any]:
    after = 0
    while True:
        page = connection.execute(
            select(audit).where(audit.c.sequence > after).order_by(audit.c.sequence).limit(_PAGE)
        ).all()
        yield from page
        if len(page) < _PAGE:
            return
        after = page[-1].sequence
