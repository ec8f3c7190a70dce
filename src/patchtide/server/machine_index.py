"""Which machines have which value of a field, and in which order they stand, kept as they move.

A report changes one machine of a hundred thousand: whoever asks next, it is that one which is
looked at. One index is for one thread at a time, as the view that it is asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

from pyroaring import BitMap

from patchtide.domain.catalog.query_tests import Fits, Value
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.collections.facts import Column
from patchtide.domain.collections.kept_queries import Finder
from patchtide.domain.compliance.described import Described
from patchtide.domain.compliance.machine_query import FACTS, UNSAID
from patchtide.domain.errors import Unavailable
from patchtide.server.fact_index import FactIndex
from patchtide.server.fleet_view import View
from patchtide.server.kept_machines import KeptMachines, finder
from patchtide.server.machine_ages import SINCE, MachineAges
from patchtide.server.machine_orders import MachineOrders, Moved
from patchtide.server.machine_standings import Following, Standing
from patchtide.server.member import Member
from patchtide.server.needed_updates import NeededUpdates, is_needing
from patchtide.server.update_index import UpdateIndex

Values = Mapping[Value, BitMap]
MANY = 4
"""Of more than such a part of all machines, values are looked through anew."""


class MachineIndex:
    def __init__(self, facts: FactIndex | None = None, updates: UpdateIndex | None = None) -> None:
        self.facts = facts or FactIndex()
        self._needed = NeededUpdates(updates or UpdateIndex())
        self._moves = Following()
        self._known: dict[int, Standing] = {}
        self._texts: dict[int, str] | None = None
        self._values: dict[str, Column] = {}
        self._orders = MachineOrders()
        self._ages = {place: MachineAges(place) for place in SINCE}
        self._kept = KeptMachines(
            self.facts, self._ages, self._needed, _TOLD, lambda s: _text(s.member)
        )

    def ground(self, view: View, *, rows: BitMap | None = None) -> MachineGround:
        """Return the machines as they are in the view: those let in, or else these."""
        self.follow(view)
        return MachineGround(self, view, view.active if rows is None else rows)

    def kept(self, view: View, query: str) -> BitMap:
        """Return who answers to the query, let in or not, but for who is retired.

        It is the same set for as long as the answer is the same, and not to be changed.

        Raises:
            InvalidQuery
            Unavailable: it asks what machines told, and that was not read yet.
        """
        self.follow(view)
        return self._kept.answering(view, query, find=self._finder(view))

    def check(self, view: View, query: str) -> None:
        """Ask a query that is kept from nothing; `turned` tells what was wrong.

        Raises: as `kept`.
        """
        self.follow(view)
        self._kept.check(view, query, find=self._finder(view))

    def _finder(self, view: View) -> Finder:
        return finder(partial(self._where_it_is_known, view), partial(self.mentioning, view))

    def turned(self, view: View) -> Mapping[str, BitMap] | None:
        """Return which queries are answered otherwise than when this was asked last, by whom.

        None: so much happened that whatever was kept is to be asked for anew.
        """
        self.follow(view)
        return self._kept.turned(view)

    def known(self, query: str) -> BitMap | None:
        """Return who answered when `turned` was asked last; None: it is not kept."""
        return self._kept.known(query)

    def drop(self, query: str) -> None:
        """Keep it no longer."""
        self._kept.drop(query)

    def orders(self, view: View) -> MachineOrders:
        self.follow(view)
        return self._orders

    def values(self, view: View, place: str) -> Values:
        """Return which of all machines, let in or not, have which value.

        Raises:
            Unavailable: machines told it, and that was not read yet.
        """
        if place == "restart":
            return {True: view.restarting}
        return self.column(view, place)

    def column(self, view: View, place: str) -> Column:
        if is_fact(place):
            return self.facts.asked().column(place)
        if place in SINCE:
            return self._ages[place].column(view)
        self.follow(view)
        if place not in self._values:
            read = _READERS[place]
            self._values[place] = grouped((n, read(s)) for n, s in self._known.items())
        return self._values[place]

    def where(self, view: View, place: str, fits: Fits) -> BitMap:
        """Return who, let in or not, has a value that fits.

        Raises:
            InvalidQuery: it asks what machines need, of a list that is not there.
            Unavailable: see `values`.
        """
        if place == "restart":
            return view.restarting
        if is_needing(place):
            return self._needed.machines(view, place)
        return self.column(view, place).where(fits)

    def _where_it_is_known(self, view: View, place: str, fits: Fits) -> BitMap:
        """Raises Unavailable: also where something that it names is gone, and may come back."""
        try:
            return self.where(view, place, fits)
        except InvalidQuery as error:
            raise Unavailable(f"what machines need cannot be asked: {error}") from error

    def mentioning(self, view: View, *texts: str) -> BitMap:
        """Return the machines, let in or not, that have all texts in what is told of them."""
        self.follow(view)
        if self._texts is None:
            self._texts = {n: _text(s.member) for n, s in self._known.items()}
        first, *others = texts
        found = [(n, said) for n, said in self._texts.items() if first in said]
        return BitMap([n for n, said in found if all(text in said for text in others)])

    def follow(self, view: View) -> None:
        """Take up who moved; whoever asks for anything does so first."""
        standings, known = view.standings(), self._known
        some = self._moves.since(view.moves)
        if some is not None and not some:
            return
        numbers: Iterable[int] = standings if some is None else set(some)
        moved = [
            Moved(was, now) for n in numbers if (was := known.get(n)) is not (now := standings[n])
        ]
        if some is None and known.keys() - standings.keys():
            self._forget()
        else:
            self._take_up(moved)
        self._known.update((one.now.member.number, one.now) for one in moved)
        self._orders.follow(standings, moved)
        self._kept.take(moved)

    def _forget(self) -> None:
        """Begin anew: some are not there any more, as after a restore."""
        self._known, self._texts = {}, None
        self._values.clear()
        self._orders.forget()
        self._ages.update((place, MachineAges(place)) for place in SINCE)
        self._kept.forget()

    def _take_up(self, moved: Sequence[Moved]) -> None:
        described = [one for one in moved if one.is_described_otherwise]
        for field in list(self._values):
            some = described if field in _DESCRIBED else moved
            if len(some) * MANY > len(self._known):
                del self._values[field]
            else:
                _move(self._values[field], some, _READERS[field])
        if self._texts is not None:
            self._texts.update((one.now.member.number, _text(one.now.member)) for one in described)


class MachineGround:
    """Some machines of a view, as queries ask them."""

    def __init__(self, index: MachineIndex, view: View, rows: BitMap) -> None:
        self._index = index
        self._view = view
        self._rows = rows

    @property
    def rows(self) -> BitMap:
        return self._rows

    def values(self, place: str) -> Values:
        """Return which of all machines, let in or not, have which value."""
        return self._index.values(self._view, place)

    def where(self, place: str, fits: Fits, /) -> BitMap:
        return self._index.where(self._view, place, fits) & self.rows

    def mentioning(self, text: str, /) -> BitMap:
        return self._index.mentioning(self._view, text) & self.rows

    def ordered(self, machines: BitMap) -> list[int]:
        """Return these in the order of their names."""
        return list(self._index.orders(self._view).all("name", among=machines))


_Reader = Callable[[Standing], Sequence[Value]]


def is_fact(place: str) -> bool:
    """Say whether it is something that machines tell in their lists."""
    return place.partition("(")[0] in FACTS


def grouped(told: Iterable[tuple[int, Sequence[Value]]]) -> Column:
    found: dict[Value, list[int]] = {}
    for number, values in told:
        for value in values:
            found.setdefault(value, []).append(number)
    column = Column()
    for value, numbers in found.items():
        column.put(value, numbers)
    return column


def _move(column: Column, moved: Iterable[Moved], read: _Reader) -> None:
    for one in moved:
        was = () if one.before is None else read(one.before)
        now = read(one.now)
        if was == now:
            continue
        number = one.now.member.number
        for value in was:
            column.discard(value, number)
        for value in now:
            column.put(value, (number,))


def _text(member: Member) -> str:
    client, said = member.client, member.client.described
    texts = (
        client.name, client.group, client.platform, said.owner, said.location, client.site,
        str(member.id),
    )  # fmt: skip
    return "\n".join(texts).casefold()


_NOTHING = ("",)
"""What is asked for with `= ""` where there may be several."""


def _some(value: int | None) -> Sequence[Value]:
    return () if value is None else (value,)


SAID: Mapping[str, Callable[[Described], Sequence[Value]]] = {
    "owner": lambda d: (d.owner,),
    "exposure": lambda d: (d.exposure.value,),
    "location": lambda d: (d.location,),
    "role": lambda d: d.roles or _NOTHING,
    "tag": lambda d: d.tags or _NOTHING,
    "cluster": lambda d: (d.cluster,),
    "management-group": lambda d: (d.management_group,),
    "criticality": lambda d: _some(d.criticality),
    "schedule": lambda d: (str(d.schedule or ""),),
    "restart-code": lambda d: (d.restart.value or UNSAID,),
}
"""What people say of machines."""


def _of_described(read: Callable[[Described], Sequence[Value]]) -> _Reader:
    return lambda s: read(s.member.client.described)


_DESCRIBED: Mapping[str, _Reader] = {
    "name": lambda s: (s.member.client.name,),
    "state": lambda s: (s.member.client.state.value,),
    "platform": lambda s: (s.member.client.platform,),
    "group": lambda s: (s.member.client.group,),
    "in-build": lambda s: (s.member.client.build_until > 0,),
    "site": lambda s: (s.member.client.site,),
    **{place: _of_described(read) for place, read in SAID.items()},
}
"""These change by what people decide; the others by what machines report, or do not."""
_READERS: Mapping[str, _Reader] = {
    **_DESCRIBED,
    "standing": lambda s: (s.judgement.compliance.value,),
    "doubt": lambda s: (s.judgement.doubt.value,),
    "scan": lambda s: (s.member.scan,),
    "fault": lambda s: s.faults,
    "taken-over": lambda s: s.taken_over,
    "required": lambda s: (s.tally.required,),
    "installed": lambda s: (s.tally.installed,),
    "unknown": lambda s: (s.tally.unknown,),
    "reported": lambda s: (s.member.reported_at is not None,),
}
_TOLD: Mapping[str, _Reader] = {**_READERS, "restart": lambda s: (s.restart_pending,)}
