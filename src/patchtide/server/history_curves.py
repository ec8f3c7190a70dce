"""What a history can be of, and how each stands now.

All machines, one update, a list, a search; and of the machines of one collection, all of it but one
update: who had that is counted of all machines alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol
from uuid import UUID

from patchtide.domain.access.rights import is_collection
from patchtide.domain.collections.definitions import ALL_MACHINES
from patchtide.domain.compliance.history import MachineCount, UpdateCount, machines_on
from patchtide.domain.errors import InvalidDocument, NotFound, Problem
from patchtide.server.collection_view import known
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.history_counting import (
    fleet_count,
    machine_classes,
    machine_count,
    of_search,
    on_list,
    unbelieved,
    update_count,
)
from patchtide.server.history_pairs import Pair
from patchtide.server.history_sets import ALL_UPDATES, doubts_of, of_list, on_all
from patchtide.server.history_sets import of_search as search_key
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.ports.update_lists import EVERYBODY, StoredList, UpdateListReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How it stands now, and by what it is found on other days."""

    of: str = "fleet"
    title: str = ""
    made_at: float = 0.0
    """Of a list."""
    update: UUID | None = None
    collection: UUID | None = None
    """Of its machines; without one: of all."""
    within: str = ""
    """What it is called."""
    is_counted: bool = True
    """No: of these machines no day was ever counted, as of some that somebody may see."""
    reads_catalog: bool = True
    """No: whoever asks may read single lists, and is not told what came into the catalog."""
    machines: MachineCount
    counts: UpdateCount | None = None
    """Of one update."""
    doubts: Mapping[str, int]
    reporting: int

    @property
    def key(self) -> UUID | Pair | None:
        """Of which update or pair its days are counted by themselves, if they are."""
        if not self.is_counted:
            return None
        if self.collection is None:
            return self.update
        set_of = {"list": of_list(self.made_at), "search": search_key(self.title)}
        return Pair(self.collection, set_of.get(self.of, ALL_UPDATES))


def live(fleet: Fleet, silent_after: timedelta, *, of: Subject) -> Curve:
    """Return the curve as it stands now. Raises NotFound: there is nothing of that name."""
    heard = fleet.heard_of_late(silent_after) if of.collection is None else 0
    return fleet.ask(lambda view: curve(fleet, view, of, heard=heard, silent_after=silent_after))


def curve(fleet: Fleet, view: View, of: Subject, *, heard: int, silent_after: timedelta) -> Curve:
    """Return it within a question.

    Raises:
        InvalidDocument: it was not counted.
        NotFound: there is nothing of that name.
        Unavailable: nobody knows who is in the collection.
    """
    if of.collection is not None:
        return _of_collection(fleet, view, of, of.collection, silent_after=silent_after)
    whole = fleet_count(view)
    base = Curve(
        machines=whole.machines,
        doubts=whole.doubts,
        reporting=min(heard, whole.machines.machines),
        is_counted=not fleet.scopes,
        reads_catalog=fleet.lists is None,
    )
    if of.update is not None:
        return _of_update(view, base, of.update)
    if of.list:
        return _of_list(view, base, of.list)
    return _of_search(fleet, view, base, of) if of.search else base


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What somebody asks about; nothing of it: the whole fleet."""

    update: UUID | None = None
    list: str = ""
    search: str = ""
    query: str = ""
    """Of the search."""
    collection: UUID | None = None
    """Of its machines alone."""


class Asked(Protocol):
    """Whatever says what somebody asks about."""

    @property
    def update(self) -> UUID | None: ...

    @property
    def list(self) -> str: ...

    @property
    def search(self) -> str: ...

    @property
    def collection(self) -> UUID | None: ...


def subject_of(reading: UpdateListReading, fleet: Fleet, asked: Asked) -> Subject:
    """Return what is asked about; whoever may see one collection or list alone means that one.

    Raises:
        NotFound: nobody shares such a search, or whoever asks may read single lists alone.
        InvalidDocument: he may read several, and named none.
    """
    collection = asked.collection or (None if asked.update else only_place(fleet))
    return Subject(
        update=asked.update,
        list=asked.list or (_only_list(fleet) if not (asked.update or asked.search) else ""),
        search=asked.search,
        query=_query_of(reading, fleet, asked.search) if asked.search else "",
        collection=None if collection == ALL_MACHINES else collection,
    )


def only_place(fleet: Fleet) -> UUID | None:
    """Return the collection within which somebody may see machines, if it is a single one."""
    if len(fleet.scopes) != 1:
        return None
    [places] = [scope.places or frozenset() for scope in fleet.scopes]
    named = list(filter(is_collection, places))
    return UUID(named[0]) if len(named) == len(places) == 1 else None


def _only_list(fleet: Fleet) -> str:
    """Return the list that somebody means who named none; empty: all updates.

    Raises:
        InvalidDocument: he may read several.
    """
    if fleet.lists is None:
        return ""
    first, *others = sorted(fleet.lists)
    if others:
        said = f"is one of {', '.join((first, *others))}: you may read no other updates"
        raise InvalidDocument([Problem("list", said)])
    return first


def _query_of(reading: UpdateListReading, fleet: Fleet, search: str) -> str:
    """Return what a saved search of everybody's asks. Raises NotFound."""
    for one in reading.searches((EVERYBODY,) if fleet.lists is None else ()):
        if one.name == search:
            return one.query
    raise NotFound


def _of_collection(
    fleet: Fleet, view: View, of: Subject, collection: UUID, *, silent_after: timedelta
) -> Curve:
    if of.update is not None:
        what = "put it on a list: of single updates no days are counted by collection"
        raise InvalidDocument([Problem("update", what)])
    one = known(view, collection)
    some = fleet.collections.members_of(view, collection) & view.active
    made_at, title = 0.0, of.search
    if of.list:
        made_at, title = _listed(view, of.list).at.timestamp(), of.list
        classes = machine_classes(fleet, view, on_list(view, _listed(view, of.list)))
    elif of.search:
        classes = machine_classes(fleet, view, _found(fleet, view, of))
    else:
        classes = on_all(fleet, view, some)
    return Curve(
        of="list" if of.list else "search" if of.search else "fleet",
        title=title,
        made_at=made_at,
        collection=collection,
        within=one.name,
        is_counted=all(str(collection) in (scope.places or ()) for scope in fleet.scopes),
        reads_catalog=fleet.lists is None,
        machines=machines_on(classes.among(some)),
        doubts=doubts_of(fleet, view, some),
        reporting=len(some - view.silent(some, silent_after=silent_after)),
    )


def _of_update(view: View, base: Curve, key: UUID) -> Curve:
    update = view.update(key)
    return replace(
        base,
        of="update",
        title=update.title,
        update=key,
        counts=update_count(view, update, unbelieved=unbelieved(base.doubts)),
    )


def _of_list(view: View, base: Curve, name: str) -> Curve:
    one = _listed(view, name)
    return replace(
        base,
        of="list",
        title=name,
        made_at=one.at.timestamp(),
        machines=machine_count(view, on_list(view, one)),
    )


def _of_search(fleet: Fleet, view: View, base: Curve, of: Subject) -> Curve:
    return replace(
        base,
        of="search",
        title=of.search,
        machines=machine_count(view, _found(fleet, view, of)),
    )


def _listed(view: View, name: str) -> StoredList:
    one = view.lists.get(name)
    if one is None:
        raise NotFound
    return one


def _found(fleet: Fleet, view: View, of: Subject) -> Sequence[KnownUpdate]:
    found = of_search(fleet.updates, view, of.query)
    if found is None:
        raise NotFound("the saved search cannot be asked any more")
    return found
