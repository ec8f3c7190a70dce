"""Lists of machines as people look at them: narrowed by choices, in an order, page by page.

Every step is one over sets of machines; only those that are shown are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce
from operator import and_

from pyroaring import BitMap

from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.machine_index import MachineIndex
from patchtide.server.machine_orders import MachineOrders
from patchtide.server.machine_standings import Standing
from patchtide.server.ports.clients import ClientState

Sets = Mapping[str, BitMap]
ACTIVE = ClientState.ACTIVE.value
CHOSEN = frozenset({"standing", "platform", "group", "owner", "state"})
"""Sorts by what is chosen in the filter of that name, and then by names."""
SORTS = CHOSEN | {"name", "required", "reported", "criticality"}
_STATES = ("required", "unknown", "installed", "not-required")


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """What of a list is asked for."""

    search: str = ""
    """Words that are all to be found."""
    query: str = ""
    """Only machines that answer to this one."""
    choices: Mapping[str, str] = field(default_factory=dict)
    """By filter: the only value that is wanted."""
    sort: str = "name"
    descending: bool = False
    page: int = 1
    """Behind the last one there is none: then the last one."""
    size: int = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One page, and what the filters beside it say."""

    rows: Sequence[Standing]
    page: int
    total: int
    of: int
    """How many there are without any search or filter."""
    counts: Mapping[str, Mapping[str, int]]
    """By filter and value: how many another choice would show; under the empty one, none."""


def look(
    fleet: Fleet, view: View, wanted: Wanted, *, among: BitMap, choices: Mapping[str, Sets]
) -> Found:
    """Return a page of these machines; `choices`: by filter, who has which value.

    Raises:
        InvalidQuery
    """
    index = fleet.machines
    words = wanted.search.casefold().split()
    base = among & index.mentioning(view, *words) if words else among
    if wanted.query:
        base = fleet.collections.answering(view, wanted.query, among=base)
    chosen = {
        name: choices[name].get(value, BitMap())
        for name, value in wanted.choices.items()
        if name in choices
    }
    found = reduce(and_, chosen.values(), base)
    page = min(wanted.page, max(1, -(-len(found) // wanted.size)))
    segments = _segments(index, view, found, wanted, choices)
    start = (page - 1) * wanted.size
    numbers = _cut(index.orders(view), segments, start, wanted.size)
    standings = view.standings()
    counts: dict[str, Mapping[str, int]] = {}
    for name, sets in choices.items():
        # What another choice here would show: the choice itself does not narrow it.
        others = (rows for other, rows in chosen.items() if other != name)
        rest = reduce(and_, others, base) if name in chosen else found
        counts[name] = {"": len(rest), **dict(_counts(sets, rest))}
    return Found(
        rows=[standings[number] for number in numbers],
        page=page,
        total=len(found),
        of=len(among),
        counts=counts,
    )


def choices_of(index: MachineIndex, view: View, *names: str) -> Mapping[str, Sets]:
    """Return by filter who has which value, of all machines."""
    special = {"standing": _standings, "doubt": _doubts, "restart": _restarts}
    return {
        name: special[name](index, view) if name in special else _told(index, view, name)
        for name in names
    }


def _told(index: MachineIndex, view: View, name: str) -> Sets:
    return {str(value): machines for value, machines in index.values(view, name).items()}


def _standings(index: MachineIndex, view: View) -> Sets:
    """Return how machines stand; of those that are not let in, that."""
    active = view.active
    states = _told(index, view, "state")
    return {
        **{n: machines & active for n, machines in _told(index, view, "standing").items()},
        **{n: machines for n, machines in states.items() if n != ACTIVE},
    }


def _doubts(index: MachineIndex, view: View) -> Sets:
    told = _told(index, view, "doubt").items()
    return {name: machines & view.active for name, machines in told if name}


def _restarts(index: MachineIndex, view: View) -> Sets:
    return {"yes": view.restarting, "no": BitMap(view.members) - view.restarting}


def _counts(sets: Sets, among: BitMap) -> Iterator[tuple[str, int]]:
    for value, machines in sets.items():
        if value and (count := machines.intersection_cardinality(among)):
            yield value, count


@dataclass(frozen=True, slots=True)
class _Segment:
    """Some of the machines, in an order of their own."""

    machines: BitMap
    order: str
    falls: bool


def _segments(
    index: MachineIndex, view: View, found: BitMap, wanted: Wanted, choices: Mapping[str, Sets]
) -> Iterator[_Segment]:
    """Yield what stands one behind the other; of whom nothing is said are the last."""
    sort, falls, rest = wanted.sort, wanted.descending, found
    if sort in CHOSEN:
        for value in sorted(filter(None, choices[sort]), key=_place, reverse=falls):
            some = choices[sort][value] & rest
            rest = rest - some
            yield _Segment(some, "name", falls)
    elif sort == "name":
        yield _Segment(found, sort, falls)
        return
    else:
        some = _told_of(index, view, sort, choices)
        rest = rest - some
        # These orders begin with the most, and with the newest.
        yield _Segment(found & some, sort, not falls)
    yield _Segment(rest, "name", falls=False)


def _told_of(index: MachineIndex, view: View, sort: str, choices: Mapping[str, Sets]) -> BitMap:
    """Return the machines that an order says something of."""
    if sort == "criticality":
        return BitMap().union(*index.values(view, sort).values())
    if sort == "reported":
        # A page that asks about one update has no choice of how machines stand on all.
        return index.values(view, sort).get(True, BitMap())
    return choices["standing"].get("required", BitMap())


def _place(value: str) -> tuple[int, str, str]:
    """Return where a choice stands: states by how much they matter, others as letters do."""
    rank = _STATES.index(value) if value in _STATES else len(_STATES)
    return rank, value.casefold(), value


def _cut(
    orders: MachineOrders, segments: Iterator[_Segment], start: int, size: int
) -> Sequence[int]:
    found: list[int] = []
    for one in segments:
        count = len(one.machines)
        if start >= count:
            start -= count
            continue
        found += orders.at(
            one.order, start, among=one.machines, falls=one.falls, limit=size - len(found)
        )
        start = 0
        if len(found) == size:
            break
    return found
