"""Which updates have which value of a field, kept for as long as nothing changed it.

What a machine reports changes counts of a few updates; what is told of them changes seldom, and
is looked through once. One index is for one thread at a time, as the view that it is asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Fits, Value
from patchtide.domain.catalog.risk import Rating
from patchtide.domain.catalog.updates import UpdateId
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate

Values = Mapping[Value, BitMap]
_STATES = ("required", "installed", "not_required", "unknown")
_DAY_S = 86_400
_COUNTS = ("required", "installed", "unknown")


class UpdateIndex:
    """All updates, offered or expired, each under its place."""

    def __init__(self) -> None:
        self.updates: Sequence[KnownUpdate] = ()
        self._places: dict[UUID, int] = {}
        self._rows = BitMap()
        self._told = self._version = -1
        self._values: dict[str, Values] = {}
        self._counts: dict[str, Values] = {}

    def ground(self, view: View) -> UpdateGround:
        """Return the updates as they are in the view."""
        if view.told != self._told:
            self.updates = list(chain(view.updates.values(), view.catalog.expired.values()))
            self._places = {update.id: n for n, update in enumerate(self.updates)}
            self._rows = BitMap(range(len(self.updates)))
            self._told = view.told
            self._values.clear()
        if view.version != self._version:
            self._version = view.version
            self._counts.clear()
        return UpdateGround(self, view)

    def values(self, view: View, field: str) -> Values:
        """Return which updates have which value; of `age`, when they were released."""
        if field == "list":
            return {name: self._at(one.updates) for name, one in view.lists.items()}
        if field in _TOLD:
            if field not in self._values:
                read = _TOLD[field]
                self._values[field] = _grouped(read(view, update) for update in self.updates)
            return self._values[field]
        if not self._counts:
            self._counts = _counted(view, self.updates)
        return self._counts[field]

    def _at(self, updates: Iterable[UUID]) -> BitMap:
        places = self._places
        return BitMap([places[update] for update in updates if update in places])

    @property
    def rows(self) -> BitMap:
        return self._rows


class UpdateGround:
    """The updates of a view, as queries ask them."""

    def __init__(self, index: UpdateIndex, view: View) -> None:
        self._index = index
        self._view = view

    @property
    def rows(self) -> BitMap:
        return self._index.rows

    def values(self, field: str) -> Values:
        return self._index.values(self._view, field)

    def where(self, field: str, fits: Fits, /) -> BitMap:
        values = self.values(field)
        if field == "age":
            now = self._view.now.timestamp()
            return _union(x for at, x in values.items() if fits(int(now - int(at or 0)) // _DAY_S))
        return _union(rows for value, rows in values.items() if fits(value))

    def mentioning(self, text: str, /) -> BitMap:
        return BitMap([n for n, update in enumerate(self._index.updates) if text in update.text])

    def those(self, found: Iterable[int]) -> list[KnownUpdate]:
        updates = self._index.updates
        return [updates[number] for number in found]


def _union(some: Iterable[BitMap]) -> BitMap:
    return BitMap.union(BitMap(), *some)


def _grouped(told: Iterable[Iterable[Value]]) -> Values:
    found: dict[Value, list[int]] = {}
    for number, values in enumerate(told):
        for value in values:
            found.setdefault(value, []).append(number)
    return {value: BitMap(numbers) for value, numbers in found.items()}


def _counted(view: View, updates: Sequence[KnownUpdate]) -> dict[str, Values]:
    """Return the values of all fields that what machines report changes."""
    tallies = [view.tally_of(update) for update in updates]
    found: dict[str, Values] = {}
    for name in _COUNTS:
        found[name] = _grouped((getattr(tally, name),) for tally in tallies)
    states: dict[Value, BitMap] = {}
    for name in _STATES:
        some = [n for n, tally in enumerate(tallies) if getattr(tally, name)]
        states[name.replace("_", "-")] = BitMap(some)
    return {**found, "state": states}


def _rating(view: View, update: KnownUpdate) -> Rating:
    return view.judged.rating(UpdateId(update.id))


def _released(update: KnownUpdate) -> tuple[int, ...]:
    at = update.details.released if update.details else None
    return (int(at.timestamp()),) if at else ()


_Reader = Callable[[View, KnownUpdate], Iterable[Value]]
_TOLD: Mapping[str, _Reader] = {
    "title": lambda _, u: (u.title,),
    "product": lambda _, u: u.details.products if u.details else (),
    "classification": lambda _, u: (u.details.classification.value,) if u.details else (),
    "severity": lambda _, u: (u.severity.value,),
    "risk": lambda view, u: (view.risk_of(u).value,),
    "exploited": lambda view, u: (_rating(view, u).exploited,),
    "mitigated": lambda view, u: (_rating(view, u).mitigated,),
    "age": lambda _, u: _released(u),
    "cve": lambda _, u: (u.details.cves or ()) if u.details else (),
    "superseded": lambda view, u: (view.is_superseded(u),),
    "expired": lambda _, u: (u.is_expired,),
    "feed": lambda _, u: (u.details.feed,) if u.details else (),
    "vendor": lambda _, u: (u.details.vendor,) if u.details else (),
}
