"""Views that are made of the one that follows, to be asked: as counts have it, or some of it.

What is counted by leaf and by machine they have in common with that one, so each is good until that
one changes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Self
from uuid import UUID

from pyroaring import BitMap, FrozenBitMap

from patchtide.server.kept_tallies import KeptTallies
from patchtide.server.machine_standings import Standings, Watch
from patchtide.server.settling_view import SettlingView
from patchtide.server.unsettled import Unsettled


@dataclass(slots=True)
class AskedView(SettlingView):
    """A view of which others are made."""

    def as_counted(self) -> Self:
        """Return how things stood at the moment that counts speak of, which `as_of` names.

        Nobody who asks in a stream waits for counts to follow, nor is told of two moments at once:
        of machines as they are, and of their updates as they were.
        """
        rest = self._unsettled
        if rest.is_nothing:
            return self
        self.standings()  # who is silent for too long by now, and who moved, is judged
        earlier = {n: self._as_counted(one) for n, one in rest.earlier.items()}
        stale, tallies, standings = set(rest.stale), dict(self._by_member), self._standings.copied()
        for number in earlier:
            tallies.pop(number, None)
        standings.changed(earlier)
        made = replace(
            self,
            version=next(self._versions),
            members={**self.members, **earlier},
            counted_at=self.as_of,
            uncounted=FrozenBitMap(earlier),
            _by_member=tallies,
            _by_update=self._by_update.without(stale),
            _counted={key: one for key, one in self._counted.items() if key not in stale},
            _believed=self._believing(earlier.values()),
            _silences=Watch(),
            _standings=standings,
            _unsettled=Unsettled(),
        )
        made._check_ground()
        return made

    def _check_ground(self) -> None:
        """Count anew if somebody's report is too old by now that counts still speak of."""
        ground = self._ground
        if ground is not None and ground.asked != self.active & self._believed:
            self._by_named, self._by_restarting = {}, {}
            self._by_update, self._counted = KeptTallies(), {}
            self._ground = self._restarting_ground = self._overtaken = None

    def narrowed(
        self,
        machines: BitMap,
        collections: Collection[UUID] | None,
        *,
        lists: Collection[str] | None = None,
    ) -> Self:
        """Return the view with these machines and collections only; it is asked, not followed.

        `lists`: with what is on these alone. None of the collections or lists: with all there are.
        What is counted by leaf and by machine it has in common with this one, so it is good until
        this one changes. In a stream it stands as counts do: what was reported since is not in it.
        """
        known, version = self.standings(), next(self._versions)
        earlier = {
            n: self._as_counted(m) for n, m in self._unsettled.earlier.items() if n in machines
        }
        some = {n: earlier.get(n) or self.members[n] for n in machines if n in self.members}
        standings = Standings.of({n: known[n] for n in some if n not in earlier})
        standings.changed(earlier)
        tallies = self._by_member
        if earlier:
            tallies = {n: tally for n, tally in tallies.items() if n in some and n not in earlier}
        made = replace(
            self,
            version=version,
            decided=version,
            members=some,
            numbers={member.client.uuid: number for number, member in some.items()},
            active=self.active & machines,
            present=self.present & machines,
            restarting=self.restarting & machines,
            collections={
                key: one
                for key, one in self.collections.items()
                if collections is None or key in collections
            },
            _by_named={},
            _by_update=KeptTallies(),
            _counted={},
            _by_restarting={},
            _ground=None,
            _restarting_ground=None,
            _overtaken=None,
            counted_at=self.as_of if self._unsettled.machines else None,
            uncounted=FrozenBitMap(earlier),
            _by_member=tallies,
            _believed=self._believing(earlier.values()) & machines,
            _silences=Watch(),
            _standings=standings,
            _unsettled=Unsettled(),
        )
        if lists is not None:
            made.standings()  # how machines stand follows from all updates
            made._overtaken = None
            made.keep_to(lists, told=version)
        return made
