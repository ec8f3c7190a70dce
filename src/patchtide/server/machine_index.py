"""Which machines have which value of a field, and in which order they stand, kept as they move.

A report changes one machine of a hundred thousand: whoever asks next, it is that one which is
looked at. One index is for one thread at a time, as the view that it is asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Fits, Value, select
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS
from patchtide.server.fleet_view import View
from patchtide.server.machine_orders import MachineOrders, Moved
from patchtide.server.machine_standings import Moves, Standing
from patchtide.server.member import Member

Values = Mapping[Value, BitMap]
MANY = 4
"""Of more than such a part of all machines, values are looked through anew."""


class MachineIndex:
    def __init__(self) -> None:
        self._moves: Moves | None = None
        self._followed = 0
        self._known: dict[int, Standing] = {}
        self._texts: dict[int, str] | None = None
        self._values: dict[str, dict[Value, BitMap]] = {}
        self._orders = MachineOrders()

    def ground(self, view: View) -> MachineGround:
        """Return the machines as they are in the view."""
        self._follow(view)
        return MachineGround(self, view)

    def orders(self, view: View) -> MachineOrders:
        self._follow(view)
        return self._orders

    def values(self, view: View, field: str) -> Values:
        """Return which of all machines, let in or not, have which value."""
        if field == "restart":
            return {True: view.restarting}
        self._follow(view)
        if field not in self._values:
            read = _READERS[field]
            self._values[field] = _grouped((n, read(s)) for n, s in self._known.items())
        return self._values[field]

    def mentioning(self, view: View, *texts: str) -> BitMap:
        """Return the machines, let in or not, that have all texts in what is told of them."""
        self._follow(view)
        if self._texts is None:
            self._texts = {n: _text(s.member) for n, s in self._known.items()}
        first, *others = texts
        found = [(n, said) for n, said in self._texts.items() if first in said]
        return BitMap([n for n, said in found if all(text in said for text in others)])

    def _follow(self, view: View) -> None:
        standings, moves = view.standings(), view.moves
        if moves is self._moves and moves.end == self._followed:
            return
        known = self._known
        some = moves.since(self._followed) if moves is self._moves else None
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
        self._moves, self._followed = moves, moves.end

    def _forget(self) -> None:
        """Begin anew: some are not there any more, as after a restore."""
        self._known, self._texts = {}, None
        self._values.clear()
        self._orders.forget()

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
    """The machines of a view that are let in, as queries ask them."""

    def __init__(self, index: MachineIndex, view: View) -> None:
        self._index = index
        self._view = view

    @property
    def rows(self) -> BitMap:
        return self._view.active

    def values(self, field: str) -> Values:
        """Return which of all machines, let in or not, have which value."""
        return self._index.values(self._view, field)

    def where(self, field: str, fits: Fits, /) -> BitMap:
        found = [machines for value, machines in self.values(field).items() if fits(value)]
        return BitMap().union(*found) & self.rows

    def mentioning(self, text: str, /) -> BitMap:
        return self._index.mentioning(self._view, text) & self.rows

    def ordered(self, machines: BitMap) -> list[int]:
        """Return these in the order of their names."""
        return list(self._index.orders(self._view).all("name", among=machines))


def answering(index: MachineIndex, view: View, query: str) -> BitMap:
    """Return the machines, of those that are let in, that answer to the query.

    Raises:
        InvalidQuery
    """
    parsed = parse_query(query, MACHINE_FIELDS)
    return select(parsed, fields=MACHINE_FIELDS, ground=index.ground(view))


_Reader = Callable[[Standing], Sequence[Value]]


def _grouped(told: Iterable[tuple[int, Sequence[Value]]]) -> dict[Value, BitMap]:
    found: dict[Value, list[int]] = {}
    for number, values in told:
        for value in values:
            found.setdefault(value, []).append(number)
    return {value: BitMap(numbers) for value, numbers in found.items()}


def _move(values: dict[Value, BitMap], moved: Iterable[Moved], read: _Reader) -> None:
    for one in moved:
        was = () if one.before is None else read(one.before)
        now = read(one.now)
        if was == now:
            continue
        number = one.now.member.number
        for value in was:
            values[value].discard(number)
            if not values[value]:
                del values[value]
        for value in now:
            values.setdefault(value, BitMap()).add(number)


def _text(member: Member) -> str:
    client, said = member.client, member.client.described
    texts = (
        client.name, client.group, client.platform, said.owner, said.location, client.site,
        str(member.id),
    )  # fmt: skip
    return "\n".join(texts).casefold()


_DESCRIBED: Mapping[str, _Reader] = {
    "name": lambda s: (s.member.client.name,),
    "state": lambda s: (s.member.client.state.value,),
    "platform": lambda s: (s.member.client.platform,),
    "group": lambda s: (s.member.client.group,),
    "owner": lambda s: (s.member.client.described.owner,),
    "exposure": lambda s: (s.member.client.described.exposure.value,),
    "location": lambda s: (s.member.client.described.location,),
    "site": lambda s: (s.member.client.site,),
    "role": lambda s: tuple(set(s.member.client.described.roles)),
}
"""These change by what people decide; the others by what machines report, or do not."""
_READERS: Mapping[str, _Reader] = {
    **_DESCRIBED,
    "standing": lambda s: (s.judgement.compliance.value,),
    "doubt": lambda s: (s.judgement.doubt.value,),
    "reported": lambda s: (s.member.reported_at is not None,),
}
