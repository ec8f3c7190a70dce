"""What the follower of the fleet reads, made into what its view knows."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from uuid import UUID

import msgspec

from patchtide.domain.catalog.bundles import parts_of, within
from patchtide.domain.catalog.details import Severity, UpdateDetails
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance.states import PlacedLeaf
from patchtide.server.known_updates import SEVERITY_RANKS, Catalog, KnownUpdate
from patchtide.server.listing import in_order
from patchtide.server.member import Spoken
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.fleet import FleetStore, Heard
from patchtide.server.ports.following import Cursor, DecisionEvent

PAGE = 1000
LISTS = "lists."
"""What all decisions about update lists begin with; their subject is a list's name."""
COLLECTIONS = "collections."
"""What all decisions about collections begin with; their subject is a collection's id."""
_DEFINING = frozenset(
    f"{COLLECTIONS}{deed}" for deed in ("create", "change", "add", "remove", "delete")
)
"""To call a collection's machines, or have them scan, says nothing else of it."""


def shape_of(details: Iterable[UpdateDetails]) -> frozenset[tuple[object, ...]]:
    """Return what counts depend on of all that is told."""
    return frozenset(
        (x.update, x.supersedes, x.members, x.expired_at)
        for x in details
        if x.supersedes or x.members or x.expired_at
    )


def known_catalog(
    published: Mapping[UUID, KnownUpdate], details: Mapping[UUID, UpdateDetails]
) -> Catalog:
    """Bundles have the leaves of all their parts, and what is expired has none."""
    bundles: dict[UUID, Sequence[UUID]] = {
        x.update: () if x.expired_at else x.members for x in details.values()
    }
    parts = parts_of(bundles)
    hidden = within(parts)
    known = dict(published)
    for bundle, some in parts.items():
        own = (published[one] for one in (bundle, *sorted(some)) if one in published)
        leaves = [leaf for update in own for leaf in update.leaves]
        known[bundle] = known_update(bundle, leaves, "", details[bundle])
    return Catalog(
        updates={k: u for k, u in known.items() if k not in hidden and not u.is_expired},
        expired={k: known_update(k, (), "", x) for k, x in details.items() if x.expired_at},
        parts={k: u for k, u in known.items() if k in hidden and not u.is_expired},
        bundles=parts,
    )


class _Title(msgspec.Struct):
    """The little of a leaf's document that a list shows; the rest is not even decoded."""

    title: str = ""


_titles = msgspec.msgpack.Decoder(_Title)


def details_in(store: FleetStore) -> Mapping[UUID, UpdateDetails]:
    """Return what people read of each update, for lists."""
    return {told.update: told for told in store.listed_updates()}


def published_by(
    store: FleetStore, serials: Mapping[str, int], details: Mapping[UUID, UpdateDetails]
) -> Mapping[UUID, KnownUpdate]:
    """Return the updates that shards have as of these serials."""
    found: defaultdict[UUID, list[PlacedLeaf]] = defaultdict(list)
    documents: dict[UUID, bytes] = {}
    for shard, serial in serials.items():
        for stored in store.leaves(shard, at=serial):
            uuid = UUID(bytes=stored.update)
            found[uuid].append(_placed_leaf(stored, shard))
            documents[uuid] = stored.document
    return {
        uuid: known_update(uuid, leaves, _title_of(documents[uuid]), details.get(uuid))
        for uuid, leaves in found.items()
    }


def _placed_leaf(stored: StoredLeaf, shard: str) -> PlacedLeaf:
    number = UpdateNumber(stored.number)
    return PlacedLeaf(number=number, shard=shard, entered=stored.entered_serial)


def _title_of(document: bytes) -> str:
    return _titles.decode(document).title


def known_update(
    uuid: UUID, leaves: Sequence[PlacedLeaf], title: str, told: UpdateDetails | None
) -> KnownUpdate:
    title = (told.title if told else title) or str(uuid)
    return KnownUpdate(
        id=uuid,
        title=title,
        leaves=tuple(leaves),
        details=told,
        order=(SEVERITY_RANKS[told.severity if told else Severity.NONE], in_order(title), uuid.hex),
        text="\n".join((title, str(uuid), *_names(told))).casefold(),
    )


def _names(told: UpdateDetails | None) -> Sequence[str]:
    if told is None:
        return ()
    packages = {package.name for package in told.packages}
    return (told.vendor_id, *told.advisories, *(told.cves or ()), *sorted(packages))


class _Health(msgspec.Struct):
    """The little of a machine's health that counts; the rest is not even decoded."""

    restart_pending: bool = False
    agent_version: str = ""
    degraded: str = ""
    floor_lost: bool = False
    faults: tuple[str, ...] = ()
    taken_over: tuple[str, ...] = ()


_healths = msgspec.msgpack.Decoder(_Health)
_UNHEARD = _Health()
# Most of a fleet says the same: one value stands for all of them.
_spoken = lru_cache(maxsize=4096)(Spoken)


def spoken_in(heard: Heard) -> tuple[bool, Spoken]:
    """Return whether the machine waits for a restart, and what else it says of itself."""
    health = _healths.decode(heard.health) if heard.health else _UNHEARD
    said = _spoken(
        health.agent_version,
        health.degraded,
        health.floor_lost,
        health.faults,
        health.taken_over,
    )
    return health.restart_pending, said


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """What was decided: by which operations, and of what."""

    up_to: Cursor
    operations: frozenset[str]
    machines: Collection[bytes]
    lists: Collection[str]
    collections: Collection[UUID]


def decided_since(store: FleetStore, cursor: Cursor) -> Decided:
    """Read all that was decided since then.

    Raises:
        CursorLost: that is not known any more.
    """
    operations, machines = set[str](), set[bytes]()
    lists, collections = set[str](), set[UUID]()
    is_done = False
    while not is_done:
        cursor, events = store.decided(cursor, limit=PAGE)
        operations.update(event.operation for event in events)
        machines.update(machines_in(events))
        lists.update(_lists_in(events))
        collections.update(_collections_in(events))
        is_done = len(events) < PAGE
    return Decided(
        up_to=cursor,
        operations=frozenset(operations),
        machines=machines,
        lists=lists,
        collections=collections,
    )


def _lists_in(events: Iterable[DecisionEvent]) -> Iterable[str]:
    """Yield the lists that decisions speak of; one that was renamed under both names."""
    for event in events:
        if event.operation.startswith(LISTS):
            yield event.subject
            yield from (str(name) for key, name in event.detail.items() if key == "to")


def machines_in(events: Iterable[DecisionEvent]) -> Iterable[bytes]:
    """Yield the machines that decisions speak of: their subjects have 32 hex digits."""
    for event in events:
        if len(event.subject) == 32 and not event.operation.startswith(COLLECTIONS):
            try:
                yield bytes.fromhex(event.subject)
            except ValueError:
                continue


def _collections_in(events: Iterable[DecisionEvent]) -> Iterable[UUID]:
    """Yield the collections that are others since these decisions."""
    for event in events:
        if event.operation in _DEFINING:
            yield UUID(event.subject)
