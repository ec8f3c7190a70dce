"""Which machines need some update that answers to a query: `requires(severity = critical)`.

What a query over updates finds changes with the catalog and with time, and whom it concerns with
every report. So the updates that it finds are kept until something is told of them anew, and of a
machine that moves only what it named itself is looked at. Ages count as of the full hour.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from pyroaring import BitMap

from patchtide.domain.applicability.evaluation import LeafState
from patchtide.domain.catalog.queries import select
from patchtide.domain.catalog.query_parser import parse_query
from patchtide.domain.catalog.query_tests import Fits
from patchtide.domain.catalog.rule_mistakes import InvalidQuery
from patchtide.domain.compliance.machine_query import REQUIRES
from patchtide.server.fleet_view import View
from patchtide.server.known_updates import KnownUpdate
from patchtide.server.machine_standings import Standing
from patchtide.server.member import Member
from patchtide.server.update_index import UpdateGround, UpdateIndex
from patchtide.server.update_search import fields_of

_HOUR_S, _DAY_S = 3_600, 86_400
_REQUIRES = f"{REQUIRES}("


@dataclass(frozen=True, slots=True)
class Wanted:
    """The offered updates that a query finds, and their leaves."""

    updates: Collection[KnownUpdate]
    leaves: BitMap


@dataclass(frozen=True, slots=True)
class _Places:
    """What is meant at all the places that are asked about."""

    asked: tuple[str, ...]
    leaves: Mapping[str, BitMap]
    together: BitMap


def is_needing(place: str) -> bool:
    """Say whether it is asked there what machines need."""
    return place == REQUIRES or place.startswith(_REQUIRES)


class NeededUpdates:
    """For one thread at a time, as the view that it is asked with."""

    def __init__(self, updates: UpdateIndex) -> None:
        self._index = updates
        self._moment: tuple[object, ...] = ()
        self._ages: Mapping[int, BitMap] | None = None
        self._wanted: dict[str, Wanted | InvalidQuery] = {}
        self._places: _Places | None = None
        self._followed: tuple[object, ...] = ()
        self._published: object = None
        self._meant: dict[str, Wanted] = {}
        """What was meant where, when somebody followed."""

    def machines(self, view: View, place: str) -> BitMap:
        """Return the active machines that need some of what is asked for.

        Raises:
            InvalidQuery: it asks for a list that is not there.
        """
        wanted = self._asked(view, place)
        found = view.needing(wanted.updates)
        # Who moved is taken up once: what a stream says goes for all that is kept from now on.
        lately = view.unsettled
        needing = (n for n in lately if _needed(view, view.members[n], wanted.leaves))
        return found - lately | BitMap(needing)

    def otherwise(self, view: View, places: Collection[str]) -> list[str]:
        """Return those of the places at which other updates are meant than when this was asked.

        Raises:
            InvalidQuery: at one of them nothing is meant any more.
        """
        self._look(view)
        if self._followed is self._moment:
            return []
        # Of what is published anew it is another matter who needs it.
        before = self._meant if self._published is view.catalog else {}
        now = {place: self._asked(view, place) for place in places if is_needing(place)}
        self._followed, self._published, self._meant = self._moment, view.catalog, now
        return [place for place, wanted in now.items() if wanted != before.get(place)]

    def among(
        self, view: View, standings: Collection[Standing], places: Collection[str]
    ) -> Mapping[str, BitMap]:
        """Return which of these machines need something at each of the places, where one does.

        Raises:
            InvalidQuery: at one of them nothing is meant.
        """
        meant = self._all_of(view, tuple(places))
        found: dict[str, list[int]] = {}
        for one in standings:
            if needed := _needed(view, one.member, meant.together):
                for place, leaves in meant.leaves.items():
                    if needed.intersect(leaves):
                        found.setdefault(place, []).append(one.member.number)
        return {place: BitMap(numbers) for place, numbers in found.items()}

    def _all_of(self, view: View, places: tuple[str, ...]) -> _Places:
        self._look(view)
        if self._places is None or self._places.asked != places:
            leaves = {place: self._asked(view, place).leaves for place in places}
            self._places = _Places(places, leaves, BitMap().union(*leaves.values()))
        return self._places

    def _asked(self, view: View, place: str) -> Wanted:
        self._look(view)
        if place not in self._wanted:
            try:
                self._wanted[place] = self._found(view, place)
            except InvalidQuery as error:
                self._wanted[place] = error
        found = self._wanted[place]
        if isinstance(found, InvalidQuery):
            raise found
        return found

    def _look(self, view: View) -> None:
        """Forget what was found if something else is told of updates by now."""
        moment = view.told, view.lists, int(view.now.timestamp()) // _HOUR_S
        known = self._moment
        if known and known[0] == moment[0] and known[1] is moment[1] and known[2] == moment[2]:
            return
        self._moment = moment
        self._wanted, self._ages, self._places = {}, None, None

    def _found(self, view: View, place: str) -> Wanted:
        fields, ground = fields_of(view), self._index.ground(view)
        text = place.partition("(")[2].removesuffix(")")
        rows = select(parse_query(text, fields), fields=fields, ground=_Hourly(self, view, ground))
        updates = [one for one in ground.those(rows) if not one.is_expired]
        leaves = BitMap([leaf.number for one in updates for leaf in one.leaves])
        return Wanted(tuple(updates), leaves)

    def ages(self, view: View, ground: UpdateGround) -> Mapping[int, BitMap]:
        """Return which updates are how many days old, as of the full hour."""
        if self._ages is None:
            now = int(view.now.timestamp()) // _HOUR_S * _HOUR_S
            found: dict[int, BitMap] = {}
            for at, rows in ground.values("age").items():
                if isinstance(at, int):
                    days = (now - at) // _DAY_S
                    found[days] = found[days] | rows if days in found else rows
            self._ages = found
        return self._ages


def _needed(view: View, member: Member, asked: BitMap) -> BitMap:
    """Return the leaves, of those that are asked about, of updates that one machine needs."""
    named = member.states.required & asked
    if not named:
        return named
    stands = view.states_on(member)
    updates = ((leaf, view.of_leaf(leaf)) for leaf in named)
    return BitMap([n for n, one in updates if one and stands(one) is LeafState.REQUIRED])


@dataclass(frozen=True, slots=True)
class _Hourly:
    """All updates, as queries ask them."""

    needed: NeededUpdates
    view: View
    ground: UpdateGround

    @property
    def rows(self) -> BitMap:
        return self.ground.rows

    def where(self, place: str, fits: Fits, /) -> BitMap:
        if place != "age":
            return self.ground.where(place, fits)
        ages = self.needed.ages(self.view, self.ground)
        return BitMap().union(*(rows for days, rows in ages.items() if fits(days)))

    def mentioning(self, text: str, /) -> BitMap:
        return self.ground.mentioning(text)
