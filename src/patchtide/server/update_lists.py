"""Saved searches, and update lists: nothing but lists, which deploy and publish nothing.

An update that is on a list stays known when its vendor names it no more.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.query_completion import complete
from patchtide.domain.catalog.query_parser import MAX_LENGTH, parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.update_query import UPDATE_FIELDS
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.update_lists import SavedSearch, StoredList
from patchtide.server.table import Input, Nothing, Output
from patchtide.server.update_search import answering, known_values
from patchtide.server.updates import Update, shown

MOST = 1000
"""Updates that are put on a list at once: a transaction writes no more."""
Name = Annotated[
    str,
    Meta(pattern="^[a-z0-9][a-z0-9-]{0,63}$", description="Small letters, digits and hyphens."),
]
Note = Annotated[str, Meta(max_length=2000, description="What it is for.")]
Query = Annotated[str, Meta(max_length=MAX_LENGTH, description="As the list of updates has it.")]
Chosen = Annotated[tuple[UUID, ...], Meta(max_length=MOST, description="Ids of updates.")]


class SaveSearch(Input, kw_only=True, frozen=True):
    name: Name
    query: Query


class OneName(Input, kw_only=True, frozen=True):
    name: Name


class Complete(Input, kw_only=True, frozen=True):
    text: Query = ""
    position: Annotated[
        int, Meta(ge=0, le=MAX_LENGTH, description="Where somebody writes, in characters.")
    ] = MAX_LENGTH


class CreateList(Input, kw_only=True, frozen=True):
    name: Name
    note: Note = ""
    query: Annotated[
        str,
        Meta(max_length=MAX_LENGTH, description="Begin with what answers now; without: empty."),
    ] = ""


class Listed(Input, kw_only=True, frozen=True):
    name: Name
    updates: Chosen


class ShownSearch(Output, kw_only=True, frozen=True):
    name: str
    query: str
    saved_by: str
    saved_at: datetime


class SearchList(Output, kw_only=True, frozen=True):
    items: tuple[ShownSearch, ...]


class Suggested(Output, kw_only=True, frozen=True):
    text: str
    says: str


class Completed(Output, kw_only=True, frozen=True):
    start: int
    """What stands from there to the position is replaced."""
    items: tuple[Suggested, ...]


class ShownList(Output, kw_only=True, frozen=True):
    name: str
    note: str
    size: int
    made_by: str
    made_at: datetime


class ListList(Output, kw_only=True, frozen=True):
    items: tuple[ShownList, ...]


class ListWhole(Output, kw_only=True, frozen=True):
    name: str
    note: str
    updates: tuple[Update, ...]


class Changed(Output, kw_only=True, frozen=True):
    changed: int
    """How many updates were not there before, or are gone."""


async def searches(call: Call, principal: Principal, asked: Nothing) -> SearchList:
    found = await call.read(call.context.reading.update_lists.searches)
    return SearchList(items=tuple(map(_search, found)))


async def save_search(call: Call, principal: Principal, asked: SaveSearch) -> ShownSearch:
    """Save it in its canonical form, in place of one of the same name.

    Raises:
        InvalidQuery
    """
    text = query_text(parse_query(asked.query, UPDATE_FIELDS), UPDATE_FIELDS)
    saved = SavedSearch(name=asked.name, query=text, by=principal.actor, at=call.now)

    def work(tx: Transaction) -> None:
        tx.update_lists.put_search(saved)
        tx.note(saved.name, query=text)

    await call.decide(principal, work)
    return _search(saved)


async def delete_search(call: Call, principal: Principal, asked: OneName) -> None:
    """Raises NotFound."""

    def work(tx: Transaction) -> None:
        if not tx.update_lists.drop_search(asked.name):
            raise NotFound
        tx.note(asked.name)

    await call.decide(principal, work)


async def suggest(call: Call, principal: Principal, asked: Complete) -> Completed:
    fleet = call.context.fleet
    known = await call.read_fleet(lambda: fleet.ask(known_values))
    found = complete(asked.text, asked.position, UPDATE_FIELDS, known=known)
    items = tuple(Suggested(text=one.text, says=one.says) for one in found.suggestions)
    return Completed(start=found.start, items=items)


async def lists(call: Call, principal: Principal, asked: Nothing) -> ListList:
    found = await call.read(call.context.reading.update_lists.lists)
    return ListList(items=tuple(map(_list, found)))


async def show_list(call: Call, principal: Principal, asked: OneName) -> ListWhole:
    """Raises NotFound."""
    reading, fleet = call.context.reading.update_lists, call.context.fleet
    known = {one.name: one for one in await call.read(reading.lists)}
    if asked.name not in known:
        raise NotFound
    members = await call.read(partial(reading.members, asked.name))

    def rows(view: View) -> tuple[Update, ...]:
        ordered = sorted(view.known(members), key=lambda update: update.order)
        return tuple(shown(view.counted(update)) for update in ordered)

    updates = await call.read_fleet(lambda: fleet.ask(rows))
    return ListWhole(name=asked.name, note=known[asked.name].note, updates=updates)


async def create_list(call: Call, principal: Principal, asked: CreateList) -> ShownList:
    """Make a list of nothing, or of what a query finds now.

    Raises:
        InvalidQuery
        InvalidDocument: the query finds more than a list may begin with.
        WrongState: there is one of that name.
    """
    first = await _found(call, asked.query) if asked.query.strip() else []
    made = StoredList(
        name=asked.name, note=asked.note.strip(), by=principal.actor, at=call.now, size=len(first)
    )

    def work(tx: Transaction) -> None:
        if not tx.update_lists.add_list(made):
            raise WrongState("there is a list of this name already")
        tx.update_lists.put_on(made.name, first)
        tx.note(made.name, updates=len(first))

    await call.decide(principal, work)
    return _list(made)


async def _found(call: Call, query: str) -> list[UUID]:
    fleet = call.context.fleet
    found = await call.read_fleet(lambda: fleet.ask(lambda view: answering(view, query)))
    if len(found) > MOST:
        what = f"finds {len(found)} updates; a list begins with at most {MOST}"
        raise InvalidDocument([Problem("query", what)])
    return [update.id for update in found]


async def put_on(call: Call, principal: Principal, asked: Listed) -> Changed:
    """Raises NotFound: the list, or one of the updates."""
    fleet = call.context.fleet
    known = await call.read_fleet(lambda: fleet.ask(lambda view: list(view.known(asked.updates))))
    if len(known) < len(asked.updates):
        raise NotFound
    return await _changed(call, principal, asked, lambda tx: tx.update_lists.put_on)


async def take_off(call: Call, principal: Principal, asked: Listed) -> Changed:
    """Raises NotFound."""
    return await _changed(call, principal, asked, lambda tx: tx.update_lists.take_off)


_Change = Callable[[str, tuple[UUID, ...]], int | None]


async def _changed(
    call: Call, principal: Principal, asked: Listed, how: Callable[[Transaction], _Change]
) -> Changed:
    def work(tx: Transaction) -> int:
        count = how(tx)(asked.name, asked.updates)
        if count is None:
            raise NotFound
        tx.note(asked.name, updates=count)
        return count

    return Changed(changed=await call.decide(principal, work))


async def delete_list(call: Call, principal: Principal, asked: OneName) -> None:
    """Raises NotFound."""

    def work(tx: Transaction) -> None:
        if not tx.update_lists.drop_list(asked.name):
            raise NotFound
        tx.note(asked.name)

    await call.decide(principal, work)


def _search(one: SavedSearch) -> ShownSearch:
    return ShownSearch(name=one.name, query=one.query, saved_by=one.by, saved_at=one.at)


def _list(one: StoredList) -> ShownList:
    return ShownList(name=one.name, note=one.note, size=one.size, made_by=one.by, made_at=one.at)
