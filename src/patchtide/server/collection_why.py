"""Why a machine is in a collection, in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from uuid import UUID

from patchtide.server.collection_view import NamedCollection, named
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.listing import in_order
from patchtide.server.ports.collections import StoredCollection


class Why(NamedCollection, kw_only=True, frozen=True):
    whys: tuple[str, ...]
    """Each by itself is enough."""


def whys(
    fleet: Fleet, view: View, machine: UUID, *, among: Mapping[UUID, StoredCollection]
) -> tuple[Why, ...]:
    """Return which of these collections the machine is in, in the order of their names.

    Raises:
        NotFound: there is no such machine.
    """
    number = view.member(machine).number
    found = [among[key] for key in fleet.collections.ground(view).of(number) if key in among]
    return tuple(
        Why(id=one.id, name=one.name, whys=tuple(_whys(fleet, view, one, number, among)))
        for one in sorted(found, key=lambda one: in_order(one.name))
    )


def _whys(
    fleet: Fleet,
    view: View,
    one: StoredCollection,
    number: int,
    among: Mapping[UUID, StoredCollection],
) -> Iterator[str]:
    definition = one.definition
    if number in definition.direct:
        yield "named"
    if definition.query and fleet.collections.has_answered(view, definition, number):
        yield "by its query"
    ground = fleet.collections.ground(view)
    having = [key for key in definition.include if number in ground.members_of(key)]
    yield from (f"through {other.name}" for other in named(view, having) if other.id in among)
    if not all(key in among for key in having):
        yield "through another collection"
