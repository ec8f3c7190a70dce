"""Queries over machines whose answers are kept while the fleet moves, as collections ask them.

Whoever asks first takes up who moved since; where that were many, all is evaluated anew when it is
asked for. It belongs to an index of machines, and is for one thread at a time, as that is.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence

from pyroaring import BitMap

from patchtide.domain.catalog.queries import Condition, Mentions, fits_of
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_tests import Fits, Value
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.collections.kept_queries import Finder, KeptQueries
from patchtide.domain.compliance.machine_query import MACHINE_FIELDS
from patchtide.server.fact_index import FactIndex, FactMoves
from patchtide.server.fleet_view import View
from patchtide.server.machine_ages import MachineAges
from patchtide.server.machine_orders import Moved
from patchtide.server.machine_standings import Standing
from patchtide.server.needed_updates import NeededUpdates, is_needing

log = logging.getLogger(__name__)

FEW, PART = 500, 8
"""More machines than that, and more than such a part of all, are not asked by themselves."""
_NEEDS: Sequence[Value] = (True,)
_NOBODY = BitMap()
Reader = Callable[[Standing], Sequence[Value]]
Told = dict[str, dict[int, Sequence[Value]]]


class KeptMachines:
    def __init__(
        self,
        facts: FactIndex,
        ages: Mapping[str, MachineAges],
        needed: NeededUpdates,
        readers: Mapping[str, Reader],
        text: Callable[[Standing], str],
    ) -> None:
        self._facts = facts
        self._ages = ages
        self._needed = needed
        self._readers = readers
        self._text = text
        self._queries = KeptQueries()
        self._moved: dict[int, Moved] = {}
        self._present = BitMap()
        self._followed: dict[FactMoves, int] = {}
        self._turned: dict[str, BitMap] | None = {}

    @property
    def size_bytes(self) -> int:
        return self._queries.size_bytes

    def forget(self) -> None:
        self._queries.clear()
        self._moved.clear()
        self._turned = None

    def take(self, moved: Iterable[Moved]) -> None:
        """Remember who moved until somebody asks."""
        if not len(self._queries):
            return
        for one in moved:
            number = one.now.member.number
            known = self._moved.get(number)
            self._moved[number] = Moved(known.before if known else one.before, one.now)

    def answering(self, view: View, text: str, *, find: Finder) -> BitMap:
        """Return who of all machines that are not retired answers: the same set while it is so.

        Raises:
            InvalidQuery
            Unavailable: it asks what machines told, and that was not read yet.
        """
        self._settle(view)
        if text not in self._queries:
            query = parse_query(text, MACHINE_FIELDS)
            self._queries.put(text, query, fields=MACHINE_FIELDS, rows=view.present, find=find)
            # What was found was found as of now.
            self._followed = {log: log.end for log in self._logs()}
        return self._queries.members(text)

    def turned(self, view: View) -> Mapping[str, BitMap] | None:
        """Return which queries are answered otherwise than when this was asked last, by whom.

        None: whatever was kept was dropped meanwhile.
        """
        self._settle(view)
        turned, self._turned = self._turned, {}
        return turned

    def check(self, view: View, text: str, *, find: Finder) -> None:
        """Ask a query that is kept from nothing: `turned` tells what was kept wrong of it.

        Raises:
            InvalidQuery
            Unavailable: it asks what machines told, and that was not read yet.
        """
        self._settle(view)
        if text not in self._queries:
            return
        wrong = self._queries.check(text, rows=view.present, find=find)
        for query, machines in wrong.items():
            log.warning("a kept answer was wrong", extra={"query": query, "count": len(machines)})
            self._note(query, machines)

    def _note(self, query: str, machines: BitMap) -> None:
        if self._turned is not None:
            known = self._turned.get(query)
            self._turned[query] = machines if known is None else known | machines

    def known(self, text: str) -> BitMap | None:
        """Return who answered when `turned` was asked last; None: it is not kept."""
        return self._queries.members(text) if text in self._queries else None

    def drop(self, text: str) -> None:
        if text in self._queries:
            self._queries.drop(text)

    def _settle(self, view: View) -> None:
        told = self._told(view) if len(self._queries) else {}
        came = self._present ^ view.present
        few = max(FEW, len(view.present) // PART)
        if told is None or max(len(self._moved), len(came)) > few:
            self.forget()
        elif self._moved or told or came:
            self._move(view, told, came)
        if came:
            self._present = view.present.copy()
        self._followed = {log: log.end for log in self._logs()}

    def _told(self, view: View) -> Told | None:
        """Return what is another fact, age, or need of what is published, since this was asked."""
        for place, ages in self._ages.items():
            if place in self._queries.places:
                ages.column(view)
        found: Told = {}
        try:
            for place in self._needed.otherwise(view, self._queries.places):
                now = self._needed.machines(view, place)
                others = self._queries.holding(place) ^ now
                found[place] = {n: _NEEDS if n in now else () for n in others}
        except InvalidQuery:
            return None
        for log in self._logs():
            moves = log.since(self._followed[log]) if log in self._followed else None
            if moves is None:
                return None
            for machine, facts in moves:
                for place, values in facts.items():
                    if place in self._queries.places:
                        found.setdefault(place, {})[machine] = values
        return found

    def _logs(self) -> Iterable[FactMoves]:
        """Return what tells who moved in places that some query asks about, but for `take`."""
        places = self._queries.places
        return [self._facts.moves, *(a.moves for place, a in self._ages.items() if place in places)]

    def _move(self, view: View, told: Told, came: BitMap) -> None:
        queries, texts = self._queries, dict[int, str]()
        for number, moved in self._moved.items():
            if queries.mentions and moved.is_described_otherwise:
                texts[number] = self._text(moved.now)
            self._compare(number, moved, told)
        self._need(view, told)
        self._moved.clear()
        turned = queries.move(told, texts, rows=view.present, came=came)
        for text, machines in turned.items():
            self._note(text, machines)

    def _need(self, view: View, told: Told) -> None:
        """Add what those who moved need now and did not, or the contrary."""
        places = [place for place in self._queries.places if is_needing(place)]
        moved = [one.now for one in self._moved.values() if places and _may_need_otherwise(one)]
        if not moved:
            return
        those = BitMap([one.member.number for one in moved])
        now = self._needed.among(view, moved, places)
        for place in places:
            needing, held = now.get(place, _NOBODY), self._queries.holding(place)
            if not needing and held.isdisjoint(those):
                continue
            if others := (held & those) ^ needing:
                said = told.setdefault(place, {})
                said.update((n, _NEEDS if n in needing else ()) for n in others)

    def _compare(self, number: int, moved: Moved, told: Told) -> None:
        """Add the values that are others now, in the places that some query asks about."""
        places = self._queries.places
        for place, read in self._readers.items():
            if place in places:
                now = read(moved.now)
                if moved.before is None or now != read(moved.before):
                    told.setdefault(place, {})[number] = now


def _may_need_otherwise(moved: Moved) -> bool:
    was, now = moved.before, moved.now
    return (
        was is None
        or was.member.states is not now.member.states
        or was.judgement.doubt is not now.judgement.doubt
    )


def finder(where: Callable[[str, Fits], BitMap], mentioning: Callable[[str], BitMap]) -> Finder:
    """Return what says of which of all machines a condition holds, `!=` as if it was `=`."""

    def find(one: Condition) -> BitMap:
        if isinstance(one, Mentions):
            return mentioning(one.text.casefold())
        return where(one.place, fits_of(one, MACHINE_FIELDS[one.field]))

    return find
