"""Signed segments of the audit, to be kept elsewhere: what was exported can no longer be denied.

A segment is a line that says what it holds, its entries a line each, and a signature over both.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, func, select

from patchtide.adapters.storage.audit_chain import PAGE, Check, Sign, digest_of
from patchtide.adapters.storage.tables import audit
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.ports.audit import AuditSegment, LostDecision

log = logging.getLogger(__name__)

RESTORED = "site.mark-restored"
_FORMAT = "patchtide-audit-segment-1"
_FIELDS = ("sequence", "change", "at", "actor", "operation", "subject", "detail")


def export(connection: Connection, sign: Sign, *, after: int) -> AuditSegment | None:
    """Return the next entries after that one as a signed segment; None when there are none."""
    found = select(audit).where(audit.c.sequence > after).order_by(audit.c.sequence).limit(PAGE)
    rows = [row._asdict() for row in connection.execute(found)]
    if not rows:
        return None
    before = connection.execute(select(audit.c.hash).where(audit.c.sequence == after)).scalar()
    head = {
        "format": _FORMAT,
        "first": rows[0]["sequence"],
        "last": rows[-1]["sequence"],
        "before": (before or b"").hex(),
        "hash": rows[-1]["hash"].hex(),
    }
    lines = [head, *({name: row[name] for name in _FIELDS} for row in rows)]
    said = b"".join(json.dumps(line, ensure_ascii=True).encode() + b"\n" for line in lines)
    return AuditSegment(
        first=rows[0]["sequence"],
        last=rows[-1]["sequence"],
        hash=rows[-1]["hash"],
        body=said + sign(said).hex().encode() + b"\n",
    )


def read_segment(data: bytes, check: Check) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return a segment's head and its entries, verified.

    Raises:
        InvalidDocument: not signed by that key, or its entries are no chain.
    """
    said, _, signature = data.removesuffix(b"\n").rpartition(b"\n")
    said += b"\n"
    try:
        signed = check(bytes.fromhex(signature.decode()), said)
    except ValueError as error:
        raise InvalidDocument([Problem("signature", "is not there")]) from error
    if not signed:
        raise InvalidDocument([Problem("signature", "is not that of this site")])
    head, *entries = (json.loads(line) for line in said.splitlines())
    digest = bytes.fromhex(head["before"])
    for number, entry in enumerate(entries, head["first"]):
        digest = digest_of(digest, number, entry)
    if digest.hex() != head["hash"]:
        raise InvalidDocument([Problem("entries", "are no chain")])
    return head, entries


def lost(connection: Connection, check: Check, segments: Iterable[bytes]) -> list[LostDecision]:
    """Return what the segments tell of since the last restore that is known, and it does not.

    A database that was put back goes on with the same sequence numbers, so entries are known by
    their hashes. What an earlier restore had lost was told then.
    """
    restored = select(func.max(audit.c.at)).where(audit.c.operation == RESTORED)
    told = connection.execute(restored).scalar() or 0.0
    found = [
        LostDecision(
            at=datetime.fromtimestamp(entry["at"], UTC),
            actor=entry["actor"],
            operation=entry["operation"],
            subject=entry["subject"],
        )
        for data in segments
        for entry in _unknown(connection, check, data)
        if entry["at"] >= told
    ]
    return sorted(found, key=lambda decision: decision.at)


def _unknown(connection: Connection, check: Check, data: bytes) -> Iterator[dict[str, Any]]:
    try:
        head, entries = read_segment(data, check)
    except (InvalidDocument, ValueError, KeyError, TypeError) as error:
        log.warning("a segment of the archived audit is passed over: %s", error)
        return
    within = audit.c.sequence.between(head["first"], head["last"])
    rows = connection.execute(select(audit.c.sequence, audit.c.hash).where(within))
    here = {row.sequence: row.hash for row in rows}
    digest = bytes.fromhex(head["before"])
    for number, entry in enumerate(entries, head["first"]):
        digest = digest_of(digest, number, entry)
        if here.get(number) != digest:
            yield entry
