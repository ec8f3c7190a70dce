"""Which updates have which value of a field, kept for as long as nothing changed it.

What a machine reports changes counts of a few updates; what is told of them changes seldom, and
is looked through once. One index is for one thread at a time, as the view that it is asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.catalog.query_tests import Fits, Value
from patchtide.domain.catalog.risk import Rating
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.compliance.states import Tally
from patchtide.server.fleet_view import View
from patchtide.server.kept_tallies import Listing
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.ports.update_lists import StoredList

Values = Mapping[Value, BitMap]
_STATES = ("required", "installed", "not_required", "unknown")
_DAY_S = 86_400
_COUNTS = ("required", "installed", "unknown")


class UpdateIndex:
    """All updates, offered or expired, each under its place in the order of titles."""

    def __init__(self) -> None:
        self.updates: Sequence[KnownUpdate] = ()
        self._places: dict[UUID, int] = {}
        self._rows = BitMap()
        self._told = -1
        self._values: dict[str, Values] = {}
        self._lists: dict[str, tuple[StoredList, BitMap]] = {}
        self._counts = _Counts()

    def ground(self, view: View) -> UpdateGround:
        """Return the updates as they are in the view."""
        if view.told != self._told:
            known = chain(view.updates.values(), view.catalog.expired.values())
            self.updates = sorted(known, key=lambda update: update.order[1:])
            self._places = {update.id: n for n, update in enumerate(self.updates)}
            self._rows = BitMap(range(len(self.updates)))
            self._told = view.told
            self._values.clear()
            self._lists.clear()
            self._counts = _Counts()
        return UpdateGround(self, view)

    def values(self, view: View, field: str) -> Values:
        """Return which updates have which value; of `age`, when they were released."""
        if field == "list":
            return {name: self.on(one) for name, one in view.lists.items()}
        if field in _TOLD:
            if field not in self._values:
                read = _TOLD[field]
                self._values[field] = _grouped(read(view, update) for update in self.updates)
            return self._values[field]
        return self._counts.values(view, self.updates, self._places)[field]

    def on(self, one: StoredList) -> BitMap:
        """Return where what is on the list stands."""
        known = self._lists.get(one.name)
        if known is None or known[0] is not one:
            places = self._places
            at = BitMap([places[update] for update in one.updates if update in places])
            known = self._lists[one.name] = one, at
        return known[1]

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

    @property
    def updates(self) -> Sequence[KnownUpdate]:
        """All of them, by their places."""
        return self._index.updates

    def on(self, name: str) -> BitMap:
        """Return what is on the list of that name."""
        one = self._view.lists.get(name)
        return BitMap() if one is None else self._index.on(one)

    def values(self, field: str) -> Values:
        return self._index.values(self._view, field)

    def where(self, place: str, fits: Fits, /) -> BitMap:
        values = self.values(place)
        if place == "age":
            now = self._view.now.timestamp()
            return _union(
                rows
                for at, rows in values.items()
                if isinstance(at, int) and fits(int(now - at) // _DAY_S)
            )
        return _union(rows for value, rows in values.items() if fits(value))

    def mentioning(self, text: str, /) -> BitMap:
        return BitMap([n for n, update in enumerate(self._index.updates) if text in update.text])

    def those(self, found: Iterable[int]) -> list[KnownUpdate]:
        updates = self._index.updates
        return [updates[number] for number in found]


def _union(some: Iterable[BitMap]) -> BitMap:
    return BitMap.union(BitMap(), *some)


def _grouped(told: Iterable[Iterable[Value]]) -> dict[Value, BitMap]:
    found: dict[Value, list[int]] = {}
    for number, values in enumerate(told):
        for value in values:
            found.setdefault(value, []).append(number)
    return {value: BitMap(numbers) for value, numbers in found.items()}


class _Counts:
    """The fields that reports of machines change, for updates in a fixed order."""

    def __init__(self) -> None:
        self._version = -1
        self._tallies: Sequence[Tally] = ()
        self._values: dict[str, dict[Value, BitMap]] = {}

    def values(
        self, view: View, updates: Sequence[KnownUpdate], places: Mapping[UUID, int]
    ) -> Mapping[str, Values]:
        if view.version == self._version:
            return self._values
        known = self._tallies
        tallies, moved = view.listed_tallies(Listing(updates, places, known))
        # A report moves some hundreds of thirty thousand.
        if not known or moved is None or len(moved) > len(known) // 4:
            self._values = _counted(tallies)
        else:
            self._move(moved, known, tallies)
        self._version, self._tallies = view.version, tallies
        return self._values

    def _move(self, moved: Sequence[int], known: Sequence[Tally], now: Sequence[Tally]) -> None:
        for name in _COUNTS:
            values = self._values[name]
            for n in moved:
                was, is_ = getattr(known[n], name), getattr(now[n], name)
                if was != is_:
                    values[was].discard(n)
                    values.setdefault(is_, BitMap()).add(n)
            for empty in [value for value, rows in values.items() if not rows]:
                del values[empty]
        for name in _STATES:
            rows = self._values["state"][name.replace("_", "-")]
            for n in moved:
                (rows.add if getattr(now[n], name) else rows.discard)(n)


def _counted(tallies: Sequence[Tally]) -> dict[str, dict[Value, BitMap]]:
    found = {name: _grouped((getattr(tally, name),) for tally in tallies) for name in _COUNTS}
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
    "cves": lambda _, u: (len(u.details.cves),) if u.details and u.details.cves else (),
    "superseded": lambda view, u: (view.is_superseded(u),),
    "expired": lambda _, u: (u.is_expired,),
    "feed": lambda _, u: (u.details.feed,) if u.details else (),
    "vendor": lambda _, u: (u.details.vendor,) if u.details else (),
}
