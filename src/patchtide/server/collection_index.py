"""Who is in which collection, kept as the view of the fleet moves on.

Whoever asks first brings it up to date: by the collections that changed, by the machines that came
or went, and by those that answer to a query now and did not before. One index is for one thread at
a time, as the view that it is asked with.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Condition, combined, found
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.collections.definitions import ALL_MACHINES, ALL_MACHINES_NAME, Definition
from patchtide.domain.collections.memberships import Memberships
from patchtide.domain.compliance.machine_query import machine_fields
from patchtide.domain.errors import NotFound
from patchtide.server.collection_answers import CollectionAnswers, is_named, texts_of, who
from patchtide.server.fleet_view import View
from patchtide.server.machine_index import MachineIndex
from patchtide.server.ports.collections import StoredCollection

AGES = timedelta(minutes=1)
"""Queries may ask how long ago something was, and nothing else has to happen for that to change."""
ALL = timedelta(hours=1)
"""So often every collection is evaluated from nothing, as if nothing were known of it."""


class CollectionIndex:
    def __init__(self, machines: MachineIndex) -> None:
        self._machines = machines
        self._memberships = Memberships()
        self._stored: Mapping[UUID, StoredCollection] = {}
        self._version = (0, 0)
        self._asked_at = self._evaluated_at = datetime.fromtimestamp(0, UTC)
        self._present = BitMap()
        self._answers = CollectionAnswers(machines)

    def ground(self, view: View) -> Memberships:
        """Return who is in which collection in the view: to be asked, and not to be changed."""
        view.standings()  # what is too old by now moves machines, too
        # What machines tell of themselves comes beside the view.
        version = view.version, self._machines.facts.moves.end
        if self._version != version or view.now - self._asked_at >= AGES:
            self._follow(view)
            self._version, self._asked_at = version, view.now
        return self._memberships

    def members_of(self, view: View, collection: UUID) -> BitMap:
        """Return who is in it, let in or not.

        Raises:
            NotFound: there is no such collection.
        """
        if collection != ALL_MACHINES and collection not in view.collections:
            raise NotFound(f"there is no collection {collection}")
        return self.ground(view).members_of(collection)

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
            return who(one, _Named(view, self.ground(view)).together, among=ground.rows)

        return combined(parsed, ground.rows, of)

    def has_answered(self, view: View, collection: Definition, machine: int) -> bool:
        """Say whether a machine answered to a collection's query when that was asked last."""
        return machine in self._machines_of(view).answering(collection, among=BitMap([machine]))

    def _follow(self, view: View) -> None:
        queries = {one.definition.query for one in view.collections.values()} - {""}
        turned = self._answers.follow(view, queries)
        came = self._present ^ view.present
        machines = self._machines_of(view)
        if came:
            self._memberships.move(came.union(*turned.values()), machines)
            self._present = view.present.copy()
        elif turned:
            moved = BitMap().union(*turned.values())
            self._memberships.move(moved, machines, turned=_asking(view, turned.keys()))
        if view.collections is not self._stored:
            self._stored = view.collections
            definitions = {key: one.definition for key, one in view.collections.items()}
            self._memberships.define(definitions, machines)
        if view.now - self._evaluated_at >= ALL:
            self._memberships.evaluate(machines)
            self._evaluated_at = view.now

    def _machines_of(self, view: View) -> _Machines:
        return _Machines(view, self._answers, self._memberships)


def _asking(view: View, texts: Collection[str]) -> Iterator[UUID]:
    """Yield the collections whose queries ask one of these."""
    for key, one in view.collections.items():
        query = one.definition.query
        if query and any(text in texts for text in texts_of(query)):
            yield key


class _Named:
    """The collections of a view by their names; capitals do not matter."""

    def __init__(self, view: View, memberships: Memberships) -> None:
        self._view = view
        self._memberships = memberships
        self._keys: dict[str, UUID] = {}

    def together(self, names: Sequence[str]) -> BitMap:
        """Return who is in one of these; of one that is not there any more, nobody."""
        if not self._keys:
            known = self._view.collections.items()
            self._keys = {one.name.casefold(): key for key, one in known}
            self._keys[ALL_MACHINES_NAME.casefold()] = ALL_MACHINES
        keys = (self._keys.get(name.casefold()) for name in names)
        return self._memberships.together(key for key in keys if key is not None)


class _Machines:
    """The machines of a view, as collections ask them."""

    def __init__(self, view: View, answers: CollectionAnswers, memberships: Memberships) -> None:
        self._view = view
        self._answers = answers
        self._named = _Named(view, memberships)

    @property
    def all(self) -> BitMap:
        return self._view.present

    def answering(self, collection: Definition, /, *, among: BitMap) -> BitMap:
        return self._answers.answering(collection.query, self._named.together, among=among)
