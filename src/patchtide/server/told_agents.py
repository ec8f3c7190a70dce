"""What this node tells agents of their settings: kept in memory, for every check-in asks.

Which machines go by the settings of a collection is worked out by sets when somebody decided or
machines moved, and not when one of them checks in.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from pyroaring import BitMap

from patchtide.domain.schedules.postponing import AS_SITES_BEGIN, PostponeLimit
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
    postpone_limit_of,
    read_agents,
    read_order,
    scan_rule_of,
    told_of,
)
from patchtide.server.ports.reading import Lookups
from patchtide.wire.agent_settings import sealed

TRIES = 3
SLICE = 250
"""So many machines are judged anew before whoever asked meanwhile has his turn."""


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
    postponing: PostponeLimit = AS_SITES_BEGIN

    @property
    def silent_after(self) -> timedelta:
        return silent_after(self.poll_s, missed=self.missed)

    def is_had_by(self, mark: bytes | None) -> bool:
        """Say whether whoever names this mark has the settings."""
        return mark is not None and mark in self.marks

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
        self._habits: Mapping[int, Habit] | None = None
        """Those of the view that was told of them last."""
        self._told_last = 0
        self._following = threading.Lock()
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
        """Find out who is in the collections, and judge machines by it: some at a time."""
        if not self._order and self._placed is None:
            return
        with self._following:
            # Another view may take the place of the one that was told; it is told, then.
            any(self._follow(fleet) for _ in range(TRIES))

    def _follow(self, fleet: Fleet) -> bool:
        work = fleet.ask(lambda view: self._work(view, fleet.collections))
        if work is None:
            return True
        is_other = self._habits is not None and work.told_last != self._told_last
        moved = work.moved | _differing(work.known, work.habits) if is_other else work.moved
        told = {} if self._placed is None else dict(self._placed.told)
        last = work.told_last
        for some in _slices(moved):
            last = fleet.ask(partial(work.take_up, some=some, told=told, last=last))
            if last < 0:
                return False
            fleet.ask(fleet.collections.ground)  # which follows a few more easily than all
        self._habits, self._told_last = work.habits, last
        self._placed = _Placed(order=work.order, usual=work.usual, places=work.places, told=told)
        return True

    async def step(self, lookups: Lookups, fleet: Fleet) -> None:
        await asyncio.to_thread(self.load, lookups)
        await fleet.run(lambda: self.follow(fleet))

    def _work(self, view: FollowedView, collections: CollectionIndex) -> _Work | None:
        if collections.tier_zero(view) is None:
            return None  # until it is known whom collections that are not of tier 0 reach
        was, order, usual = self._placed, self._order, self._told
        places = list(_places(view, collections, order))
        if was is None:
            moved = BitMap(view.habits).union(*places)
        elif was.order is not order or was.usual is not usual:
            moved = BitMap(view.habits).union(*places, *was.places)
        else:
            moved = BitMap().union(*(a ^ b for a, b in zip(places, was.places, strict=True)))
        return _Work(
            order=order,
            usual=usual,
            before=was.usual.scans if was else None,
            places=places,
            moved=moved,
            habits=view.habits,
            told_last=view.told_last,
            known=view.habits if self._habits is None else self._habits,
        )

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
            postponing=postpone_limit_of(kept),
        )

    def _nothing_yet(self) -> Told:
        """Until it is known who is in which collection, nobody is told of other settings."""
        usual = self._told
        return Told(
            poll_s=usual.poll_s,
            scans=usual.scans,
            settings=b"",
            marks=frozenset(),
            postponing=usual.postponing,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Placed:
    """Who goes by which settings, as it was worked out last."""

    order: Sequence[Told]
    usual: Told
    places: Sequence[BitMap]
    """The machines of each in the order."""
    told: Mapping[bytes, Told]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Who is to go by which settings from now on."""

    order: Sequence[Told]
    usual: Told
    before: ScanRule | None
    """How machines scanned of which nothing is known; None: nobody knows."""
    places: Sequence[BitMap]
    moved: BitMap
    """All others go by what they went by."""
    habits: Mapping[int, Habit]
    """The view's."""
    told_last: int
    """Another view was not told last of what this one was."""
    known: Mapping[int, Habit]
    """What machines went by until now."""

    def take_up(self, view: FollowedView, some: BitMap, told: dict[bytes, Told], last: int) -> int:
        """Let some of them go by what they are told; return when. -1: it is another view by now."""
        if view.told_last != last:
            return -1
        by = {n: t for t, those in zip(self.order, self.places, strict=True) for n in those & some}
        otherwise = dict[int, Habit | None]()
        for number in some:
            if (member := view.members.get(number)) is None:
                continue
            uuid = member.client.uuid
            habit = self._habit(number, by.get(number), view.now)
            if number in by:
                told[uuid] = by[number]
            else:
                told.pop(uuid, None)
            if habit != view.habits.get(number):
                otherwise[number] = habit
        if otherwise:
            view.put_habits(otherwise)
            view.standings()  # whoever asks next need not wait for that either
        return view.told_last

    def _habit(self, number: int, told: Told | None, now: datetime) -> Habit | None:
        """A machine that moved has not done yet what it is to do from now on."""
        wanted, known = told or self.usual, self.known.get(number)
        before = known.scans if known else self.before
        scans = wanted.scans if before is None else wanted.scans.taken_up(before, now)
        is_usual = told is None and scans.before(now) == scans.every_s
        return None if is_usual else Habit(wanted.silent_after, scans)


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


def _differing(one: Mapping[int, Habit], other: Mapping[int, Habit]) -> BitMap:
    return BitMap([n for n in {*one, *other} if one.get(n) != other.get(n)])


def _slices(machines: BitMap) -> Iterator[BitMap]:
    for start in range(0, len(machines), SLICE):
        yield machines[start : start + SLICE]
