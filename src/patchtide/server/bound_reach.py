"""Which machines rights reach that others agree to: who is in a collection changes by itself.

A machine that enrols, or tells something else of itself, may answer to what a collection asks. That
more machines are reached than when it was proposed is more than people agreed to; fewer are less.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from uuid import UUID

import msgspec
from pyroaring import BitMap

from patchtide.domain.access.rights import is_collection
from patchtide.server.fleet import Fleet

Reach = Mapping[str, BitMap]
"""Of each place where rights end, the numbers of its machines."""
Reaching = Callable[[Collection[str]], Reach]


def reaching(fleet: Fleet) -> Reaching:
    """Return what says which machines are in the collections among these places now.

    Raises:
        NotFound: there is no such collection.
        Unavailable: nobody knows who is in it.
    """

    def asked(places: Collection[str]) -> Reach:
        some = list(filter(is_collection, places))
        if not some:
            return {}
        members_of = fleet.collections.members_of
        return fleet.ask(lambda view: {one: members_of(view, UUID(one)) for one in some})

    return asked


def written(reach: Reach) -> bytes:
    return msgspec.msgpack.encode({place: some.serialize() for place, some in reach.items()})


def has_grown(was: bytes, now: Reach) -> bool:
    """Say whether a machine is reached now that was not, in any of the places."""
    kept = msgspec.msgpack.decode(was, type=dict[str, bytes]) if was else {}
    return any(
        bool(some - BitMap.deserialize(kept[place]) if place in kept else some)
        for place, some in now.items()
    )
