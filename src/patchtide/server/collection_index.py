"""Who is in which collection, kept as the view of the fleet moves on.

Whoever asks first brings it up to date: by the collections that changed, by the machines that came
or went, and by those that answer to a query now and did not before. One index is for one thread at
a time, as the view that it is asked with.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Condition, combined, found
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.collections.definitions import ALL_MACHINES, ALL_MACHINES_NAME, Definition
from patchtide.domain.collections.memberships import Memberships
from patchtide.domain.compliance.machine_query import machine_fields
from patchtide.domain.errors import NotFound, Unavailable
from patchtide.server.collection_answers import (
    EACH,
    CollectionAnswers,
    is_named,
    is_open,
    texts_of,
    who,
)
from patchtide.server.fleet_view import View
from patchtide.server.machine_index import MachineIndex
from patchtide.server.ports.collections import StoredCollection

ALL = EACH
"""So often it is worked out from what queries find who is in every collection, as if nothing were
known of it; as often each query is asked from nothing."""


Collections = Mapping[UUID, StoredCollection]


class CollectionIndex:
    def __init__(self, machines: MachineIndex) -> None:
        self._machines = machines
        self._memberships = Memberships()
        self._stored: Collections = {}
        self._names: Mapping[str, UUID] = {}
        self._askers: Mapping[str, Sequence[UUID]] = {}
        """By what is asked of machines, the collections whose queries ask that."""
        self._open = set[UUID]()
        """Collections that one may be in who answers to nothing."""
        self._moment: object = None
        self._evaluated_at = datetime.fromtimestamp(0, UTC)
        self._present = BitMap()
        self._answers = CollectionAnswers(machines)

    def ground(self, view: View) -> Memberships:
        """Return who is in which collection in the view: to be asked, and not to be changed."""
        view.standings()  # what is too old by now moves machines, too
        facts = self._machines.facts
        # What machines tell of themselves comes beside the view.
        moment = view.version, view.now, view.heard.end, facts.moves.end, facts.is_whole
        if moment != self._moment:
            self._follow(view)
            self._moment = moment
        return self._memberships

    def check(self, view: View) -> None:
        """Ask the queries from nothing whose turn it is; whoever follows the fleet does so."""
        self._answers.check(view, self._askers.keys())
        if self._answers.has_checked:
            self._moment = None

    def members_of(self, view: View, collection: UUID) -> BitMap:
        """Return who is in it, let in or not.

        Raises:
            NotFound: there is no such collection.
            Unavailable: nobody knows who is in it.
        """
        if collection != ALL_MACHINES and collection not in view.collections:
            raise NotFound(f"there is no collection {collection}")
        ground = self.ground(view)
        if collection in ground.unknown:
            why = self.why_unknown(view, collection)
            raise Unavailable(f"nobody knows who is in {view.collections[collection].name}: {why}")
        return ground.members_of(collection)

    def tier_zero(self, view: View) -> BitMap | None:
        """Return the machines of tier 0; None: nobody knows of one collection who is in it."""
        marked = [key for key, one in view.collections.items() if one.is_tier_zero]
        return self.ground(view).together(marked) if marked else BitMap()

    def targets_of(self, view: View, collection: UUID) -> BitMap:
        """Return whom it reaches what is said of a collection: of tier 0 only by one of that."""
        return self._reached(view, collection, self.ground(view).members_of(collection))

    def bound_by(self, view: View, collection: UUID) -> BitMap:
        """Return whom its calendar binds: besides, the machines whose schedule it is."""
        scheduled = self._machines.values(view, "schedule").get(str(collection), BitMap())
        members = self.ground(view).members_of(collection)
        return self._reached(view, collection, members | (scheduled & view.present))

    def _reached(self, view: View, collection: UUID, machines: BitMap) -> BitMap:
        if is_of_tier_zero(view, collection):
            return machines
        zero = self.tier_zero(view)
        return BitMap() if zero is None else machines - zero

    def why_unknown(self, view: View, collection: UUID) -> str:
        """Return why nobody knows who is in a collection; empty: it is known."""
        unknown = self.ground(view).unknown
        if collection not in unknown or collection not in view.collections:
            return ""
        definition = view.collections[collection].definition
        if definition.query and (why := self._answers.why_unknown(definition.query)):
            return why
        others = (key for _, key in definition.references() if key in unknown)
        names = [view.collections[key].name for key in others if key in view.collections]
        return f"nobody knows who is in {names[0] if names else 'what it is made of'}"

    def answering(self, view: View, query: str, *, among: BitMap | None = None) -> BitMap:
        """Return the machines, of those that are let in or of these, that answer to the query.

        Raises:
            InvalidQuery
            Unavailable: it asks what machines told, and that was not read yet.
        """
        names = [ALL_MACHINES_NAME, *(one.name for one in view.collections.values())]
        fields = machine_fields(names)
        parsed = parse_query(query, fields)
        ground = self._machines.ground(view, rows=among)

        def of(one: Condition) -> BitMap:
            if not is_named(one):
                return found(one, fields=fields, ground=ground)
            named = _Named(_names(view.collections), self.ground(view))
            asked = who(one, named.together, among=ground.rows)
            if asked is None:
                raise Unavailable("nobody knows who is in a collection that this asks for")
            return asked

        return combined(parsed, ground.rows, of)

    def has_answered(self, view: View, collection: Definition, machine: int) -> bool:
        """Say whether a machine answered to a collection's query when that was asked last."""
        return bool(self._machines_of(view).answering(collection, among=BitMap([machine])))

    def _follow(self, view: View) -> None:
        is_other = view.collections is not self._stored
        if is_other:
            self._names, self._askers = _names(view.collections), _askers(view.collections)
            self._open = {k for k, o in view.collections.items() if is_open(o.definition.query)}
        turned = self._answers.follow(view, self._askers.keys())
        machines = self._machines_of(view)
        if is_other:
            self._stored = view.collections
            definitions = {key: one.definition for key, one in view.collections.items()}
            self._memberships.define(definitions, machines)
        if turned.anew:
            self._memberships.reconsider(self._asking(turned.anew), machines)
        came = self._present ^ view.present
        moved = came.union(*turned.machines.values())
        if moved:
            asking = self._asking(turned.machines) | (self._open if came else set())
            self._memberships.move(moved, machines, turned=asking, came=came)
        if came:
            self._present = view.present.copy()
        if view.now - self._evaluated_at >= ALL:
            self._memberships.evaluate(machines)
            self._evaluated_at = view.now

    def _asking(self, texts: Iterable[str]) -> set[UUID]:
        """Return the collections whose queries ask one of these."""
        return {key for text in texts for key in self._askers[text]}

    def _machines_of(self, view: View) -> _Machines:
        return _Machines(view, self._answers, _Named(self._names, self._memberships))


def is_of_tier_zero(view: View, collection: UUID) -> bool:
    """Say whether what is said of a collection is said of machines of tier 0."""
    if collection == ALL_MACHINES:
        return True
    return collection in view.collections and view.collections[collection].is_tier_zero


def _askers(collections: Collections) -> Mapping[str, Sequence[UUID]]:
    found: dict[str, list[UUID]] = {}
    for key, one in collections.items():
        if one.definition.query:
            for text in texts_of(one.definition.query):
                found.setdefault(text, []).append(key)
    return found


def _names(collections: Collections) -> Mapping[str, UUID]:
    """Return the collections by their names; capitals do not matter."""
    named = {one.name.casefold(): key for key, one in collections.items()}
    return {**named, ALL_MACHINES_NAME.casefold(): ALL_MACHINES}


@dataclass(frozen=True, slots=True)
class _Named:
    names: Mapping[str, UUID]
    memberships: Memberships

    def together(self, names: Sequence[str]) -> BitMap | None:
        """Return who is in one of these; None: one is not there any more, or nobody knows."""
        keys = [self.names.get(name.casefold()) for name in names]
        known = [key for key in keys if key is not None]
        return self.memberships.together(known) if len(known) == len(keys) else None


@dataclass(frozen=True, slots=True)
class _Machines:
    """The machines of a view, as collections ask them."""

    view: View
    answers: CollectionAnswers
    named: _Named

    @property
    def all(self) -> BitMap:
        return self.view.present

    def answering(self, collection: Definition, /, *, among: BitMap) -> BitMap | None:
        return self.answers.answering(collection.query, self.named.together, among=among)
