"""What people decide about freezes: from when to when a collection's machines are not changed."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta, structs

from patchtide.domain.access.principals import Principal
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.spans import Span
from patchtide.domain.schedules.windows import Clock
from patchtide.domain.schedules.wording import freeze_in_words
from patchtide.server.calendar_book import (
    freeze_in,
    kept_freeze,
    packed,
)
from patchtide.server.calendar_entries import (
    CollectionId,
    OfCollection,
    add,
    changed,
    deleted,
    entry_of,
    freeze_words,
    known,
    name_in,
    narrowed,
)
from patchtide.server.calendar_reach import check_whose
from patchtide.server.context import Call
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.said_times import SaidFreeze, freeze_of
from patchtide.server.table import Input, Output


class CreateFreeze(SaidFreeze, kw_only=True, frozen=True):
    collection: CollectionId


class ChangeFreeze(SaidFreeze, kw_only=True, frozen=True):
    freeze: Annotated[UUID, Meta(description="The freeze's id.")]


class OneFreeze(Input, kw_only=True, frozen=True):
    freeze: Annotated[UUID, Meta(description="The freeze's id.")]


class ShownFreeze(Output, kw_only=True, frozen=True):
    id: UUID
    collection: UUID
    collection_name: str
    reason: str
    begins: str
    ends: str
    clock: Clock
    words: str
    is_over: bool
    is_on: bool
    """Now, for a machine in UTC if its clock is the machine's own."""
    changed_by: str
    changed_at: datetime


class FreezeList(Output, kw_only=True, frozen=True):
    items: tuple[ShownFreeze, ...]


async def create_freeze(call: Call, principal: Principal, asked: CreateFreeze) -> ShownFreeze:
    """Raises InvalidDocument, NotFound or WrongState: there are too many."""
    if freeze_of(asked).is_over(call.now):
        raise InvalidDocument([Problem("ends", "is past, so that it would hold nothing")])
    entry = entry_of(call, principal, EntryKind.FREEZE, asked.collection, _kept(asked))
    check_whose(principal, entry)
    name = await call.decide(principal, lambda tx: add(tx, principal, entry, freeze_words(entry)))
    return _shown_freeze(entry, name, call.now)


async def change_freeze(call: Call, principal: Principal, asked: ChangeFreeze) -> ShownFreeze:
    """Raises InvalidDocument or NotFound."""
    entry, name = await changed(call, principal, asked.freeze, EntryKind.FREEZE, _kept(asked))
    return _shown_freeze(entry, name, call.now)


async def delete_freeze(call: Call, principal: Principal, asked: OneFreeze) -> None:
    """Raises NotFound."""
    await deleted(call, principal, asked.freeze, EntryKind.FREEZE)


async def list_freezes(call: Call, principal: Principal, asked: OfCollection) -> FreezeList:
    """The one that ends first comes first, and those that are over last."""
    entries, names = await known(call, asked, EntryKind.FREEZE)
    shown = [_shown_freeze(one, name_in(names, one.collection), call.now) for one in entries]
    shown.sort(key=lambda one: (one.is_over, one.ends, one.begins, one.id))
    return FreezeList(items=tuple(shown))


def _kept(asked: SaidFreeze) -> bytes:
    """Return what is kept of it, with its times in the one form in which they are in order.

    Raises:
        InvalidDocument: it is none.
    """
    freeze = freeze_of(asked)
    begins, ends = (at.isoformat(" ", "minutes") for at in (freeze.begins, freeze.ends))
    return packed(structs.replace(narrowed(asked, SaidFreeze), begins=begins, ends=ends))


def _shown_freeze(entry: Entry, name: str, now: datetime) -> ShownFreeze:
    freeze, said = freeze_in(entry), kept_freeze(entry)
    span: Span = freeze.span(UTC)
    return ShownFreeze(
        id=entry.id,
        collection=entry.collection or ALL_MACHINES,
        collection_name=name,
        reason=said.reason,
        begins=said.begins,
        ends=said.ends,
        clock=said.clock,
        words=freeze_in_words(freeze),
        is_over=span.ends <= now,
        is_on=span.has(now),
        changed_by=entry.by,
        changed_at=entry.at,
    )
