"""The fleet for somebody who may see some of it: in it there are no other machines (S17).

Whatever a use case asks of the fleet it asks of this, so nothing that it answers, counts, completes
or refuses speaks of machines outside. A machine is in it if it is in all of the scopes. So it is
with updates for whoever may read single lists: there are those on them, and no other list.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable
from typing import TypeVar
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.access.grants import Scope
from patchtide.domain.access.rights import MACHINE, is_collection
from patchtide.domain.collections.definitions import Definition
from patchtide.domain.collections.memberships import Memberships
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.followed_view import FollowedView
from patchtide.server.machine_index import MachineIndex
from patchtide.server.update_index import UpdateIndex

T = TypeVar("T")
KEPT = 8
"""So many different scopes are kept ready: whoever asks with another one waits a little."""


class NarrowedFleet(Fleet):
    """Asked as the fleet is. What it counts is kept until something changes anywhere."""

    def __init__(self, whole: Fleet, bounds: frozenset[Scope]) -> None:
        self.bounds = bounds
        self.scopes = frozenset(one for one in bounds if one.places is not None)
        lists = [one.lists for one in bounds if one.lists is not None]
        self.lists = frozenset.intersection(*lists) if lists else None
        self.whole = whole
        self.store = whole.store
        self.updates = UpdateIndex()
        self.facts = whole.facts
        """Of all machines: an answer is what is found of them among those that are here."""
        self.machines = MachineIndex(self.facts, self.updates)
        self.collections = self._collections = _NarrowedCollections(
            self.machines, whole.collections
        )
        self._collections_here = _collections_in(self.scopes)
        """Other collections are none here, as other machines are not; None: all are."""
        self._seen: tuple[int, int] | None = None
        self._some = BitMap()
        self._view: FollowedView | None = None

    @property
    def everything(self) -> Fleet:
        return self.whole

    async def run(self, work: Callable[[], T]) -> T:
        return await self.whole.run(work)

    def ask(self, question: Callable[[FollowedView], T]) -> T:
        """Raises Unavailable: what machines have told was not read yet, and may keep some out."""
        if not self.facts.is_whole:
            self.follow_facts()
            self.facts.asked()
        return self.whole.ask(lambda view: question(self._narrowed(view)))

    def ask_settled(self, question: Callable[[FollowedView], T]) -> T:
        """Ask it as of the moment that counts speak of: nobody waits for what came since."""
        return self.ask(question)

    def follow_facts(self) -> None:
        self.whole.follow_facts()

    def _narrowed(self, view: FollowedView) -> FollowedView:
        memberships = self.whole.collections.ground(view)
        some = self._those(view, memberships)
        view.standings()  # who fell silent meanwhile moves by that
        seen = view.version, view.moves.end
        if self._view is None or seen != self._seen or some != self._some:
            self._view = view.narrowed(some, self._collections_here, lists=self.lists)
            self._some = some
            self._seen = view.version, view.moves.end  # counts follow for it, if they did not
        self._collections.found = _Within(memberships, some)
        # Of tier 0 is a machine by a collection, too, that nobody here is told of.
        zero = self.whole.collections.tier_zero(view)
        self._collections.zero = None if zero is None else zero & some
        self._view.now = view.now
        return self._view

    def _those(self, view: View, memberships: Memberships) -> BitMap:
        found = BitMap(view.members)
        for scope in self.scopes:
            found &= BitMap().union(*(_in(view, memberships, one) for one in scope.places or ()))
        return found


def _collections_in(scopes: frozenset[Scope]) -> Collection[UUID] | None:
    if not scopes:
        return None
    places = frozenset.intersection(*(scope.places or frozenset() for scope in scopes))
    return {UUID(one) for one in places if is_collection(one)}


def _in(view: View, memberships: Memberships, place: str) -> BitMap:
    """Return who is in a place: of a collection its machines, and a machine by itself."""
    id = UUID(place.removeprefix(MACHINE))
    if not place.startswith(MACHINE):
        return memberships.members_of(id)
    number = view.numbers.get(id.bytes)
    return BitMap() if number is None else BitMap([number])


class _NarrowedCollections(CollectionIndex):
    """The collections as the whole fleet has them, with these machines only."""

    def __init__(self, machines: MachineIndex, whole: CollectionIndex) -> None:
        super().__init__(machines)
        self.found = Memberships()
        self.zero: BitMap | None = BitMap()
        self._whole = whole

    def ground(self, view: View) -> Memberships:
        return self.found

    def tier_zero(self, view: View) -> BitMap | None:
        return self.zero

    def has_answered(self, view: View, collection: Definition, machine: int) -> bool:
        return self._whole.has_answered(view, collection, machine)


class _Within(Memberships):
    def __init__(self, whole: Memberships, some: BitMap) -> None:
        super().__init__()
        self._whole = whole
        self._some = some

    def members_of(self, collection: UUID) -> BitMap:
        return self._whole.members_of(collection) & self._some

    @property
    def unknown(self) -> Collection[UUID]:
        return self._whole.unknown

    def together(self, collections: Iterable[UUID]) -> BitMap | None:
        found = self._whole.together(collections)
        return None if found is None else found & self._some

    def size(self, collection: UUID) -> int:
        return len(self.members_of(collection))

    def of(self, machine: int) -> tuple[UUID, ...]:
        return self._whole.of(machine) if machine in self._some else ()


class NarrowedFleets:
    """Keeps them between requests: the same people ask with the same scopes."""

    def __init__(self) -> None:
        self._kept: OrderedDict[frozenset[Scope], Fleet] = OrderedDict()

    def of(self, fleet: Fleet, scopes: frozenset[Scope]) -> Fleet:
        whole = fleet.whole if isinstance(fleet, NarrowedFleet) else fleet
        wanted = fleet.bounds | scopes
        if not wanted:
            return fleet
        found = self._kept.get(wanted) or NarrowedFleet(whole, wanted)
        self._kept[wanted] = found
        self._kept.move_to_end(wanted)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found
