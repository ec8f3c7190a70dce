"""Saved searches, and update lists: nothing but lists, which deploy and publish nothing.

An update that is on a list stays known when its vendor names it no more.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.query_completion import Completion, complete
from patchtide.domain.catalog.query_parser import MAX_LENGTH, parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.listing import After, Limit, paged
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.update_lists import SavedSearch, StoredList
from patchtide.server.table import Input, Nothing, Output
from patchtide.server.update_search import answering, fields_of, known_values
from patchtide.server.updates import COLUMNS, Update, UpdateSort, shown

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


class ShowList(Input, kw_only=True, frozen=True):
    name: Name
    sort: Annotated[UpdateSort, Meta(description="The order; a minus turns it round.")] = "severity"
    after: After = ""
    limit: Limit = 100


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
    """How many updates are on it."""
    required: int
    """How many of them some machine needs."""
    made_by: str
    made_at: datetime


class ListList(Output, kw_only=True, frozen=True):
    items: tuple[ShownList, ...]


class ListWhole(Output, kw_only=True, frozen=True):
    name: str
    note: str
    items: tuple[Update, ...]
    total: int
    """How many updates are on it."""
    next: str | None
    """Where to go on; null at the end."""


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
    fleet = call.context.fleet
    fields = await call.read_fleet(lambda: fleet.ask(fields_of))
    text = query_text(parse_query(asked.query, fields), fields)
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

    def question(view: View) -> Completion:
        known = known_values(fleet.updates, view)
        return complete(asked.text, asked.position, fields_of(view), known=known)

    found = await call.read_fleet(lambda: fleet.ask(question))
    items = tuple(Suggested(text=one.text, says=one.says) for one in found.suggestions)
    return Completed(start=found.start, items=items)


async def lists(call: Call, principal: Principal, asked: Nothing) -> ListList:
    fleet = call.context.fleet
    return ListList(items=await call.read_fleet(lambda: fleet.ask(shown_lists)))


def shown_lists(view: View) -> tuple[ShownList, ...]:
    """Return all lists by name, each with how many of its updates are needed."""
    return tuple(shown_list(view, one) for _, one in sorted(view.lists.items()))


def shown_list(view: View, one: StoredList) -> ShownList:
    known = list(view.known(one.updates))
    return ShownList(
        name=one.name,
        note=one.note,
        size=len(known),
        required=sum(view.tally_of(update).required > 0 for update in known),
        made_by=one.by,
        made_at=one.at,
    )


async def show_list(call: Call, principal: Principal, asked: ShowList) -> ListWhole:
    """Raises NotFound."""
    fleet = call.context.fleet
    return await call.read_fleet(lambda: fleet.ask(lambda view: _whole(view, asked)))


def _whole(view: View, asked: ShowList) -> ListWhole:
    one = view.lists.get(asked.name)
    if one is None:
        raise NotFound
    known = [view.counted(update) for update in view.known(one.updates)]
    page = paged(known, columns=COLUMNS, sort=asked.sort, after=asked.after, limit=asked.limit)
    return ListWhole(
        name=one.name,
        note=one.note,
        items=tuple(map(shown, page.items)),
        total=len(known),
        next=page.next,
    )


async def create_list(call: Call, principal: Principal, asked: CreateList) -> ShownList:
    """Make a list of nothing, or of what a query finds now.

    Raises:
        InvalidQuery
        InvalidDocument: the query finds more than a list may begin with.
        WrongState: there is one of that name.
    """
    first = await _found(call, asked.query) if asked.query.strip() else []
    made = StoredList(name=asked.name, note=asked.note.strip(), by=principal.actor, at=call.now)

    def work(tx: Transaction) -> None:
        if not tx.update_lists.add_list(made):
            raise WrongState("there is a list of this name already")
        tx.update_lists.put_on(made.name, first)
        tx.note(made.name, updates=len(first))

    await call.decide(principal, work)
    fleet = call.context.fleet
    full = replace(made, updates=frozenset(first))
    return await call.read_fleet(lambda: fleet.ask(lambda view: shown_list(view, full)))


async def _found(call: Call, query: str) -> list[UUID]:
    fleet = call.context.fleet
    found = await call.read_fleet(
        lambda: fleet.ask(lambda view: answering(fleet.updates, view, query))
    )
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
