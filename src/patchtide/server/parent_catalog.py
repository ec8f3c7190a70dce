"""A site's side of the one above it: it takes that one's shards with their numbers, not its own.

Numbers belong to a lineage, and a tree of sites has one: what a number means at the top it means
everywhere below, so a bitmap that goes up needs no translation. Serials are each site's own, since
a site below publishes several of its parent's at once; which of the parent's each of them holds is
written down before it is published.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial

import msgspec

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.errors import Refused, StaleRevision, WrongState
from patchtide.server.ports.catalog import CatalogReading
from patchtide.server.ports.clock import Clock
from patchtide.server.ports.decisions import Decisions, Transaction
from patchtide.server.ports.synchronising import Publisher
from patchtide.server.publication import RECORD, read_record
from patchtide.server.shard_files import LINEAGE
from patchtide.wire.catalog_file import ManifestV1, UpdatesV1
from patchtide.wire.leaves import decode_leaf
from patchtide.wire.shard_plan import FEEDS, role_of
from patchtide.wire.shards import WrongShard

TAKEN = "catalog.taken."
OPERATION = "catalog.take-from-parent"
CLIENTS, UPDATES = "client", "update"


class ParentWentBack(Refused):
    """The catalog of the site above is older than what was taken of it before."""

    code = "parent-went-back"


@dataclass(frozen=True, slots=True, kw_only=True)
class Granted:
    """What a site gets from the one above it, once."""

    lineage: bytes
    clients: int
    """Where the block of its machines' numbers begins; and of its own updates'."""
    updates: int


class _Taken(msgspec.Struct, frozen=True, array_like=True):
    own: int
    above: int


def granted(tx: Transaction, site: str) -> Granted:
    """Grant blocks of numbers to a site below this one.

    Raises:
        WrongState: this site has no lineage yet.
    """
    lineage = tx.setting(LINEAGE)
    if lineage is None:
        raise WrongState("this site has no catalog yet")
    made = Granted(
        lineage=lineage,
        clients=tx.grant_block("client", site=site),
        updates=tx.grant_block("update", site=site),
    )
    tx.note(site, clients=made.clients, updates=made.updates)
    return made


def join(tx: Transaction, grant: Granted, *, site: str, shards: Iterable[str]) -> None:
    """Go on in the lineage of the site above, with the numbers that it granted.

    Raises:
        WrongState: this site has numbers of its own already; it keeps its lineage for ever.
    """
    if list(shards):
        raise WrongState("this site has published a catalog with numbers of its own")
    tx.lock_setting(LINEAGE)
    tx.receive_block("client", grant.clients, site=site)
    tx.receive_block("update", grant.updates, site=site)
    tx.put_setting(LINEAGE, grant.lineage)
    tx.note(site, joined=True)


class ParentCatalog:
    """Takes what the site above has published of its feeds' shards, as a verified file tells."""

    def __init__(
        self,
        *,
        decisions: Decisions,
        reading: CatalogReading,
        publisher: Publisher,
        clock: Clock,
    ) -> None:
        self._decisions = decisions
        self._reading = reading
        self._publisher = publisher
        self._clock = clock

    async def take(self, manifest: ManifestV1, parts: Iterable[UpdatesV1]) -> frozenset[str]:
        """Publish what differs, and return which shards did.

        Raises:
            WrongShard: it is of another lineage: this site never joined that one.
            ParentWentBack: one of the shards was taken at a later serial already.
            NumberClash: a number of it is this site's own, or another update's.
        """
        if manifest.lineage != self._reading.setting(LINEAGE):
            raise WrongShard(f"the lineage of {manifest.site} is not this site's")
        serials = {name: n for name, n in manifest.serials.items() if role_of(name) == FEEDS}
        offered: dict[str, dict[int, Leaf]] = {name: {} for name in serials}
        for part in parts:
            if part.shard in offered:
                entries = (entry for update in part.updates for entry in update.leaves)
                offered[part.shard].update((e.number, decode_leaf(e)) for e in entries)
        for shard, above in serials.items():
            self._require_no_older(shard, above)
        changed = [s for s in sorted(serials) if await self._one(s, serials[s], offered[s])]
        return frozenset(changed)

    def serial_above(self, shard: str, own: int) -> int | None:
        """Return what one of this site's serials is at its parent; None: it took no such shard."""
        taken = self._taken(shard)
        return max((x.above for x in taken if x.own <= own), default=0) if taken else None

    async def _one(self, shard: str, above: int, offered: Mapping[int, Leaf]) -> bool:
        own = read_record(self._reading.setting(RECORD + shard)).serial
        held = {x.number: x.revision for x in self._reading.leaves(shard, at=own)} if own else {}
        news = [leaf for n, leaf in sorted(offered.items()) if held.get(n) != leaf.revision]
        gone = sorted(held.keys() - offered.keys())
        if not news and not gone:
            return False
        note = partial(_note_taken, shard=shard, own=own, above=above, numbers=sorted(offered))
        await self._decisions.decide("system", OPERATION, note, now=self._clock.now())
        await self._publisher.publish("system", shard, leaves=news, drops=gone, expected_serial=own)
        return True

    def _require_no_older(self, shard: str, above: int) -> None:
        taken = self._taken(shard)
        if taken and above < taken[-1].above:
            raise ParentWentBack(f"{shard} is at {above} there; {taken[-1].above} was taken before")

    def _taken(self, shard: str) -> list[_Taken]:
        return _read(self._reading.setting(TAKEN + shard))


def _note_taken(tx: Transaction, *, shard: str, own: int, above: int, numbers: list[int]) -> None:
    """Note what the next serial of a shard will hold, before it does."""
    taken = _read(tx.lock_setting(TAKEN + shard))
    if taken and taken[-1].above > above:
        raise StaleRevision(f"a later {shard} is being taken from the site above")
    # One that was noted and never published is replaced by what is published in its place.
    kept = [one for one in taken if one.own <= own]
    tx.know_numbers(numbers)
    tx.put_setting(TAKEN + shard, msgspec.msgpack.encode([*kept, _Taken(own + 1, above)]))
    tx.note(shard, above=above)


def _read(data: bytes | None) -> list[_Taken]:
    return msgspec.msgpack.decode(data, type=list[_Taken]) if data else []
