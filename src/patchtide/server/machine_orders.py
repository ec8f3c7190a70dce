"""The orders in which lists show machines, and the pages that are cut out of them.

What people look at is a page: of a hundred thousand machines it should cost no more than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from heapq import nlargest, nsmallest
from itertools import islice

from pyroaring import BitMap

from patchtide.server.kept_order import KeptOrder, Key, those
from patchtide.server.listing import KEY_TEXT, Column
from patchtide.server.machine_standings import Standing

Named = tuple[str, str]
FEW = 32
"""Less than such a part of all machines are put in order by themselves."""
KEPT = 4
"""Orders are kept, those that were asked for last: one of a million machines is 200 MB."""


def seconds(at: datetime | None) -> float:
    return at.timestamp() if at else 0.0


def _criticality(one: Standing) -> tuple[int, ...]:
    rank = one.member.client.described.rank
    return (1,) if rank is None else tuple(-score for score in rank)


DESCRIBED: Mapping[str, Column[Standing]] = {
    "name": Column(lambda j: j.member.named, Named),
    "platform": Column(
        lambda j: (j.member.client.platform[:KEY_TEXT], j.member.named), tuple[str, Named]
    ),
    # Who has no scores is the last, where the most critical are the first.
    "criticality": Column(
        lambda j: (_criticality(j), j.member.named), tuple[tuple[int, ...], Named]
    ),
    "enrolled": Column(
        lambda j: (-seconds(j.member.client.enrolled_at), j.member.named), tuple[float, Named]
    ),
}
"""These change by what people decide; the others by what machines report."""
COLUMNS: Mapping[str, Column[Standing]] = {
    **DESCRIBED,
    "required": Column(lambda j: (-j.tally.required, j.member.named), tuple[int, Named]),
    "unknown": Column(lambda j: (-j.tally.unknown, j.member.named), tuple[int, Named]),
    "reported": Column(
        lambda j: (-seconds(j.member.reported_at), j.member.named), tuple[float, Named]
    ),
}


@dataclass(frozen=True, slots=True)
class Moved:
    """A machine that stands otherwise; before, it may not have been there."""

    before: Standing | None
    now: Standing

    @property
    def is_described_otherwise(self) -> bool:
        return self.before is None or self.before.member.client is not self.now.member.client


class MachineOrders:
    """Kept from one question to the next. Whoever asks has followed who moved."""

    def __init__(self) -> None:
        self._standings: Mapping[int, Standing] = {}
        self._kept: dict[str, KeptOrder] = {}

    def follow(self, standings: Mapping[int, Standing], moves: Sequence[Moved]) -> None:
        self._standings = standings
        described = [one for one in moves if one.is_described_otherwise]
        for name, order in self._kept.items():
            key = COLUMNS[name].key
            going, coming = list[tuple[Key, int]](), list[tuple[Key, int]]()
            for one in described if name in DESCRIBED else moves:
                number, now = one.now.member.number, key(one.now)
                was = None if one.before is None else key(one.before)
                if was != now:
                    coming.append((now, number))
                    if was is not None:
                        going.append((was, number))
            if coming:
                order.move(going=going, coming=coming)

    def forget(self) -> None:
        self._kept.clear()

    def behind(
        self, name: str, place: Key | None, *, among: BitMap, falls: bool, limit: int
    ) -> list[int]:
        """Return the first of these that follow the place; without one, from the beginning."""
        if len(among) * FEW < len(self._standings):
            key, standings = COLUMNS[name].key, self._standings
            keyed: Iterable[tuple[Key, int]] = ((key(standings[n]), n) for n in among)
            if place is not None:
                keyed = (one for one in keyed if (one[0] < place if falls else one[0] > place))
            return [n for _, n in (nlargest if falls else nsmallest)(limit, keyed)]
        order = self._order(name)
        rest = order.all(falls=falls) if place is None else order.behind(place, falls=falls)
        return list(islice(those(rest, among), limit))

    def at(self, name: str, start: int, *, among: BitMap, falls: bool, limit: int) -> list[int]:
        """Return so many of these in order, from that one on."""
        if len(among) * FEW < len(self._standings):
            key, standings = COLUMNS[name].key, self._standings
            ordered = sorted(among, key=lambda n: key(standings[n]), reverse=falls)
            return ordered[start : start + limit]
        order = self._order(name)
        if len(among) == len(order):
            return order.at(start, limit, falls=falls)
        return list(islice(those(order.all(falls=falls), among), start, start + limit))

    def all(self, name: str, *, among: BitMap) -> Iterator[int]:
        """Yield all of these in order."""
        return iter(self.at(name, 0, among=among, falls=False, limit=len(among)))

    def _order(self, name: str) -> KeptOrder:
        order = self._kept.pop(name, None)
        if order is None:
            key = COLUMNS[name].key
            order = KeptOrder((key(standing), n) for n, standing in self._standings.items())
            for oldest in list(self._kept)[: max(0, len(self._kept) - KEPT + 1)]:
                del self._kept[oldest]
        # The one that was asked for last is the last one.
        self._kept[name] = order
        return order
