"""What this node tells agents of their settings: kept in memory, for every check-in asks.

Which machines go by the settings of a collection is worked out by sets when somebody decided or
machines moved, and not when one of them checks in.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.schedules.scanning import (
    MISSED,
    POLL_EVERY_S,
    SCAN_EVERY_S,
    Habit,
    ScanRule,
    silent_after,
)
from patchtide.server.collection_index import CollectionIndex
from patchtide.server.fleet import Fleet
from patchtide.server.followed_view import FollowedView
from patchtide.server.kept_agent_settings import (
    AGENTS,
    OF_COLLECTIONS,
    TAKE_OVER,
    KeptAgents,
    laid_over,
    read_agents,
    read_order,
    scan_rule_of,
    told_of,
)
from patchtide.server.ports.reading import Lookups
from patchtide.wire.agent_settings import sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """Of some machines."""

    poll_s: int
    scans: ScanRule
    settings: bytes
    marks: frozenset[bytes]
    """Who names one of these need not be sent the settings."""
    collection: UUID | None = None
    """By whose settings; None: the site's."""
    missed: int = MISSED
    takes_over: bool = False
    """Others that install updates there are held back."""

    @property
    def silent_after(self) -> timedelta:
        return silent_after(self.poll_s, missed=self.missed)

    def newer_than(self, mark: bytes | None) -> bytes:
        """Return the settings unless the machine has them, or takes none."""
        return b"" if mark is None or mark in self.marks else self.settings


class ToldAgents:
    """Call `step` every second or so: another node may have decided, and machines move."""

    def __init__(self, *, poll_s: int = POLL_EVERY_S) -> None:
        self._poll_s = poll_s
        self._known: tuple[bytes | None, bytes | None] = None, None
        self._order: Sequence[Told] = ()
        self._placed: _Placed | None = None
        self._told = self._told_by(KeptAgents())

    def usual(self) -> Told:
        """Return what nearly every machine is told."""
        return self._told

    def settings_of(self, machine: bytes) -> Told:
        """Return what this one is told."""
        if self._placed is not None:
            return self._placed.told.get(machine, self._told)
        return self._told if not self._order else self._nothing_yet()

    @property
    def silent_after(self) -> timedelta:
        """Return after how long without a word a machine is silent."""
        return self._told.silent_after

    def put(self, data: bytes | None, of_collections: bytes | None = None) -> None:
        """Tell what is kept so from now on; collections once it is known who is in them."""
        site = read_agents(data)
        self._told = self._told_by(site)
        self._order = [
            self._told_by(laid_over(site, one.said), one.collection)
            for one in read_order(of_collections)
        ]
        self._known = data, of_collections

    def load(self, lookups: Lookups) -> None:
        kept = lookups.setting(AGENTS), lookups.setting(OF_COLLECTIONS)
        if kept != self._known:
            self.put(*kept)

    def follow(self, fleet: Fleet) -> None:
        """Find out who is in the collections; it takes part in a question to the fleet."""
        if self._order or self._placed is not None:
            fleet.ask(lambda view: self._follow(view, fleet.collections))

    async def step(self, lookups: Lookups, fleet: Fleet) -> None:
        await asyncio.to_thread(self.load, lookups)
        await fleet.run(lambda: self.follow(fleet))

    def _follow(self, view: FollowedView, collections: CollectionIndex) -> None:
        if collections.tier_zero(view) is None:
            return  # until it is known whom collections that are not of tier 0 reach
        was, order = self._placed, self._order
        places = list(_places(view, collections, order))
        if was is None or was.order is not order or was.usual is not self._told:
            moved, is_anew = BitMap(view.members), True
        else:
            changed = (a ^ b for a, b in zip(places, was.places, strict=True))
            moved, is_anew = BitMap().union(*changed) & BitMap(view.members), False
        if not is_anew and not moved and was is not None:
            if view.habits is not was.habits:  # it is another view by now
                view.put_habits(was.habits, moved=BitMap(was.habits))
            return
        told = {n: t for t, some in zip(order, places, strict=True) for n in some & moved}
        of = {} if was is None or is_anew else dict(was.told)
        for number in moved:
            uuid = view.members[number].client.uuid
            if number in told:
                of[uuid] = told[number]
            else:
                of.pop(uuid, None)
        habits = self._habits(told, moved, was, now=view.now)
        view.put_habits(habits, moved=moved | (BitMap(view.habits) ^ BitMap(habits)))
        self._placed = _Placed(order=order, usual=self._told, places=places, told=of, habits=habits)

    def _habits(
        self, told: Mapping[int, Told], moved: BitMap, was: _Placed | None, *, now: datetime
    ) -> Mapping[int, Habit]:
        """Those that moved have not done yet what they are to do from now on."""
        if was is None:
            usual = {id(t): Habit(t.silent_after, t.scans) for t in told.values()}
            return {n: usual[id(t)] for n, t in told.items()}

        @cache
        def taken_up(told: Told, before: ScanRule) -> Habit:
            return Habit(told.silent_after, told.scans.taken_up(before, now))

        habits = dict(was.habits)
        for number in moved:
            known = habits.pop(number, None)
            before = known.scans if known else was.usual.scans
            habit = taken_up(told.get(number, self._told), before)
            if number in told or habit.scans.before(now) != habit.scans.every_s:
                habits[number] = habit
        return habits

    def _told_by(self, kept: KeptAgents, collection: UUID | None = None) -> Told:
        settings, marks = sealed(told_of(kept))
        poll_s = min(kept.poll_s or self._poll_s, kept.scan_every_s or SCAN_EVERY_S)
        return Told(
            poll_s=poll_s,
            scans=scan_rule_of(kept),
            settings=settings,
            marks=marks,
            collection=collection,
            missed=kept.missed or MISSED,
            takes_over=kept.updaters == TAKE_OVER,
        )

    def _nothing_yet(self) -> Told:
        """Until it is known who is in which collection, nobody is told of other settings."""
        usual = self._told
        return Told(poll_s=usual.poll_s, scans=usual.scans, settings=b"", marks=frozenset())


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """Who goes by which settings, as it was worked out last."""

    order: Sequence[Told]
    usual: Told
    places: Sequence[BitMap]
    """The machines of each in the order."""
    told: Mapping[bytes, Told]
    habits: Mapping[int, Habit]


def _places(
    view: FollowedView, collections: CollectionIndex, order: Sequence[Told]
) -> Iterator[BitMap]:
    """Yield the machines of each, and every machine once."""
    left = view.present.copy()
    for told in order:
        if told.collection is None:
            raise LookupError("the site's own settings are in no order")
        some = collections.targets_of(view, told.collection) & left
        left -= some
        yield some
