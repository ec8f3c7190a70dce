"""A parent's side of a site below it: what it tells is taken within what it may author, or not.

A site speaks for the machines in the blocks that were granted to it, in numbers of the common
lineage that exist, and never twice. Whoever owns it can lie about its own machines, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from pyroaring import BitMap

from patchtide.domain.compliance.sites import Containers, Place, changed
from patchtide.domain.errors import CursorLost, Refused
from patchtide.wire.sets import encode_set
from patchtide.wire.site_states import (
    BLOCK,
    ContainerV1,
    Kind,
    SiteStatesV1,
    machines_of,
    pack_states,
    read_states,
)


class SiteOverstepped(Refused):
    """A site speaks of what is not its own to speak of."""

    code = "site-overstepped"


class SiteWentBack(Refused):
    """A site repeats what it has told before."""

    code = "site-went-back"


_KINDS: Mapping[str, Kind] = {
    kind: kind for kind in ("required", "installed", "unknown", "evaluated", "member", "believed")
}
_OF_LEAVES = ("required", "installed", "unknown")


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What of the catalog a site below may speak of."""

    lineage: bytes
    numbers: Collection[int]
    serials: Mapping[str, int]


@dataclass(slots=True, kw_only=True)
class ChildSite:
    """One site below, by its key, and what it told last."""

    site: str
    blocks: frozenset[int]
    verify: Callable[[bytes, bytes], bool]
    epoch: str = ""
    sequence: int = 0
    past_epochs: set[str] = field(default_factory=set)
    containers: dict[Place, BitMap] = field(default_factory=dict)

    def take(self, data: bytes, known: Known) -> None:
        """Take what it tells, all of it or nothing.

        Raises:
            SiteNotSigned, InvalidDocument: it is not of this site, or cannot be read.
            SiteWentBack: it was told before.
            CursorLost: something between it and what was told last is missing: ask for all.
            SiteOverstepped: it speaks for other machines, or of what no catalog here has.
        """
        told = read_states(data, self.verify)
        self._require_next(told)
        found = {_place(one): self._machines(one, told, known) for one in told.containers}
        is_whole = told.sequence == 1
        kept = {} if is_whole else dict(self.containers)
        kept.update(found)
        self.containers = {place: machines for place, machines in kept.items() if machines}
        if told.epoch != self.epoch:
            self.past_epochs.add(self.epoch)
        self.epoch, self.sequence = told.epoch, told.sequence

    def _require_next(self, told: SiteStatesV1) -> None:
        if told.site != self.site:
            raise SiteOverstepped(f"{self.site} speaks as {told.site}")
        if told.epoch in self.past_epochs:
            raise SiteWentBack(f"{self.site}: of an epoch that has ended")
        last = self.sequence if told.epoch == self.epoch else 0
        if told.sequence <= last:
            raise SiteWentBack(f"{self.site}: {told.sequence} was told before, {last} is the last")
        if told.sequence != last + 1:
            raise CursorLost(f"{self.site}: {told.sequence} does not follow {last}")

    def _machines(self, one: ContainerV1, told: SiteStatesV1, known: Known) -> BitMap:
        if one.block not in self.blocks:
            raise SiteOverstepped(f"{self.site}: machines from {one.block} are another site's")
        if told.lineage != known.lineage:
            raise SiteOverstepped(f"{self.site}: its numbers are of another lineage")
        if one.kind in _OF_LEAVES and one.number not in known.numbers:
            raise SiteOverstepped(f"{self.site}: no update has the number {one.number}")
        if one.kind == "evaluated" and one.number > known.serials.get(one.shard, -1):
            raise SiteOverstepped(
                f"{self.site}: serial {one.number} of {one.shard} was not published"
            )
        return BitMap(machines_of(one))


@dataclass(slots=True, kw_only=True)
class Telling:
    """The site's own side: tells its parent what changed since it did so last."""

    site: str
    epoch: str
    sign: Callable[[bytes], bytes]
    sequence: int = 0
    told: Containers = field(default_factory=dict)

    def next(self, containers: Containers, *, lineage: bytes) -> bytes:
        """Return the file for the parent; empty containers are told once."""
        self.sequence += 1
        news = changed(self.told, containers)
        self.told = dict(containers)
        return pack_states(
            SiteStatesV1(
                site=self.site,
                lineage=lineage,
                epoch=self.epoch,
                sequence=self.sequence,
                containers=tuple(_container(x, news[x]) for x in sorted(news)),
            ),
            self.sign,
        )


def _place(one: ContainerV1) -> Place:
    return Place(one.kind, one.shard, one.number, one.block)


def _container(place: Place, machines: BitMap) -> ContainerV1:
    places = encode_set(machine % BLOCK for machine in machines)
    return ContainerV1(_KINDS[place.kind], place.shard, place.number, place.block, places)
