"""How far each update has come on the machines of each risk class that it has: counted as sets.

The class is of the update and of where a machine stands. An update's time runs from the day on
which any machine was first counted as needing it, wherever that one stands.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date

from patchtide.domain.catalog.risk import Exposure, RiskClass
from patchtide.domain.compliance.reaching import got
from patchtide.server.fleet import Fleet
from patchtide.server.fleet_view import View
from patchtide.server.reaching import Counted, Known, Reached
from patchtide.server.standing_places import (
    PLAIN,
    STANDS,
    Parts,
    count_of,
    parts_of,
    slice_of,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Slice:
    """Some machines that an update is of one class on."""

    exposures: Sequence[Exposure]
    required: int
    has: int
    base: int
    counted: Counted
    """How their days are counted."""
    is_known: bool
    """Some of them needed it, now or before."""


def by_class(fleet: Fleet, view: View, told: Known, some: Sequence[Reached]) -> list[Reached]:
    """Return each update once for each of its classes on some machine that needed it."""
    parts = parts_of(fleet, view)
    if not parts:
        return list(some)
    return [one for whole in some for one in _split(view, told, whole, parts)]


def _split(view: View, told: Known, whole: Reached, parts: Parts) -> Iterator[Reached]:
    groups: dict[RiskClass, list[_Slice]] = {}
    slices = {stand: _slice(told, whole, stand, parts) for stand in parts}
    for stand, one in slices.items():
        risk = view.risk_of(whole.update, next(iter(STANDS[stand])))
        groups.setdefault(risk, []).append(one)
    if groups.keys() == {whole.risk} or not any(one.is_known for one in slices.values()):
        yield whole
        return
    groups.setdefault(whole.risk, []).append(_rest(whole, list(slices.values())))
    for risk, own in groups.items():
        if any(one.is_known for one in own):
            yield _together(whole, risk, own)


def _slice(told: Known, whole: Reached, stand: str, parts: Parts) -> _Slice:
    place = told.places.get(slice_of(whole.update.id, stand))
    before = None if place is None else told.progress.at(place)
    if before is None and not whole.required:
        count, has = None, 0
    else:
        count = count_of(parts[stand], whole.update)
        has = count.installed - count.restart
    required = count.required if count else 0
    # Whoever stands so and has it got it: the history begins with nobody, too.
    base = before.base if before else 0
    since = before.since if before else None
    return _Slice(
        exposures=tuple(STANDS[stand]),
        required=required,
        has=has,
        base=base,
        counted=Counted(places={place: 1} if place is not None else {}, base=base, since=since),
        is_known=before is not None or required > 0,
    )


def _rest(whole: Reached, others: Sequence[_Slice]) -> _Slice:
    """Return the ordinary machines: all without those that stand otherwise."""
    places = dict(whole.counted.places)
    for one in others:
        places |= dict.fromkeys(one.counted.places, -1)
    base = max(0, whole.reaching.base - sum(one.base for one in others))
    required = whole.required - sum(one.required for one in others)
    has = whole.has - sum(one.has for one in others)
    known = [one for one in others if one.is_known]
    return _Slice(
        exposures=PLAIN,
        required=max(0, required),
        has=max(0, has),
        base=base,
        counted=Counted(places=places, base=base, since=_latest(known, whole)),
        is_known=required > 0 or has > base,
    )


def _together(whole: Reached, risk: RiskClass, own: Sequence[_Slice]) -> Reached:
    """Return what these slices come to: of one class is one target."""
    places: dict[int, int] = {}
    for one in own:
        for place, sign in one.counted.places.items():
            places[place] = places.get(place, 0) + sign
    counted = {place: sign for place, sign in places.items() if sign}
    base = sum(one.base for one in own)
    since = _latest([one for one in own if one.is_known], whole)
    return replace(
        whole,
        risk=risk,
        required=sum(one.required for one in own),
        has=sum(one.has for one in own),
        got=sum(got(one.has, base=one.base) for one in own),
        counted=Counted(places=counted, base=base, since=since),
        exposures=tuple(x for one in own for x in one.exposures),
    )


def _latest(some: Sequence[_Slice], whole: Reached) -> date | None:
    """Return the day from which all of them were counted; None: not before today."""
    latest = whole.reaching.since
    for one in some:
        if one.counted.since is None:
            return None
        latest = max(latest, one.counted.since)
    return latest
