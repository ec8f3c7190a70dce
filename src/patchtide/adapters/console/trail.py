"""Decisions as people read them: who did what, when, to what."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from patchtide.adapters.console import words
from patchtide.adapters.console.console import Desk
from patchtide.adapters.console.listing import Shape
from patchtide.adapters.console.rendering import instant
from patchtide.adapters.console.replies import Reply
from patchtide.adapters.console.visits import Visit
from patchtide.domain.access.rights import Kind
from patchtide.server.audit_trail import AuditVerdict
from patchtide.server.ports.audit import AuditEntry

WINDOW = 1_000
"""How many of the newest entries a list looks through; an export of the interface has all."""
_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)")
_ID = re.compile(r"[0-9a-f]{32}")
_PAGES = {"collections": "/collections"}
"""Where the page of an id is that no machine has, by what was decided."""
_QUIET = frozenset({"catalog.tidy"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    sequence: int
    at: datetime
    who: str
    kind: str
    operation: str
    what: str
    subject: str
    about: str
    """What the subject is called, where that is known."""
    link: str
    detail: str


async def page(desk: Desk, visit: Visit) -> Reply:
    entries = await newest(desk, visit, limit=WINDOW)
    asked = SHAPE.asked(visit.path, visit.query)
    if kind := visit.query.get("format"):
        return SHAPE.export(entries, asked, kind)
    verdict: AuditVerdict | None = None
    if "verify" in visit.query and not visit.is_background:
        verdict = await desk.ask(visit, "audit.verify")
    listed = SHAPE.page(entries, asked)
    return desk.page(
        visit, "audit.html", listed=listed, asked=asked, window=WINDOW, verdict=verdict
    )


async def newest(desk: Desk, visit: Visit, *, limit: int) -> Sequence[Entry]:
    store = desk.context.fleet.store
    found, names = await asyncio.gather(
        asyncio.to_thread(lambda: store.newest_audit(limit=limit)), names_of(desk, visit)
    )
    return entries_of(found, names)


async def names_of(desk: Desk, visit: Visit) -> Mapping[str, str]:
    """Return what those are called who decide, by how the audit names them.

    To whoever may not read accounts they have no names: he sees their ids.
    """
    if not desk.may_read(visit, Kind.ACCOUNTS):
        return {}
    return await asyncio.to_thread(_names, desk)


def _names(desk: Desk) -> Mapping[str, str]:
    lookups = desk.context.lookups
    return {
        **{f"user:{user.id}": user.name for user in lookups.users()},
        **{f"api-token:{token.id}": token.name for token in lookups.api_tokens()},
    }


def entries_of(found: Sequence[AuditEntry], names: Mapping[str, str]) -> Sequence[Entry]:
    return [_entry(entry, names) for entry in found if entry.operation not in _QUIET]


def _entry(entry: AuditEntry, names: Mapping[str, str]) -> Entry:
    detail = dict(entry.detail)
    about = str(
        detail.pop("name", "")
        or names.get(f"user:{entry.subject}", "")
        or names.get(entry.subject, "")
    )
    is_id = _ID.fullmatch(entry.subject) is not None
    kind = entry.operation.partition(".")[0]
    return Entry(
        sequence=entry.sequence,
        at=entry.at,
        who=names.get(entry.actor, entry.actor),
        kind=kind,
        operation=entry.operation,
        what=words.DECISIONS.get(entry.operation, entry.operation),
        subject=entry.subject,
        about=about or ("" if is_id else entry.subject),
        link=f"{_PAGES.get(kind, '/machines')}/{UUID(entry.subject)}" if is_id else "",
        detail=", ".join(
            f"{name}: {_told(value)}" for name, value in detail.items() if value != ""
        ),
    )


def _told(value: object) -> str:
    """Return a value of an entry's detail as people write it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    text = str(value)
    if _INSTANT.fullmatch(text):
        return instant(datetime.fromisoformat(text).astimezone(UTC))
    return text


SHAPE: Shape[Entry] = Shape(
    name="audit",
    text=lambda e: f"{e.who} {e.operation} {e.what} {e.about} {e.subject} {e.detail}",
    sorts={"at": lambda e: e.sequence, "who": lambda e: e.who, "what": lambda e: e.what},
    sort="-at",
    filters={"kind": lambda e: e.kind},
    cells={
        "sequence": lambda e: e.sequence,
        "at": lambda e: e.at,
        "who": lambda e: e.who,
        "operation": lambda e: e.operation,
        "subject": lambda e: e.subject,
        "about": lambda e: e.about,
        "detail": lambda e: e.detail,
    },
)
