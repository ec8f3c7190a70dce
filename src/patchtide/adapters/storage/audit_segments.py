"""Signed segments of the audit, to be kept elsewhere: what was exported can no longer be denied.

A segment is a line that says what it holds, its entries a line each, and a signature over both.
"""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Connection, select

from patchtide.adapters.storage.audit_chain import PAGE, Check, Sign, digest_of
from patchtide.adapters.storage.tables import audit
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.server.ports.audit import AuditSegment

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
