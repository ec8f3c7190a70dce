"""What a history can be of: all machines, one update, a list, a search; and how each stands now."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from uuid import UUID

from patchtide.domain.compliance.history import MachineCount, UpdateCount
from patchtide.domain.errors import NotFound
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.history_counting import (
    fleet_count,
    machine_count,
    of_search,
    on_list,
    unbelieved,
    update_count,
)
from patchtide.server.ports.update_lists import EVERYBODY, UpdateListReading


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """How it stands now, and by what it is found on other days."""

    of: str = "fleet"
    title: str = ""
    made_at: float = 0.0
    """Of a list."""
    update: UUID | None = None
    machines: MachineCount
    counts: UpdateCount | None = None
    """Of one update."""
    doubts: Mapping[str, int]
    reporting: int


def live(fleet: Fleet, silent_after: timedelta, *, of: Subject) -> Curve:
    """Return the curve as it stands now. Raises NotFound: there is nothing of that name."""
    heard = fleet.heard_of_late(silent_after)
    return fleet.ask(lambda view: curve(fleet, view, of, heard=heard))


def curve(fleet: Fleet, view: View, of: Subject, *, heard: int) -> Curve:
    """Return it within a question. Raises NotFound: there is nothing of that name."""
    whole = fleet_count(view)
    base = Curve(
        machines=whole.machines,
        doubts=whole.doubts,
        reporting=min(heard, whole.machines.machines),
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


def query_of(reading: UpdateListReading, search: str) -> str:
    """Return what a saved search of everybody's asks. Raises NotFound."""
    for one in reading.searches((EVERYBODY,)):
        if one.name == search:
            return one.query
    raise NotFound


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
    one = view.lists.get(name)
    if one is None:
        raise NotFound
    return replace(
        base,
        of="list",
        title=name,
        made_at=one.at.timestamp(),
        machines=machine_count(view, on_list(view, one)),
    )


def _of_search(fleet: Fleet, view: View, base: Curve, of: Subject) -> Curve:
    found = of_search(fleet.updates, view, of.query)
    if found is None:
        raise NotFound("the saved search cannot be asked any more")
    return replace(
        base,
        of="search",
        title=of.search,
        machines=machine_count(view, found),
    )
