"""What is written down in the calendar of a collection, and who may: windows and freezes alike."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, TypeVar
from uuid import UUID, uuid4

import msgspec
from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.collections.definitions import ALL_MACHINES, ALL_MACHINES_NAME
from patchtide.domain.errors import NotFound, WrongState
from patchtide.domain.schedules.wording import freeze_in_words, window_in_words
from patchtide.server.calendar_book import (
    freeze_in,
    kept_window,
    of_kind,
    window_in,
)
from patchtide.server.calendar_reach import check_may_change, check_room, check_whose
from patchtide.server.context import Call
from patchtide.server.ports.calendar import Entry, EntryKind
from patchtide.server.ports.decisions import Transaction
from patchtide.server.table import Input
from patchtide.server.tier_zero import Targets, check_targets

S = TypeVar("S", bound=msgspec.Struct)
LIFTED = "lifted"
"""Says in the audit why machines were not to be changed, and may be sooner now."""
CollectionId = Annotated[UUID, Meta(description="The collection's id.")]


class OfCollection(Input, kw_only=True, frozen=True):
    collection: Annotated[
        UUID | None, Meta(description="Only those of this collection, by its id.")
    ] = None


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


def entry_of(
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


def add(tx: Transaction, principal: Principal, entry: Entry, words: str) -> str:
    name = named_collection(tx, entry.collection or ALL_MACHINES)
    check_room(tx, principal, entry)
    _check_name(tx, entry, name)
    tx.calendar.put(entry)
    tx.note(str(entry.id), collection=name, now=words)
    return name


async def changed(
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
        if _called(was) != _called(entry):
            _check_name(tx, entry, name)
        tx.calendar.put(entry)
        lifted = _lifted(was, entry, call.now)
        tx.note(str(id), collection=name, before=_words(was), now=_words(entry), **lifted)
        return entry, name

    return await call.decide(principal, work)


async def deleted(call: Call, principal: Principal, id: UUID, kind: EntryKind) -> None:
    await _check_targets(call, principal, id)

    def work(tx: Transaction) -> None:
        was = _held(tx, id, kind)
        check_may_change(principal, was)
        name = named_collection(tx, was.collection or ALL_MACHINES)
        tx.calendar.drop(id)
        lifted = _lifted(was, None, call.now)
        tx.note(str(id), collection=name, before=_words(was), **lifted)

    await call.decide(principal, work)


def _check_name(tx: Transaction, entry: Entry, collection: str) -> None:
    """Raises WrongState: another window of the collection is called so."""
    others = tx.calendar.of(entry.collection or ALL_MACHINES)
    taken = {_called(one) for one in others if one.id != entry.id} - {""}
    if _called(entry) in taken:
        raise WrongState(f"{collection} has a window {kept_window(entry).name} already")


def _called(entry: Entry) -> str:
    """Return what tells it from others; empty: nothing does."""
    return kept_window(entry).name.casefold() if entry.kind is EntryKind.WINDOW else ""


def _lifted(was: Entry, entry: Entry | None, now: datetime) -> Mapping[str, str]:
    """Tell of a freeze that keeps machines from being changed, and would not for as long."""
    if was.kind is not EntryKind.FREEZE:
        return {}
    freeze = freeze_in(was)
    holds = entry is not None and freeze_in(entry).holds_with(freeze)
    return {} if holds or freeze.is_over(now) else {LIFTED: freeze.reason}


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
    return freeze_words(entry) if entry.kind is EntryKind.FREEZE else window_words(entry)


def window_words(entry: Entry) -> str:
    return f"{kept_window(entry).name}: {window_in_words(window_in(entry))}"


def freeze_words(entry: Entry) -> str:
    return freeze_in_words(freeze_in(entry))


async def known(
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


def name_in(names: Mapping[UUID, str], collection: UUID | None) -> str:
    """A collection that was made just now may not be in the view yet."""
    return names.get(collection or ALL_MACHINES, "")
