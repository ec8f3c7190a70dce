"""What people decide about maintenance windows and freezes: both belong to collections."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.collections.definitions import ALL_MACHINES, ALL_MACHINES_NAME
from patchtide.domain.errors import NotFound
from patchtide.domain.schedules.permission import Times, Wanted, upcoming
from patchtide.domain.schedules.spans import Span
from patchtide.domain.schedules.windows import Clock
from patchtide.domain.schedules.wording import freeze_in_words, window_in_words
from patchtide.server.calendar_book import (
    KeptWindow,
    freeze_in,
    kept_freeze,
    kept_window,
    of_kind,
    packed,
    window_in,
)
from patchtide.server.calendar_reach import check_may_change, check_room, check_whose
from patchtide.server.context import Call
from patchtide.server.patterns import LINE
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.ports.decisions import Transaction
from patchtide.server.said_times import SaidFreeze, SaidWindow, freeze_of, window_of
from patchtide.server.table import Input, Output
from patchtide.server.tier_zero import Targets, check_targets

S = TypeVar("S", bound=msgspec.Struct)
LIFTED = "lifted"
"""Says in the audit why machines were not to be changed, and may be sooner now."""
CollectionId = Annotated[UUID, Meta(description="The collection's id.")]
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


class CreateFreeze(SaidFreeze, kw_only=True, frozen=True):
    collection: CollectionId


class ChangeFreeze(SaidFreeze, kw_only=True, frozen=True):
    freeze: Annotated[UUID, Meta(description="The freeze's id.")]


class OneFreeze(Input, kw_only=True, frozen=True):
    freeze: Annotated[UUID, Meta(description="The freeze's id.")]


class OfCollection(Input, kw_only=True, frozen=True):
    collection: Annotated[
        UUID | None, Meta(description="Only those of this collection, by its id.")
    ] = None


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


async def create_window(call: Call, principal: Principal, asked: CreateWindow) -> ShownWindow:
    """Raises InvalidDocument, NotFound or WrongState: there are too many."""
    kept = _kept(asked, asked.name, call.now)
    entry = _entry(call, principal, EntryKind.WINDOW, asked.collection, packed(kept))
    check_whose(principal, entry)
    name = await call.decide(principal, lambda tx: _add(tx, principal, entry, _window_words(entry)))
    return _shown_window(entry, name, call.now)


async def change_window(call: Call, principal: Principal, asked: ChangeWindow) -> ShownWindow:
    """Raises InvalidDocument or NotFound."""
    kept = _kept(asked, asked.name, call.now)
    entry, name = await _changed(call, principal, asked.window, EntryKind.WINDOW, packed(kept))
    return _shown_window(entry, name, call.now)


async def delete_window(call: Call, principal: Principal, asked: OneWindow) -> None:
    """Raises NotFound."""
    await _deleted(call, principal, asked.window, EntryKind.WINDOW)


async def list_windows(call: Call, principal: Principal, asked: OfCollection) -> WindowList:
    entries, names = await _known(call, asked, EntryKind.WINDOW)
    shown = await call.read(
        lambda: [_shown_window(one, _name(names, one.collection), call.now) for one in entries]
    )
    shown.sort(key=lambda one: (one.collection_name.casefold(), one.name.casefold(), one.id))
    return WindowList(items=tuple(shown))


async def create_freeze(call: Call, principal: Principal, asked: CreateFreeze) -> ShownFreeze:
    """Raises InvalidDocument, NotFound or WrongState: there are too many."""
    freeze_of(asked)  # or it is none
    said = packed(narrowed(asked, SaidFreeze))
    entry = _entry(call, principal, EntryKind.FREEZE, asked.collection, said)
    check_whose(principal, entry)
    name = await call.decide(principal, lambda tx: _add(tx, principal, entry, _freeze_words(entry)))
    return _shown_freeze(entry, name, call.now)


async def change_freeze(call: Call, principal: Principal, asked: ChangeFreeze) -> ShownFreeze:
    """Raises InvalidDocument or NotFound."""
    freeze_of(asked)  # or it is none
    said = packed(narrowed(asked, SaidFreeze))
    entry, name = await _changed(call, principal, asked.freeze, EntryKind.FREEZE, said)
    return _shown_freeze(entry, name, call.now)


async def delete_freeze(call: Call, principal: Principal, asked: OneFreeze) -> None:
    """Raises NotFound."""
    await _deleted(call, principal, asked.freeze, EntryKind.FREEZE)


async def list_freezes(call: Call, principal: Principal, asked: OfCollection) -> FreezeList:
    """The one that ends first comes first, and those that are over last."""
    entries, names = await _known(call, asked, EntryKind.FREEZE)
    shown = [_shown_freeze(one, _name(names, one.collection), call.now) for one in entries]
    shown.sort(key=lambda one: (one.is_over, one.ends, one.begins, one.id))
    return FreezeList(items=tuple(shown))


def narrowed(asked: msgspec.Struct, kind: type[S]) -> S:
    """Return what an input says, without what it is about."""
    return kind(**{name: getattr(asked, name) for name in kind.__struct_fields__})


def named_collection(tx: Transaction, collection: UUID) -> str:
    """Return its name; until the end of the decision it is there.

    Raises:
        NotFound
    """
    held = {ALL_MACHINES: ALL_MACHINES_NAME, **{one.id: one.name for one in tx.collections.hold()}}
    if collection not in held:
        raise NotFound(f"there is no collection {collection}")
    return held[collection]


def _kept(asked: SaidWindow, name: str, now: datetime) -> KeptWindow:
    """What is counted from a day is counted from one that is written down."""
    today = now.astimezone(UTC).date()
    window_of(asked, name=name, today=today)  # or it is none
    says = narrowed(asked, SaidWindow)
    if not says.since:
        says = msgspec.structs.replace(says, since=f"{today}")
    return KeptWindow(name=name.strip(), says=says)


def _entry(
    call: Call, principal: Principal, kind: EntryKind, collection: UUID, said: bytes
) -> Entry:
    return Entry(
        id=uuid4(),
        kind=kind,
        collection=collection,
        said=said,
        by=principal.actor,
        at=call.now,
    )


def _add(tx: Transaction, principal: Principal, entry: Entry, words: str) -> str:
    name = named_collection(tx, entry.collection or ALL_MACHINES)
    check_room(tx, principal, entry)
    tx.calendar.put(entry)
    tx.note(str(entry.id), collection=name, now=words)
    return name


async def _changed(
    call: Call, principal: Principal, id: UUID, kind: EntryKind, said: bytes
) -> tuple[Entry, str]:
    await _check_targets(call, principal, id)

    def work(tx: Transaction) -> tuple[Entry, str]:
        was = _held(tx, id, kind)
        check_may_change(principal, was)
        name = named_collection(tx, was.collection or ALL_MACHINES)
        entry = Entry(
            id=was.id,
            kind=kind,
            collection=was.collection,
            said=said,
            by=principal.actor,
            at=call.now,
        )
        tx.calendar.put(entry)
        lifted = _lifted(was, entry, call.now)
        tx.note(str(id), collection=name, before=_words(was), now=_words(entry), **lifted)
        return entry, name

    return await call.decide(principal, work)


async def _deleted(call: Call, principal: Principal, id: UUID, kind: EntryKind) -> None:
    await _check_targets(call, principal, id)

    def work(tx: Transaction) -> None:
        was = _held(tx, id, kind)
        check_may_change(principal, was)
        name = named_collection(tx, was.collection or ALL_MACHINES)
        tx.calendar.drop(id)
        lifted = _lifted(was, None, call.now)
        tx.note(str(id), collection=name, before=_words(was), **lifted)

    await call.decide(principal, work)


def _lifted(was: Entry, entry: Entry | None, now: datetime) -> Mapping[str, str]:
    """Tell of a freeze that keeps machines from being changed, and would not for as long."""
    if was.kind is not EntryKind.FREEZE:
        return {}
    freeze = freeze_in(was)
    holds = entry is not None and freeze_in(entry).holds_with(freeze)
    return {} if holds or freeze.is_over(now) else {LIFTED: freeze.reason}


async def frozen_or_to_be(call: Call) -> Set[UUID]:
    """Return the collections of which a freeze holds, or is to come."""
    entries = await call.read(call.context.reading.calendar.entries)
    freezes = of_kind(entries, EntryKind.FREEZE)
    return {e.collection for e in freezes if e.collection and not freeze_in(e).is_over(call.now)}


def is_frozen(tx: Transaction, collection: UUID, now: datetime) -> bool:
    """Say whether a freeze of it holds, or is to come."""
    freezes = of_kind(tx.calendar.of(collection), EntryKind.FREEZE)
    return any(not freeze_in(one).is_over(now) for one in freezes)


async def _check_targets(call: Call, principal: Principal, id: UUID) -> None:
    """Raises NotFound or Refused: it is not his, or of tier 0, to which he may do nothing."""
    entries = await call.read(call.context.reading.calendar.entries)
    those = [entry for entry in entries if entry.id == id]
    for entry in those:
        check_whose(principal, entry)
    found = [entry.collection or ALL_MACHINES for entry in those]
    await check_targets(call.context.fleet, principal, Targets(collections=found))


def _held(tx: Transaction, id: UUID, kind: EntryKind) -> Entry:
    found = tx.calendar.hold(id)
    if found is None or found.kind is not kind:
        raise NotFound
    return found


def _words(entry: Entry) -> str:
    return _freeze_words(entry) if entry.kind is EntryKind.FREEZE else _window_words(entry)


def _window_words(entry: Entry) -> str:
    return f"{kept_window(entry).name}: {window_in_words(window_in(entry))}"


def _freeze_words(entry: Entry) -> str:
    return freeze_in_words(freeze_in(entry))


async def _known(
    call: Call, asked: OfCollection, kind: EntryKind
) -> tuple[list[Entry], Mapping[UUID, str]]:
    some = None if asked.collection is None else [asked.collection]
    entries = await call.read(lambda: call.context.reading.calendar.entries(some))
    names = await collection_names(call)
    if call.context.fleet.scopes:
        entries = [one for one in entries if (one.collection or ALL_MACHINES) in names]
    return of_kind(entries, kind), names


async def collection_names(call: Call) -> Mapping[UUID, str]:
    fleet = call.context.fleet

    def question(view: Any) -> Mapping[UUID, str]:
        named = {key: one.name for key, one in view.collections.items()}
        return {ALL_MACHINES: ALL_MACHINES_NAME, **named}

    return await call.read_fleet(lambda: fleet.ask(question))


def _name(names: Mapping[UUID, str], collection: UUID | None) -> str:
    """A collection that was made just now may not be in the view yet."""
    return names.get(collection or ALL_MACHINES, "")


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
