"""Counting the fleet for its history, from the view: all updates, all lists, all searches."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.compliance.history import MachineCount, UpdateCount, machines_on
from patchtide.domain.compliance.judgement import Compliance, Doubt
from patchtide.domain.compliance.scopes import Classes
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.history_pairs import Pair
from patchtide.server.history_rows import CountRow, UpdateColumns
from patchtide.server.history_sets import ALL_UPDATES, PAIRS, by_collection, of_list, on_all
from patchtide.server.history_sets import of_search as search_key
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.ports.clients import ClientState
from patchtide.server.ports.update_lists import SavedSearch, StoredList
from patchtide.server.update_index import UpdateIndex
from patchtide.server.update_search import answering

Which = Callable[[View], Sequence[KnownUpdate] | None]
AT_MOST = 1_000_000
"""Updates on lists and of searches, all taken together: what is beyond is not counted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetCount:
    """All machines, on all that is published."""

    machines: MachineCount
    waiting: int
    quarantined: int
    doubts: Mapping[str, int]
    """Why how many of the active ones are unknown."""
    updates: int


def unbelieved(doubts: Mapping[str, int]) -> int:
    """Return how many machines are unknown on every update: not on single ones."""
    some = (Doubt.OLD_CATALOG.value, Doubt.SOME_UNKNOWN.value)
    return sum(n for doubt, n in doubts.items() if doubt not in some)


def fleet_count(view: View) -> FleetCount:
    alike = [(group, n) for group, n in view.alike().items() if n]
    active = [(how, doubt, n) for (state, how, doubt), n in alike if state is ClientState.ACTIVE]
    standing = {how: sum(n for x, _, n in active if x is how) for how in Compliance}
    doubts = {doubt for _, doubt, _ in active} - {Doubt.NONE}
    return FleetCount(
        machines=MachineCount(
            compliant=standing[Compliance.COMPLIANT],
            required=standing[Compliance.REQUIRED],
            restart=standing[Compliance.RESTART],
            unknown=standing[Compliance.UNKNOWN],
        ),
        waiting=sum(n for (state, _, _), n in alike if state is ClientState.WAITING),
        quarantined=sum(n for (state, _, _), n in alike if state is ClientState.QUARANTINED),
        doubts={x.value: sum(n for _, y, n in active if x is y) for x in sorted(doubts)},
        updates=len(view.updates),
    )


def update_count(view: View, update: KnownUpdate, *, unbelieved: int) -> UpdateCount:
    """Return how machines stand on it; `unbelieved` are unknown on all, and not counted here."""
    tally = view.tally_of(update)
    unknown = max(0, tally.unknown - unbelieved)
    behind = min(view.behind(update), unknown) if unknown else 0
    return UpdateCount(
        required=tally.required,
        installed=tally.installed,
        restart=view.restarting_with(update),
        behind=behind,
        unjudged=unknown - behind,
    )


def update_columns(
    view: View, places: Mapping[UUID, int], *, length: int, unbelieved: int
) -> UpdateColumns:
    """Return the counts of all updates that have a place."""
    found = UpdateColumns.of_length(length)
    for key, update in view.updates.items():
        if key in places:
            found.put(places[key], update_count(view, update, unbelieved=unbelieved))
    return found


def unplaced(view: View, places: Collection[UUID]) -> list[UUID]:
    return [key for key in view.updates if key not in places]


def machine_count(view: View, updates: Sequence[KnownUpdate]) -> MachineCount:
    """Return how the active machines stand on these updates together, as reports say it."""
    if view.are_all(updates):
        return fleet_count(view).machines
    return machines_on(_classes(view, updates))


def machine_classes(fleet: Fleet, view: View, updates: Sequence[KnownUpdate]) -> Classes:
    """Return which active machines stand how on these updates together."""
    if view.are_all(updates):
        return on_all(fleet, view, view.active)
    return _classes(view, updates)


def _classes(view: View, updates: Sequence[KnownUpdate]) -> Classes:
    part = view.part(view.active)
    # Nobody asks here why somebody is not believed.
    doubts = {Doubt.NOT_ACTIVE: part.members - part.asked}
    return part.classes(updates, doubts=doubts)


def on_list(view: View, one: StoredList) -> list[KnownUpdate]:
    """Return what is on the list and offered."""
    return [view.updates[key] for key in one.updates if key in view.updates]


def of_search(index: UpdateIndex, view: View, query: str) -> list[KnownUpdate] | None:
    """Return what the search finds that is offered; None: it cannot be asked any more."""
    try:
        return [one for one in answering(index, view, query) if not one.is_expired]
    except InvalidQuery:
        return None


@dataclass(slots=True)
class SetCounts:
    """Lists and searches, one question each: none of them holds the fleet up for long."""

    fleet: Fleet
    silent: BitMap
    """Machines that were not heard of late."""
    lists: dict[str, CountRow] = field(default_factory=dict)
    searches: dict[str, CountRow] = field(default_factory=dict)
    pairs: dict[Pair, UpdateCount] = field(default_factory=dict)
    """What of it, and of all updates, the machines of each collection come to."""
    left: int = AT_MOST
    left_out: int = 0

    @classmethod
    def of(
        cls, fleet: Fleet, searches: Sequence[SavedSearch], *, silent_after: timedelta
    ) -> SetCounts:
        silent = fleet.ask(lambda view: view.silent(view.active, silent_after=silent_after))
        counts = cls(fleet, silent)
        counts.add_all()
        lists = fleet.ask(lambda view: sorted(view.lists.values(), key=lambda one: one.name))
        for one in lists:
            counts.add_list(one)
        for search in searches:
            counts.add_search(search)
        return counts

    def add_all(self) -> None:
        self._pair(self.fleet.ask(lambda view: on_all(self.fleet, view, view.active)))

    def add_list(self, one: StoredList) -> None:
        made_at = one.at.timestamp()
        row = self._counted(lambda view: on_list(view, one), of_list(made_at), made_at=made_at)
        if row is not None:
            self.lists[one.name] = row

    def add_search(self, one: SavedSearch) -> None:
        index, key = self.fleet.updates, search_key(one.name)
        row = self._counted(lambda view: of_search(index, view, one.query), key)
        if row is not None:
            self.searches[one.name] = row

    def _counted(self, which: Which, of: str, *, made_at: float = 0.0) -> CountRow | None:
        def question(view: View) -> tuple[Classes, CountRow] | None:
            updates = which(view)
            if updates is None:
                return None
            if len(updates) > self.left:
                self.left_out += 1
                return None
            self.left -= len(updates)
            classes = machine_classes(self.fleet, view, updates)
            row = CountRow.of(machines_on(classes), updates=len(updates), made_at=made_at)
            return classes, row

        if (found := self.fleet.ask_settled(question)) is None:
            return None
        self._pair(found[0], of)
        return found[1]

    def _pair(self, classes: Classes, of: str = ALL_UPDATES) -> None:
        found = dict(by_collection(self.fleet, classes, of, silent=self.silent))
        if len(self.pairs) + len(found) > PAIRS:
            self.left_out += 1
        else:
            self.pairs |= found
