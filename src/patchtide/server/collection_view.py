"""Collections as people see them: what each is made of, how many it has, and how those stand."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta
from pyroaring import BitMap

from patchtide.domain.access.principals import Principal
from patchtide.domain.collections.definitions import (
    ALL_MACHINES,
    ALL_MACHINES_NAME,
    Definition,
)
from patchtide.domain.compliance.judgement import Compliance
from patchtide.domain.compliance.shares import share
from patchtide.domain.errors import NotFound
from patchtide.server.context import Call
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.listing import After, Column, Limit, Search, in_order, matches, paged
from patchtide.server.machine_list import ListMachines, MachineList, listed
from patchtide.server.ports.collections import StoredCollection
from patchtide.server.table import Input, Output

CollectionSort = Literal[
    "name", "-name", "machines", "-machines", "compliant", "-compliant", "changed", "-changed"
]
ALL = StoredCollection(
    definition=Definition(id=ALL_MACHINES, name=ALL_MACHINES_NAME),
    description="Every machine that is not retired. Always there; nobody changes it.",
    revision=0,
    by="",
    at=datetime.fromtimestamp(0, UTC),
)


class ListCollections(Input, kw_only=True, frozen=True):
    search: Annotated[Search, Meta(description="Part of the name or the description.")] = ""
    machine: Annotated[
        UUID | None, Meta(description="Only those that this machine is in, by its id.")
    ] = None
    sort: Annotated[CollectionSort, Meta(description="The order; a minus turns it round.")] = "name"
    after: After = ""
    limit: Limit = 100


class OneCollection(Input, kw_only=True, frozen=True):
    collection: Annotated[UUID, Meta(description="The collection's id.")]


class ListMembers(ListMachines, kw_only=True, frozen=True):
    collection: Annotated[UUID, Meta(description="The collection's id.")]


class NamedCollection(Output, kw_only=True, frozen=True):
    id: UUID
    name: str


class Collection(Output, kw_only=True, frozen=True):
    id: UUID
    name: str
    description: str
    is_built_in: bool
    """It is always there, and nobody changes it."""
    limiting: NamedCollection | None
    """Whoever is not in that one is not in this one; null: of the one of all machines."""
    is_tier_zero: bool
    """Its machines are of tier 0."""
    query: str
    """Who answers to it is in; empty: there is none."""
    is_told_in_part: bool
    """It is made of collections, too, that are not told of to who asks."""
    include: tuple[NamedCollection, ...]
    exclude: tuple[NamedCollection, ...]
    named: int
    """How many machines it names; those that are retired count, too."""
    unknown_why: str
    """Why nobody knows who is in it, so that it has nobody; empty: it is known."""
    machines: int
    """How many are in it."""
    active: int
    """How many of them are let in: the only ones that the next four speak of."""
    compliant: int
    required: int
    restart: int
    unknown: int
    compliant_percent: float | None
    """Rounded down: 100 stands for all alone; null: of nobody."""
    revision: int
    changed_by: str
    changed_at: datetime | None


class CollectionList(Output, kw_only=True, frozen=True):
    items: tuple[Collection, ...]
    total: int
    next: str | None
    """Where to go on; null at the end."""


COLUMNS: Mapping[str, Column[Collection]] = {
    "name": Column(lambda x: (in_order(x.name), x.id.hex), tuple[str, str]),
    "machines": Column(lambda x: (-x.machines, in_order(x.name), x.id.hex), tuple[int, str, str]),
    # Where least are compliant is what needs a look first; where nobody is counted, last.
    "compliant": Column(
        lambda x: (_part(x.compliant_percent), in_order(x.name), x.id.hex), tuple[float, str, str]
    ),
    "changed": Column(
        lambda x: (-x.changed_at.timestamp() if x.changed_at else 0.0, in_order(x.name), x.id.hex),
        tuple[float, str, str],
    ),
}


def _part(percent: float | None) -> float:
    return 101.0 if percent is None else percent


async def list_some(call: Call, principal: Principal, asked: ListCollections) -> CollectionList:
    """Raises NotFound: there is no such machine."""
    fleet = call.context.fleet

    def question(view: View) -> CollectionList:
        found = tuple(shown(fleet, view, one) for one in _fitting(fleet, view, asked))
        page = paged(found, columns=COLUMNS, sort=asked.sort, after=asked.after, limit=asked.limit)
        return CollectionList(items=tuple(page.items), total=len(found), next=page.next)

    return await call.read_fleet(lambda: fleet.ask(question))


def _fitting(fleet: Fleet, view: View, asked: ListCollections) -> Iterable[StoredCollection]:
    found = [ALL, *view.collections.values()]
    if asked.machine is not None:
        having = set(fleet.collections.ground(view).of(view.member(asked.machine).number))
        found = [one for one in found if one.id in having]
    return [one for one in found if matches(asked.search, one.name, one.description)]


async def show(call: Call, principal: Principal, asked: OneCollection) -> Collection:
    """Raises NotFound."""
    fleet = call.context.fleet

    def question(view: View) -> Collection:
        return shown(fleet, view, known(view, asked.collection))

    return await call.read_fleet(lambda: fleet.ask(question))


async def members(call: Call, principal: Principal, asked: ListMembers) -> MachineList:
    """Raises NotFound."""
    return await call.read_fleet(lambda: listed(call, asked))


def known(view: View, collection: UUID) -> StoredCollection:
    """Raises NotFound."""
    found = ALL if collection == ALL_MACHINES else view.collections.get(collection)
    if found is None:
        raise NotFound(f"there is no collection {collection}")
    return found


def named(view: View, collections: Sequence[UUID]) -> tuple[NamedCollection, ...]:
    """Return those that are known, in this order."""
    there = (ALL if key == ALL_MACHINES else view.collections.get(key) for key in collections)
    return tuple(NamedCollection(id=one.id, name=one.name) for one in there if one)


def names_of_all(view: View) -> tuple[NamedCollection, ...]:
    """Return the collections that people made, in the order of their names."""
    ordered = sorted(view.collections.values(), key=lambda one: in_order(one.name))
    return tuple(NamedCollection(id=one.id, name=one.name) for one in ordered)


def shown(fleet: Fleet, view: View, one: StoredCollection) -> Collection:
    ground, definition = fleet.collections.ground(view), one.definition
    members = ground.members_of(one.id)
    active = members & view.active
    standings = fleet.machines.values(view, "standing")

    def count(standing: Compliance) -> int:
        return standings.get(standing.value, BitMap()).intersection_cardinality(active)

    compliant = count(Compliance.COMPLIANT)
    is_whole = all(key in view.collections for _, key in definition.references())
    asks_others = not all(key in view.collections for key in definition.asks_for)
    is_built_in = one.id == ALL_MACHINES
    return Collection(
        id=one.id,
        name=one.name,
        description=one.description,
        is_built_in=is_built_in,
        limiting=None if is_built_in else next(iter(named(view, [definition.limiting])), None),
        is_tier_zero=one.is_tier_zero,
        query="" if asks_others else definition.query,
        is_told_in_part=not is_whole,
        include=named(view, definition.include),
        exclude=named(view, definition.exclude),
        named=len(definition.direct & view.present if fleet.scopes else definition.direct),
        unknown_why=fleet.collections.why_unknown(view, one.id),
        machines=len(members),
        active=len(active),
        compliant=compliant,
        required=count(Compliance.REQUIRED),
        restart=count(Compliance.RESTART),
        unknown=count(Compliance.UNKNOWN),
        compliant_percent=share(compliant, len(active)),
        revision=one.revision,
        changed_by=one.by,
        changed_at=None if is_built_in else one.at,
    )
