"""What people decide about maintenance windows, which belong to collections."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.domain.schedules.permission import Times, Wanted, upcoming
from patchtide.domain.schedules.wording import window_in_words
from patchtide.server.calendar_book import (
    KeptWindow,
    kept_window,
    packed,
    window_in,
)
from patchtide.server.calendar_entries import (
    CollectionId,
    OfCollection,
    add,
    changed,
    deleted,
    entry_of,
    known,
    name_in,
    narrowed,
    window_words,
)
from patchtide.server.calendar_reach import check_whose
from patchtide.server.context import Call
from patchtide.server.patterns import LINE
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.said_times import SaidWindow, window_of
from patchtide.server.table import Input, Output

WindowName = Annotated[
    str, Meta(min_length=1, max_length=128, pattern=LINE, description="What it is called.")
]


class CreateWindow(SaidWindow, kw_only=True, frozen=True):
    collection: CollectionId
    name: WindowName


class ChangeWindow(SaidWindow, kw_only=True, frozen=True):
    window: Annotated[UUID, Meta(description="The window's id.")]
    name: WindowName


class OneWindow(Input, kw_only=True, frozen=True):
    window: Annotated[UUID, Meta(description="The window's id.")]


class ShownWindow(Output, kw_only=True, frozen=True):
    id: UUID
    name: str
    collection: UUID
    collection_name: str
    words: str
    """When it is open, as one line."""
    next: datetime | None
    """When it opens next, or opened if it is open; null: never again. If its clock is the
    machine's own, for a machine in UTC."""
    says: SaidWindow
    changed_by: str
    changed_at: datetime


class WindowList(Output, kw_only=True, frozen=True):
    items: tuple[ShownWindow, ...]


async def create_window(call: Call, principal: Principal, asked: CreateWindow) -> ShownWindow:
    """Raises InvalidDocument, NotFound or WrongState: too many, or another one is called so."""
    kept = _kept(asked, asked.name, call.now)
    entry = entry_of(call, principal, EntryKind.WINDOW, asked.collection, packed(kept))
    check_whose(principal, entry)
    name = await call.decide(principal, lambda tx: add(tx, principal, entry, window_words(entry)))
    return _shown_window(entry, name, call.now)


async def change_window(call: Call, principal: Principal, asked: ChangeWindow) -> ShownWindow:
    """Raises InvalidDocument, NotFound or WrongState: another one is called so."""
    kept = _kept(asked, asked.name, call.now)
    entry, name = await changed(call, principal, asked.window, EntryKind.WINDOW, packed(kept))
    return _shown_window(entry, name, call.now)


async def delete_window(call: Call, principal: Principal, asked: OneWindow) -> None:
    """Raises NotFound."""
    await deleted(call, principal, asked.window, EntryKind.WINDOW)


async def list_windows(call: Call, principal: Principal, asked: OfCollection) -> WindowList:
    entries, names = await known(call, asked, EntryKind.WINDOW)
    shown = await call.read(
        lambda: [_shown_window(one, name_in(names, one.collection), call.now) for one in entries]
    )
    shown.sort(key=lambda one: (one.collection_name.casefold(), one.name.casefold(), one.id))
    return WindowList(items=tuple(shown))


def _kept(asked: SaidWindow, name: str, now: datetime) -> KeptWindow:
    """What is counted from a day is counted from one that is written down.

    Raises:
        InvalidDocument: it is no window, or one that would never open.
    """
    today = now.astimezone(UTC).date()
    if window_of(asked, name=name, today=today).is_over(now):
        raise InvalidDocument([_never_opens(asked)])
    says = narrowed(asked, SaidWindow)
    if not says.since:
        says = msgspec.structs.replace(says, since=f"{today}")
    return KeptWindow(name=name.strip(), says=says)


def _never_opens(said: SaidWindow) -> Problem:
    if said.until:
        return Problem("until", "is before the first day on which it would open")
    return Problem("since", "is past, so that it would never open")


def _shown_window(entry: Entry, name: str, now: datetime) -> ShownWindow:
    window, kept = window_in(entry), kept_window(entry)
    following = upcoming(Times(zone=UTC, windows=(window,)), Wanted(), now, most=1)
    return ShownWindow(
        id=entry.id,
        name=kept.name,
        collection=entry.collection or ALL_MACHINES,
        collection_name=name,
        words=window_in_words(window),
        next=following[0].begins if following else None,
        says=kept.says,
        changed_by=entry.by,
        changed_at=entry.at,
    )
