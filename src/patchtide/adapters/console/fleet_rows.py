"""All updates as rows of lists, made by the same functions as the interface's answers.

Kept until something changes: a list that is searched and turned about asks for the same rows.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from types import MappingProxyType
from uuid import UUID

from patchtide.server import updates as update_list
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import Counted, KnownUpdate
from patchtide.server.narrowed_fleet import KEPT
from patchtide.server.updates import Update

FRESH = timedelta(seconds=10)
"""A machine falls silent without any change: so long may its row not say so."""
IMPORTANCE: Mapping[str, int] = MappingProxyType(
    {"critical": 4, "important": 3, "moderate": 2, "low": 1, "none": 0}
)


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateRow:
    shown: Update
    known: KnownUpdate
    of: Counted
    """What it was made of: the row is good as long as that is."""

    @property
    def feed(self) -> str:
        return self.known.details.feed if self.known.details else ""

    @property
    def importance(self) -> int:
        """Return a number that rises with the severity."""
        return IMPORTANCE[self.shown.severity]


@dataclass(frozen=True, slots=True, kw_only=True)
class UpdateThere:
    """An update, and how one machine stands on it."""

    update: UpdateRow
    state: str


@dataclass(frozen=True, slots=True)
class _Kept:
    version: int
    at: datetime
    rows: Sequence[UpdateRow]

    def is_good(self, view: View, *, since: int) -> bool:
        return since <= self.version and view.now - self.at < FRESH


class FleetRows:
    """Asked from threads. What is kept is replaced as a whole, so two may ask at once."""

    def __init__(self, fleet: Fleet) -> None:
        self._fleet = fleet
        self._told = 0
        self._updates: _Kept | None = None
        self._by_update: dict[UUID, UpdateRow] = {}

    def tell(self) -> int:
        """Return the version of the fleet that all open pages are told of.

        Until they are told of another one, a page that asks for `shared` rows may get any that
        were made since: of a fleet in which something happens all the time, that is once for all.
        """
        self._told = self._fleet.version()
        return self._told

    def size(self) -> int:
        return self._fleet.ask(lambda view: len(view.members))

    def on_machine(self, machine: UUID, *, shared: bool = False) -> Sequence[UpdateThere]:
        """Raises NotFound."""

        def question(view: View) -> Sequence[UpdateThere]:
            state_on = view.states_on(view.member(machine))
            return [
                UpdateThere(update=row, state=state_on(row.known).value)
                for row in self._updates_of(view, shared=shared)
                if row.shown.status != "expired"
            ]

        return self._fleet.ask(question)

    def _updates_of(self, view: View, *, shared: bool) -> Sequence[UpdateRow]:
        since = self._told if shared else view.version
        if self._updates is None or not self._updates.is_good(view, since=since):
            view.count()
            known = self._by_update
            made: dict[UUID, UpdateRow] = {}
            for update in chain(view.updates.values(), view.catalog.expired.values()):
                counted, row = view.counted(update), known.get(update.id)
                # Of thousands of updates, what a machine reports concerns a few.
                is_good = row is not None and row.of is counted
                made[update.id] = row if row is not None and is_good else row_of(counted)
            self._by_update = made
            self._updates = _Kept(view.version, view.now, list(made.values()))
        return self._updates.rows


class NarrowedRows:
    """The rows of those who may see some machines only, kept for as long as their fleet is."""

    def __init__(self) -> None:
        self._kept: OrderedDict[Fleet, FleetRows] = OrderedDict()

    def of(self, fleet: Fleet) -> FleetRows:
        found = self._kept[fleet] = self._kept.get(fleet) or FleetRows(fleet)
        self._kept.move_to_end(fleet)
        if len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found


def row_of(counted: Counted) -> UpdateRow:
    return UpdateRow(shown=update_list.shown(counted), known=counted.update, of=counted)
