"""Saved searches: queries under a name, for everybody on the site or for whoever saved them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.catalog.query_completion import Completion, complete
from patchtide.domain.catalog.query_parser import MAX_LENGTH, parse_query
from patchtide.domain.catalog.query_text import query_text
from patchtide.domain.errors import NotFound, WrongState
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.patterns import SLUG
from patchtide.server.ports.decisions import Transaction
from patchtide.server.ports.update_lists import EVERYBODY, SavedSearch
from patchtide.server.table import Input, Nothing, Output
from patchtide.server.update_search import fields_of, known_values

MOST = 200
"""Searches that somebody has, or everybody together."""
Name = Annotated[
    str,
    Meta(pattern=SLUG, description="Small letters, digits and hyphens."),
]
Query = Annotated[
    str,
    Meta(
        max_length=MAX_LENGTH,
        description="As the list of updates has it; an empty one asks for all.",
    ),
]


class SaveSearch(Input, kw_only=True, frozen=True):
    name: Name
    query: Query


class OneName(Input, kw_only=True, frozen=True):
    name: Name


class NewName(Input, kw_only=True, frozen=True):
    name: Name
    to: Annotated[str, Meta(pattern=SLUG, description="What it is called from now on.")]


class Complete(Input, kw_only=True, frozen=True):
    text: Query = ""
    position: Annotated[
        int, Meta(ge=0, le=MAX_LENGTH, description="Where somebody writes, in characters.")
    ] = MAX_LENGTH


class ShownSearch(Output, kw_only=True, frozen=True):
    name: str
    query: str
    shared: bool
    """No: only whoever saved it sees it."""
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


async def searches(call: Call, principal: Principal, asked: Nothing) -> SearchList:
    """Return those of everybody, and the caller's own; who reads single lists sees his own."""
    reading = call.context.reading.update_lists
    owners = owners_for(call.context.fleet, principal.actor)
    found = await call.read(lambda: reading.searches(owners))
    return SearchList(items=tuple(map(_shown, found)))


def owners_for(fleet: Fleet, actor: str) -> Sequence[str]:
    """Return whose searches somebody may ask: everybody's name what is not on his lists."""
    return (EVERYBODY, actor) if fleet.lists is None else (actor,)


async def save_shared(call: Call, principal: Principal, asked: SaveSearch) -> ShownSearch:
    """Raises InvalidQuery, WrongState."""
    return await _save(call, principal, asked, owner=EVERYBODY)


async def save_own(call: Call, principal: Principal, asked: SaveSearch) -> ShownSearch:
    """Raises InvalidQuery, WrongState."""
    return await _save(call, principal, asked, owner=principal.actor)


async def _save(call: Call, principal: Principal, asked: SaveSearch, *, owner: str) -> ShownSearch:
    """Save it in its canonical form, in place of one of the same name.

    Raises:
        InvalidQuery
        WrongState: there are too many already.
    """
    fleet = call.context.fleet
    fields = await call.read_fleet(lambda: fleet.ask(fields_of))
    text = query_text(parse_query(asked.query, fields), fields)
    saved = SavedSearch(name=asked.name, query=text, owner=owner, by=principal.actor, at=call.now)

    def work(tx: Transaction) -> None:
        tx.update_lists.drop_search(saved.name, owner=owner)
        _put(tx, saved)
        tx.note(saved.name, **({"query": text} if owner == EVERYBODY else {}))

    await call.decide(principal, work)
    return _shown(saved)


def _put(tx: Transaction, saved: SavedSearch) -> None:
    if tx.update_lists.count_searches(saved.owner) >= MOST:
        raise WrongState(f"there are {MOST} saved searches already; delete one first")
    tx.update_lists.put_search(saved)


async def rename_shared(call: Call, principal: Principal, asked: NewName) -> ShownSearch:
    """Raises NotFound, WrongState."""
    return await _move(
        call, principal, asked.name, EVERYBODY, lambda one: replace(one, name=asked.to)
    )


async def rename_own(call: Call, principal: Principal, asked: NewName) -> ShownSearch:
    """Raises NotFound, WrongState."""
    return await _move(
        call, principal, asked.name, principal.actor, lambda one: replace(one, name=asked.to)
    )


async def share(call: Call, principal: Principal, asked: OneName) -> ShownSearch:
    """Make an own one everybody's.

    Raises:
        NotFound
        WrongState: everybody has one of that name.
    """
    return await _move(
        call, principal, asked.name, principal.actor, lambda one: replace(one, owner=EVERYBODY)
    )


async def _move(
    call: Call,
    principal: Principal,
    name: str,
    owner: str,
    how: Callable[[SavedSearch], SavedSearch],
) -> ShownSearch:
    def work(tx: Transaction) -> SavedSearch:
        known = tx.update_lists.search(name, owner=owner)
        if known is None:
            raise NotFound
        moved = replace(how(known), by=principal.actor, at=call.now)
        if tx.update_lists.search(moved.name, owner=moved.owner) is not None:
            raise WrongState(f"there is a saved search {moved.name} already")
        tx.update_lists.drop_search(name, owner=owner)
        _put(tx, moved)
        tx.note(name, **({"to": moved.name} if moved.name != name else {}))
        return moved

    return _shown(await call.decide(principal, work))


async def delete_shared(call: Call, principal: Principal, asked: OneName) -> None:
    """Raises NotFound."""
    await _delete(call, principal, asked, owner=EVERYBODY)


async def delete_own(call: Call, principal: Principal, asked: OneName) -> None:
    """Raises NotFound."""
    await _delete(call, principal, asked, owner=principal.actor)


async def _delete(call: Call, principal: Principal, asked: OneName, *, owner: str) -> None:
    def work(tx: Transaction) -> None:
        if not tx.update_lists.drop_search(asked.name, owner=owner):
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


def _shown(one: SavedSearch) -> ShownSearch:
    return ShownSearch(
        name=one.name,
        query=one.query,
        shared=one.owner == EVERYBODY,
        saved_by=one.by,
        saved_at=one.at,
    )
