"""When people work: for the whole site, at a location, or at the machines of a collection."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID, uuid5

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.collections.definitions import ALL_MACHINES as ALL
from patchtide.domain.errors import InvalidDocument, NotFound, Problem
from patchtide.domain.schedules.windows import DEFAULT_HOURS
from patchtide.domain.schedules.wording import hours_in_words
from patchtide.server.calendar_book import hours_in, kept_hours, of_kind, packed
from patchtide.server.calendar_entries import (
    collection_names,
    named_collection,
    narrowed,
)
from patchtide.server.calendar_reach import check_may_change, check_room, check_whose
from patchtide.server.context import Call
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.ports.decisions import Transaction
from patchtide.server.said_times import Line, SaidHours, hours_of
from patchtide.server.table import Input, Nothing, Output

_SPACE = UUID("5f2c1a52-3a5e-5d0e-9a0b-6d9f0a4c7e11")
"""In it whoever has business hours has one id, and so one entry."""
_Collection = Annotated[UUID | None, Meta(description="Of this collection's machines, by its id.")]
_Location = Annotated[Line, Meta(description="Of the machines at this location; else of all.")]


class SetHours(SaidHours, kw_only=True, frozen=True):
    collection: _Collection = None
    location: _Location = ""


class WhoseHours(Input, kw_only=True, frozen=True):
    collection: _Collection = None
    location: _Location = ""


class ShownHours(Output, kw_only=True, frozen=True):
    collection: UUID | None
    location: str
    whose: str
    words: str
    is_default: bool
    """Nobody set any for the site: these hold."""
    says: SaidHours
    changed_by: str
    changed_at: datetime | None


class HoursList(Output, kw_only=True, frozen=True):
    items: tuple[ShownHours, ...]


async def list_hours(call: Call, principal: Principal, asked: Nothing) -> HoursList:
    """The site's first, then those of locations and of collections."""
    entries = await call.read(call.context.reading.calendar.entries)
    names = await collection_names(call)
    if call.context.fleet.scopes:
        # Where others' machines are is theirs to know, too.
        entries = [one for one in entries if not one.location and (one.collection or ALL) in names]
    shown = [
        _shown(one, names.get(one.collection, "") if one.collection else "")
        for one in of_kind(entries, EntryKind.HOURS)
    ]
    shown.sort(key=lambda one: (one.collection is not None, one.whose.casefold()))
    site = [one for one in shown if one.collection is None and not one.location]
    others = [one for one in shown if one not in site]
    return HoursList(items=(*(site or [_default()]), *others))


async def set_hours(call: Call, principal: Principal, asked: SetHours) -> ShownHours:
    """Raises InvalidDocument, NotFound or WrongState: there are too many."""
    hours_of(asked)  # or they are none
    key = _key(asked.collection, asked.location)
    entry = Entry(
        id=key,
        kind=EntryKind.HOURS,
        collection=asked.collection,
        location=asked.location.strip(),
        said=packed(narrowed(asked, SaidHours)),
        by=principal.actor,
        at=call.now,
    )

    check_whose(principal, entry)

    def work(tx: Transaction) -> str:
        name = named_collection(tx, asked.collection) if asked.collection else ""
        was = tx.calendar.hold(key)
        if was is None:
            check_room(tx, principal, entry)
        else:
            check_may_change(principal, was)
        tx.calendar.put(entry)
        before = _words(was) if was else ""
        tx.note(str(key), whose=_whose(entry, name), before=before, now=_words(entry))
        return name

    return _shown(entry, await call.decide(principal, work))


async def clear_hours(call: Call, principal: Principal, asked: WhoseHours) -> None:
    """Raises NotFound."""
    key = _key(asked.collection, asked.location)

    def work(tx: Transaction) -> None:
        was = tx.calendar.hold(key)
        if was is None:
            raise NotFound("no business hours are set there")
        check_may_change(principal, was)
        name = named_collection(tx, was.collection) if was.collection else ""
        tx.calendar.drop(key)
        tx.note(str(key), whose=_whose(was, name), before=_words(was))

    await call.decide(principal, work)


def _key(collection: UUID | None, location: str) -> UUID:
    if collection and location.strip():
        raise InvalidDocument([Problem("location", "or a collection, but not both")])
    return uuid5(_SPACE, f"{collection or ''}\n{location.strip().casefold()}")


def _whose(entry: Entry, name: str) -> str:
    return name or entry.location or ("a collection" if entry.collection else "the whole site")


def _words(entry: Entry) -> str:
    return hours_in_words(hours_in(entry))


def _shown(entry: Entry, name: str) -> ShownHours:
    return ShownHours(
        collection=entry.collection,
        location=entry.location,
        whose=_whose(entry, name),
        words=_words(entry),
        is_default=False,
        says=kept_hours(entry),
        changed_by=entry.by,
        changed_at=entry.at,
    )


def _default() -> ShownHours:
    return ShownHours(
        collection=None,
        location="",
        whose="the whole site",
        words=hours_in_words(DEFAULT_HOURS),
        is_default=True,
        says=SaidHours(),
        changed_by="",
        changed_at=None,
    )
