"""Queries over machines whose answers are kept while the fleet moves, as collections ask them.

Whoever asks first takes up who moved since; where that were many, all is evaluated anew when it is
asked for. It belongs to an index of machines, and is for one thread at a time, as that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Condition, Mentions, fits_of
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_tests import Fits, Value
from patchtide.domain.collections.facts import Facts
from patchtide.domain.collections.kept_queries import Finder, KeptQueries
from patchtide.domain.compliance.machine_query import CLOCKED, MACHINE_FIELDS
from patchtide.server.fact_index import FactIndex
from patchtide.server.fleet_view import View
from patchtide.server.machine_orders import Moved
from patchtide.server.machine_standings import Standing

FEW = 500
"""More machines than that are not asked one by one."""
TICK = timedelta(minutes=1)
"""How often is asked again what changes by time alone."""
Reader = Callable[[Standing], Sequence[Value]]


class KeptMachines:
    def __init__(
        self,
        facts: FactIndex,
        readers: Mapping[str, Reader],
        text: Callable[[Standing], str],
    ) -> None:
        self._facts = facts
        self._readers = readers
        self._text = text
        self._queries = KeptQueries(CLOCKED)
        self._moved: dict[int, Moved] = {}
        self._present = BitMap()
        self._followed = 0
        self._ticked_at: datetime | None = None
        self._settled: object = None
        """As of which moment of which view nobody is left who moved."""

    @property
    def size_bytes(self) -> int:
        return self._queries.size_bytes

    def known(self, view: View, text: str) -> BitMap | None:
        """Return the answer if it was asked for before at this very moment of the view."""
        if self._settled != _moment(view, self._facts) or text not in self._queries:
            return None
        return self._queries.members(text)

    def forget(self) -> None:
        self._queries.clear()
        self._moved.clear()

    def take(self, moved: Iterable[Moved]) -> None:
        """Remember who moved until somebody asks."""
        if not len(self._queries):
            return
        for one in moved:
            number = one.now.member.number
            known = self._moved.get(number)
            self._moved[number] = Moved(known.before if known else one.before, one.now)
        if len(self._moved) > FEW:
            self.forget()

    def answering(self, view: View, text: str, *, find: Callable[[Condition], BitMap]) -> BitMap:
        """Return who of all machines that are not retired answers: the same set while it is so.

        Raises:
            InvalidQuery
            Unavailable: it asks what machines told, and that was not read yet.
        """
        self._settle(view, find)
        if text not in self._queries:
            query = parse_query(text, MACHINE_FIELDS)
            self._queries.put(text, query, fields=MACHINE_FIELDS, rows=view.present, find=find)
        return self._queries.members(text)

    def _settle(self, view: View, find: Finder) -> None:
        moment = _moment(view, self._facts)
        if moment == self._settled:
            return
        self._settled = moment
        told = self._facts.moves.since(self._followed)
        self._followed = self._facts.moves.end
        came = self._present ^ view.present
        if told is None or len(told) > FEW or len(came) > FEW:
            self.forget()
        elif self._moved or told or came:
            self._move(told, came, view.present)
        if came:
            self._present = view.present.copy()
        # Of one that came nobody asked yet how long it has been here.
        if came or self._ticked_at is None or abs(view.now - self._ticked_at) >= TICK:
            self._queries.tick(rows=view.present, find=find)
            self._ticked_at = view.now

    def _move(self, told: Sequence[tuple[int, Facts]], came: BitMap, present: BitMap) -> None:
        queries = self._queries
        queries.begin()
        turned: dict[int, set[str]] = {}
        for number, moved in self._moved.items():
            text = None
            if queries.mentions and moved.is_described_otherwise:
                text = self._text(moved.now)
            turned[number] = queries.move(number, self._values(moved), text=text)
        for number, facts in told:
            turned.setdefault(number, set()).update(queries.move(number, facts))
        self._moved.clear()
        for number, keys in turned.items():
            if number not in came:
                queries.decide(number, keys, is_row=number in present)
        for number in came:
            queries.decide_all(number, is_row=number in present)

    def _values(self, moved: Moved) -> Facts:
        """Return the values that are others now, in the places that some query asks about."""
        found: dict[str, tuple[Value, ...]] = {}
        for place in self._queries.places:
            read = self._readers.get(place)
            if read is not None:
                now = tuple(read(moved.now))
                if moved.before is None or now != tuple(read(moved.before)):
                    found[place] = now
        return found


def _moment(view: View, facts: FactIndex) -> tuple[int, int, datetime, int]:
    return id(view), view.version, view.now, facts.moves.end


def finder(where: Callable[[str, Fits], BitMap], mentioning: Callable[[str], BitMap]) -> Finder:
    """Return what says of which of all machines a condition holds, `!=` as if it was `=`."""

    def find(one: Condition) -> BitMap:
        if isinstance(one, Mentions):
            return mentioning(one.text.casefold())
        return where(one.place, fits_of(one, MACHINE_FIELDS[one.field]))

    return find
