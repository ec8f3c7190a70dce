"""Which machines have which value of a field, kept for as long as nothing changed it.

One index is for one thread at a time, as the view that it is asked with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Fits, Value, select
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS
from patchtide.server.fleet_view import View
from patchtide.server.listing import in_order
from patchtide.server.machine_standings import Standing
from patchtide.server.member import Member

Values = Mapping[Value, BitMap]


class MachineIndex:
    def __init__(self) -> None:
        self._decided = -1
        self._order: Sequence[int] = ()
        self._texts: Sequence[tuple[int, str]] | None = None
        self._values: dict[str, Values] = {}

    def ground(self, view: View) -> MachineGround:
        """Return the machines as they are in the view."""
        self._keep_up_with(view)
        return MachineGround(self, view)

    def all_mentioning(self, view: View, text: str) -> BitMap:
        """Return the machines, let in or not, that have the text in what is told of them."""
        self._keep_up_with(view)
        return self.mentioning(view, text)

    def _keep_up_with(self, view: View) -> None:
        if view.decided != self._decided:
            self._decided = view.decided
            self._order, self._texts = (), None
            self._values.clear()

    def values(self, view: View, field: str) -> Values:
        if field == "restart":
            return {True: view.restarting}
        if field in _STANDING:
            # Not kept: a machine becomes stale by time alone.
            says = _STANDING[field]
            return _grouped((n, says(standing)) for n, standing in view.standings().items())
        if field not in self._values:
            members = view.members.items()
            if field == "role":
                told = ((n, role) for n, m in members for role in m.client.described.roles)
                self._values[field] = _grouped(told)
            else:
                reads = _TOLD[field]
                self._values[field] = _grouped((n, reads(m)) for n, m in members)
        return self._values[field]

    def order(self, view: View) -> Sequence[int]:
        """Return all machines in the order of their names."""
        if not self._order:
            members = view.members
            self._order = sorted(members, key=lambda n: (in_order(members[n].client.name), n))
        return self._order

    def mentioning(self, view: View, text: str) -> BitMap:
        if self._texts is None:
            self._texts = [(n, _text(member)) for n, member in view.members.items()]
        return BitMap([n for n, said in self._texts if text in said])


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
        return [number for number in self._index.order(self._view) if number in machines]


def answering(index: MachineIndex, view: View, query: str) -> BitMap:
    """Return the machines, of those that are let in, that answer to the query.

    Raises:
        InvalidQuery
    """
    parsed = parse_query(query, MACHINE_FIELDS)
    return select(parsed, fields=MACHINE_FIELDS, ground=index.ground(view))


def _grouped(told: Iterable[tuple[int, Value]]) -> Values:
    found: dict[Value, list[int]] = {}
    for number, value in told:
        found.setdefault(value, []).append(number)
    return {value: BitMap(numbers) for value, numbers in found.items()}


def _text(member: Member) -> str:
    client, said = member.client, member.client.described
    texts = (client.name, client.group, client.platform, said.owner, said.location, str(member.id))
    return "\n".join(texts).casefold()


_TOLD: Mapping[str, Callable[[Member], Value]] = {
    "name": lambda m: m.client.name,
    "platform": lambda m: m.client.platform,
    "group": lambda m: m.client.group,
    "owner": lambda m: m.client.described.owner,
    "exposure": lambda m: m.client.described.exposure.value,
    "location": lambda m: m.client.described.location,
    "site": lambda m: m.client.site,
}
_STANDING: Mapping[str, Callable[[Standing], Value]] = {
    "standing": lambda s: s.judgement.compliance.value,
    "doubt": lambda s: s.judgement.doubt.value,
}
