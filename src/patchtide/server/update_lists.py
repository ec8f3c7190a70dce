"""Update lists: nothing but lists, which deploy and publish nothing.

An update that is on a list stays known when its vendor names it no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Annotated
from uuid import UUID

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.access.rights import LIST as LIST_PLACE
from patchtide.domain.catalog.queries import Fields, with_value
from patchtide.domain.catalog.query_parser import MAX_LENGTH, parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.catalog.update_query import LIST
from patchtide.domain.errors import InvalidDocument, NotFound, Problem, WrongState
from patchtide.server.collection_checks import may_name
from patchtide.server.collection_reach import may_name_holders
from patchtide.server.collection_uses import ending_at, naming_list
from patchtide.server.context import Call
from patchtide.server.fleet_view import View
from patchtide.server.listing import After, Limit, paged
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.update_lists import EVERYBODY, SavedSearch, StoredList
from patchtide.server.saved_searches import Name, NewName, OneName
from patchtide.server.table import Input, Nothing, Output
from patchtide.server.update_index import UpdateIndex
from patchtide.server.update_search import answering, fields_of
from patchtide.server.updates import COLUMNS, Update, UpdateSort, shown

MOST = 1000
"""Updates that are put on a list at once: a transaction writes no more."""
LONGEST, LISTS = 10_000, 500
"""Updates that are on one list, and how many lists there are."""
Note = Annotated[str, Meta(max_length=2000, description="What it is for.")]
Chosen = Annotated[tuple[UUID, ...], Meta(max_length=MOST, description="Ids of updates.")]


_Change = Callable[[str, Sequence[UUID]], int | None]


class ShowList(Input, kw_only=True, frozen=True):
    name: Name
    sort: Annotated[UpdateSort, Meta(description="The order; a minus turns it round.")] = "severity"
    after: After = ""
    limit: Limit = 100


class CreateList(Input, kw_only=True, frozen=True):
    name: Name
    note: Note = ""
    query: Annotated[
        str,
        Meta(max_length=MAX_LENGTH, description="Begin with what answers now; without: empty."),
    ] = ""
    updates: Annotated[
        tuple[UUID, ...], Meta(max_length=MOST, description="Begin with these, too.")
    ] = ()


class Listed(Input, kw_only=True, frozen=True):
    name: Name
    updates: Chosen


class ShownList(Output, kw_only=True, frozen=True):
    name: str
    note: str
    size: int
    """How many updates are on it."""
    required: int
    """How many of them some machine needs."""
    installed: int
    """How many of them some machine has."""
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


async def lists(call: Call, principal: Principal, asked: Nothing) -> ListList:
    fleet = call.context.fleet

    def question(view: View) -> tuple[ShownList, ...]:
        ordered = sorted(view.lists.values(), key=lambda one: one.name)
        return tuple(shown_list(fleet.updates, view, one) for one in ordered)

    return ListList(items=await call.read_fleet(lambda: fleet.ask(question)))


def shown_list(index: UpdateIndex, view: View, one: StoredList) -> ShownList:
    """Return the list with how many of its updates some machine needs, and how many one has."""
    ground = index.ground(view)
    on, states = ground.on(one.name), ground.values("state")
    return ShownList(
        name=one.name,
        note=one.note,
        size=len(on),
        required=on.intersection_cardinality(states["required"]),
        installed=on.intersection_cardinality(states["installed"]),
        made_by=one.by,
        made_at=one.at,
    )


async def show_list(call: Call, principal: Principal, asked: ShowList) -> ListWhole:
    """Raises NotFound."""
    fleet = call.context.fleet
    return await call.read_fleet(lambda: fleet.ask(lambda view: _whole(fleet.updates, view, asked)))


def _whole(index: UpdateIndex, view: View, asked: ShowList) -> ListWhole:
    one = view.lists.get(asked.name)
    if one is None:
        raise NotFound
    ground = index.ground(view)
    known = [view.counted(update) for update in ground.those(ground.on(one.name))]
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
        NotFound: one of the updates.
        WrongState: there is one of that name, or there are too many lists.
    """
    first = await _first(call, asked)
    made = StoredList(name=asked.name, note=asked.note.strip(), by=principal.actor, at=call.now)

    def work(tx: Transaction) -> None:
        if tx.update_lists.count_lists() >= LISTS:
            raise WrongState(f"there are {LISTS} lists already; delete one first")
        if not tx.update_lists.add_list(made):
            raise WrongState("there is a list of this name already")
        tx.update_lists.put_on(made.name, first)
        tx.note(made.name, updates=len(first))

    await call.decide(principal, work)
    fleet = call.context.fleet
    return await call.read_fleet(
        lambda: fleet.ask(
            lambda view: shown_list(fleet.updates, view, view.lists.get(made.name, made))
        )
    )


async def _first(call: Call, asked: CreateList) -> list[UUID]:
    await _check_known(call, asked.updates)
    first = dict.fromkeys(asked.updates)
    if asked.query.strip():
        fleet = call.context.fleet
        found = await call.read_fleet(
            lambda: fleet.ask(lambda view: answering(fleet.updates, view, asked.query))
        )
        first.update((update.id, None) for update in found)
    if len(first) > MOST:
        what = f"finds {len(first)} updates; a list begins with at most {MOST}"
        raise InvalidDocument([Problem("query", what)])
    return list(first)


async def _check_known(call: Call, updates: Sequence[UUID]) -> None:
    """Raises NotFound: one of them."""
    fleet = call.context.fleet

    def question(view: View) -> list[UUID]:
        return [u for u in updates if u not in view.updates and u not in view.catalog.expired]

    if unknown := await call.read_fleet(lambda: fleet.ask(question)):
        raise NotFound(f"no update is known here as {unknown[0]}")


async def put_on(call: Call, principal: Principal, asked: Listed) -> Changed:
    """Put them on the list; those that are there stay.

    Raises:
        NotFound: the list, or one of the updates.
        WrongState: the list would become too long.
    """
    await _check_known(call, asked.updates)
    return await _changed(call, principal, asked, _put_on)


def _put_on(tx: Transaction) -> _Change:
    def change(name: str, updates: Sequence[UUID]) -> int | None:
        count = tx.update_lists.put_on(name, updates)
        if count and tx.update_lists.length(name) > LONGEST:
            raise WrongState(f"a list holds at most {LONGEST} updates")
        return count

    return change


async def take_off(call: Call, principal: Principal, asked: Listed) -> Changed:
    """Raises NotFound."""
    return await _changed(call, principal, asked, lambda tx: tx.update_lists.take_off)


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


async def rename_list(call: Call, principal: Principal, asked: NewName) -> None:
    """Give it another name, and have the saved searches that name it follow.

    Raises:
        NotFound
        WrongState: there is one of that name; or rights end at this one, or collections ask for it.
    """
    fleet = call.context.fleet
    fields = await call.read_fleet(lambda: fleet.ask(fields_of))

    def work(tx: Transaction) -> None:
        _check_uses(tx, principal, asked.name)
        renamed = tx.update_lists.rename_list(asked.name, asked.to)
        if renamed is None:
            raise NotFound
        if not renamed:
            raise WrongState("there is a list of this name already")
        for saved, moved in _naming(tx, asked.name, asked.to, fields=fields):
            tx.update_lists.drop_search(saved.name, owner=saved.owner)
            tx.update_lists.put_search(replace(saved, query=moved))
        tx.note(asked.name, to=asked.to)

    await call.decide(principal, work)


async def delete_list(call: Call, principal: Principal, asked: OneName) -> None:
    """Delete it, unless a search that the caller sees names it.

    Raises:
        NotFound
        WrongState: saved searches or collections name it, or rights end at it.
    """
    fleet = call.context.fleet
    fields = await call.read_fleet(lambda: fleet.ask(fields_of))

    def work(tx: Transaction) -> None:
        _check_uses(tx, principal, asked.name)
        if not tx.update_lists.drop_list(asked.name):
            raise NotFound
        naming = [one for one, _ in _naming(tx, asked.name, "", fields=fields)]
        seen = [one.name for one in naming if one.owner in (EVERYBODY, principal.actor)]
        if seen:
            raise WrongState(f"saved searches name this list: {', '.join(seen)}")
        tx.note(asked.name)

    await call.decide(principal, work)


def _check_uses(tx: Transaction, principal: Principal, name: str) -> None:
    """Raises WrongState: rights end at it, or machines are asked for, by its name."""
    used = ending_at(tx, f"{LIST_PLACE}{name}", may_name=may_name_holders(principal))
    used += naming_list(tx, name, may_name=may_name(principal))
    if used:
        raise WrongState(f"{name} has to stay: {'; '.join(used)}")


def _naming(
    tx: Transaction, name: str, to: str, *, fields: Fields
) -> Iterator[tuple[SavedSearch, str]]:
    """Yield the saved searches that name a list, and their query naming it otherwise.

    One that cannot be read, for it names a list that is gone, is left as it is.
    """
    for saved in tx.update_lists.searches_with(name):
        with suppress(InvalidQuery):
            query = parse_query(saved.query, fields)
            moved = with_value(query, LIST, name, to)
            if moved != query:
                yield saved, query_text(moved, fields)
