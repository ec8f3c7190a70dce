"""The next page of a list of updates, found by sets: only what is shown is looked at one by one.

A column's key names first what many updates have in common (how many machines need it, how severe
it is), then the title and the id, by which the index has its places. So the order is one of
groups within groups, and a cursor leaves out whole groups but the one that it stands in.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

from pyroaring import BitMap

from patchtide.domain.catalog.details import Severity
from patchtide.domain.catalog.query_tests import Value, said
from patchtide.domain.catalog.risk import CLASSES, RiskClass
from patchtide.server.known_updates import SEVERITY_RANKS, Counted
from patchtide.server.listing import Column, Page, cursor_at, place_in
from patchtide.server.update_index import UpdateGround

Groups = Mapping[Any, BitMap]
"""What stands in a key -> the updates that have it there."""


def ordered_page(
    ground: UpdateGround,
    wanted: BitMap,
    counted: Callable[[int], Counted],
    *,
    columns: Mapping[str, Column[Counted]],
    sort: str,
    after: str,
    limit: int,
) -> Page[Counted]:
    """Return what `paged` would of all that are wanted.

    Raises:
        InvalidDocument: there is no such column, or `after` is no cursor of this order.
    """
    cursor, falls = place_in(columns, sort, after), sort.startswith("-")
    levels = [_GROUPS[field](ground) for field in _LEVELS[sort.removeprefix("-")]]
    place = _flat(ground, cursor, falls=falls) if cursor is not None else None
    found = list(islice(_after(wanted, levels, place, falls=falls), limit + 1))
    items = [counted(number) for number in found[:limit]]
    if len(found) <= limit:
        return Page(items, None)
    key = columns[sort.removeprefix("-")].key
    return Page(items, cursor_at(sort, key(items[-1])))


def _after(
    found: BitMap, levels: Sequence[Groups], place: Sequence[Any] | None, *, falls: bool
) -> Iterator[int]:
    """Yield them in order, those alone that stand behind the place."""
    if not levels:
        if place is not None:
            first, behind = (0, place[0]) if falls else (place[0], _END)
            found = found & BitMap(range(first, min(behind, (found.max() if found else 0) + 1)))
        yield from reversed(found) if falls else found
        return
    groups, deeper = levels[0], levels[1:]
    for key in sorted(groups, reverse=falls):
        if place is not None and (key > place[0] if falls else key < place[0]):
            continue
        alike = groups[key] & found
        if alike:
            within = place[1:] if place is not None and key == place[0] else None
            yield from _after(alike, deeper, within, falls=falls)


_END = 2**32


def _flat(ground: UpdateGround, key: Sequence[Any], *, falls: bool) -> list[Any]:
    """Return a cursor's key level by level, its title and id as the place that comes next."""
    flat = [*key[:-1], *key[-1]] if isinstance(key[-1], tuple) else [*key]
    bisect = bisect_left if falls else bisect_right
    at = bisect(ground.updates, tuple(flat[-2:]), key=lambda update: update.order[1:])
    return [*flat[:-2], at]


def _falling(ground: UpdateGround, field: str) -> Groups:
    return {-int(said(value or 0)): rows for value, rows in ground.values(field).items()}


def _by_severity(ground: UpdateGround) -> Groups:
    values: Mapping[Value, BitMap] = ground.values("severity")
    return {SEVERITY_RANKS[Severity(str(value))]: rows for value, rows in values.items()}


def _by_risk(ground: UpdateGround) -> Groups:
    values: Mapping[Value, BitMap] = ground.values("risk")
    return {-CLASSES.index(RiskClass(str(value))): rows for value, rows in values.items()}


def _by_release(ground: UpdateGround) -> Groups:
    """Those of which nobody says when they were released count as of the year 1970."""
    known = _falling(ground, "age")
    without = ground.rows - BitMap.union(BitMap(), *known.values())
    return {**known, 0: without | known.get(0, BitMap())}


_GROUPS: Mapping[str, Callable[[UpdateGround], Groups]] = {
    "required": lambda ground: _falling(ground, "required"),
    "unknown": lambda ground: _falling(ground, "unknown"),
    "released": _by_release,
    "risk": _by_risk,
    "severity": _by_severity,
}
_LEVELS: Mapping[str, Sequence[str]] = {
    "title": (),
    "severity": ("severity",),
    "required": ("required", "severity"),
    "unknown": ("unknown", "severity"),
    "released": ("released", "severity"),
    "risk": ("risk", "severity"),
}
