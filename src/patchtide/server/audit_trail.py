"""The audit trail: every decision in order, chained by hash, and whether the chain still holds."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.server.context import Call
from patchtide.server.ports.audit import AuditEntry
from patchtide.server.table import Input, Nothing, Output


class ListAudit(Input, kw_only=True, frozen=True):
    after: Annotated[int, Meta(ge=0, lt=2**53, description="Go on after this sequence number.")] = 0
    limit: Annotated[int, Meta(ge=1, le=500, description="How many at most.")] = 100


class ShownEntry(Output, kw_only=True, frozen=True):
    sequence: int
    at: datetime
    actor: str
    operation: str
    subject: str
    detail: dict[str, Any]
    hash: str


class AuditList(Output, kw_only=True, frozen=True):
    items: tuple[ShownEntry, ...]
    next: int | None
    """Where to go on; null at the end."""


class AuditVerdict(Output, kw_only=True, frozen=True):
    intact: bool
    sequence: int | None
    """The first entry that is not what it was."""
    what: str


async def list_some(call: Call, principal: Principal, asked: ListAudit) -> AuditList:
    found = await call.read(
        lambda: call.context.reading.audit(after=asked.after, limit=asked.limit + 1)
    )
    items = tuple(_shown(entry) for entry in found[: asked.limit])
    return AuditList(items=items, next=items[-1].sequence if len(found) > asked.limit else None)


async def verify(call: Call, principal: Principal, asked: Nothing) -> AuditVerdict:
    flaw = await call.read(call.context.reading.verify_audit)
    if flaw is None:
        return AuditVerdict(intact=True, sequence=None, what="")
    return AuditVerdict(intact=False, sequence=flaw.sequence, what=flaw.what)


def _shown(entry: AuditEntry) -> ShownEntry:
    return ShownEntry(
        sequence=entry.sequence,
        at=entry.at,
        actor=entry.actor,
        operation=entry.operation,
        subject=entry.subject,
        detail=dict(entry.detail),
        hash=entry.hash.hex(),
    )
