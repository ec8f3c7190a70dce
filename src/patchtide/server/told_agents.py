"""What this node tells agents of their settings: kept in memory, for every check-in asks.

Which machines go by the settings of a collection is worked out by sets when somebody decided or
machines moved, and not when one of them checks in.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from msgspec import structs
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
from patchtide.server.told_freezes import MOST, Freezes, KeptFreezes, kept_freezes, together
from patchtide.wire.agent_settings import NOTHING_SAID, AgentSettingsV1, FreezeV1, sealed

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
    said: AgentSettingsV1 = NOTHING_SAID
    """The settings in words."""

    def frozen(self, freezes: Iterable[FreezeV1]) -> Told:
        """Return the same with these freezes, too."""
        told = (*self.said.freezes, *together(freezes))[:MOST]
        said = structs.replace(self.said, freezes=told)
        settings, marks = sealed(said)
        return replace(self, settings=settings, marks=marks, said=said)

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
        self._known: _Kept = None, None, KeptFreezes()
        self._freezes: Sequence[tuple[UUID, Freezes]] = ()
        """Of collections."""
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
        return self._nothing_yet() if self._order or self._freezes else self._told

    @property
    def silent_after(self) -> timedelta:
        """Return after how long without a word a machine is silent."""
        return self._told.silent_after

    def put(
        self,
        data: bytes | None,
        of_collections: bytes | None = None,
        freezes: KeptFreezes | None = None,
    ) -> None:
        """Tell what is kept so from now on; collections once it is known who is in them."""
        site, freezes = read_agents(data), freezes or KeptFreezes()
        self._told = self._told_by(site).frozen(freezes.of_all)
        self._order = [
            self._told_by(laid_over(site, one.said), one.collection).frozen(freezes.of_all)
            for one in read_order(of_collections)
        ]
        self._freezes = list(freezes.of.items())
        self._known = data, of_collections, freezes

    def load(self, lookups: Lookups, now: datetime) -> None:
        freezes = kept_freezes(lookups.calendar.freezes(), now)
        kept = lookups.setting(AGENTS), lookups.setting(OF_COLLECTIONS), freezes
        if kept != self._known:
            self.put(*kept)

    def follow(self, fleet: Fleet) -> None:
        """Find out who is in the collections, and judge machines by it: some at a time."""
        if not (self._order or self._freezes) and self._placed is None:
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
        self._placed = _Placed(
            order=work.order,
            usual=work.usual,
            places=work.places,
            freezes=work.freezes,
            frozen=work.frozen,
            told=told,
        )
        return True

    async def step(self, lookups: Lookups, fleet: Fleet) -> None:
        await asyncio.to_thread(self.load, lookups, fleet.now())
        await fleet.run(lambda: self.follow(fleet))

    def _work(self, view: FollowedView, collections: CollectionIndex) -> _Work | None:
        if collections.tier_zero(view) is None:
            return None  # until it is known whom collections that are not of tier 0 reach
        was, order, usual, freezes = self._placed, self._order, self._told, self._freezes
        unknown = collections.ground(view).unknown
        if was is None and any(one in unknown for one, _ in freezes):
            return None
        places = list(_places(view, collections, order))
        frozen = [
            view.present.copy() if one in unknown else collections.bound_by(view, one)
            for one, _ in freezes
        ]
        if was is None:
            moved = BitMap(view.habits).union(*places, *frozen)
        elif was.order is not order or was.usual is not usual or was.freezes is not freezes:
            moved = BitMap(view.habits).union(*places, *frozen, *was.places, *was.frozen)
        else:
            pairs = [*zip(places, was.places, strict=True), *zip(frozen, was.frozen, strict=True)]
            moved = BitMap().union(*(a ^ b for a, b in pairs))
        return _Work(
            order=order,
            usual=usual,
            before=was.usual.scans if was else None,
            places=places,
            freezes=freezes,
            frozen=frozen,
            moved=moved,
            habits=view.habits,
            told_last=view.told_last,
            known=view.habits if self._habits is None else self._habits,
        )

    def _told_by(self, kept: KeptAgents, collection: UUID | None = None) -> Told:
        said = told_of(kept)
        settings, marks = sealed(said)
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
            said=said,
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
    freezes: Sequence[tuple[UUID, Freezes]]
    frozen: Sequence[BitMap]
    """The machines of each of these."""
    told: Mapping[bytes, Told]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Work:
    """Who is to go by which settings from now on."""

    order: Sequence[Told]
    usual: Told
    before: ScanRule | None
    """How machines scanned of which nothing is known; None: nobody knows."""
    places: Sequence[BitMap]
    freezes: Sequence[tuple[UUID, Freezes]]
    frozen: Sequence[BitMap]
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
        with_freezes = self._with_freezes(by, some)
        otherwise = dict[int, Habit | None]()
        for number in some:
            if (member := view.members.get(number)) is None:
                continue
            uuid = member.client.uuid
            habit = self._habit(number, by.get(number), view.now)
            if number in with_freezes:
                told[uuid] = with_freezes[number]
            else:
                told.pop(uuid, None)
            if habit != view.habits.get(number):
                otherwise[number] = habit
        if otherwise:
            view.put_habits(otherwise)
            view.standings()  # whoever asks next need not wait for that either
        return view.told_last

    def _with_freezes(self, by: Mapping[int, Told], some: BitMap) -> Mapping[int, Told]:
        """Return what is told to those of them to whom anything but the usual is."""
        keys: dict[int, tuple[int, ...]] = {}
        for place, machines in enumerate(self.frozen):
            for number in machines & some:
                keys[number] = (*keys.get(number, ()), place)
        made: dict[tuple[int, tuple[int, ...]], Told] = {}
        found = dict(by)
        for number, places in keys.items():
            base = by.get(number, self.usual)
            key = id(base), places
            if key not in made:
                made[key] = base.frozen(one for p in places for one in self.freezes[p][1])
            found[number] = made[key]
        return found

    def _habit(self, number: int, told: Told | None, now: datetime) -> Habit | None:
        """A machine that moved has not done yet what it is to do from now on."""
        wanted, known = told or self.usual, self.known.get(number)
        before = known.scans if known else self.before
        scans = wanted.scans if before is None else wanted.scans.taken_up(before, now)
        is_usual = told is None and scans.before(now) == scans.every_s
        return None if is_usual else Habit(wanted.silent_after, scans)


_Kept = tuple[bytes | None, bytes | None, KeptFreezes]


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
