"""What the follower of the fleet reads, made into what its view knows."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from uuid import UUID

import msgspec
from msgspec import structs
from pyroaring import BitMap

from patchtide.domain.catalog.bundles import parts_of, within
from patchtide.domain.catalog.details import Severity, UpdateDetails
from patchtide.domain.catalog.updates import UpdateNumber
from patchtide.domain.compliance.states import NONE, PlacedLeaf, States
from patchtide.domain.errors import InvalidDocument
from patchtide.server.known_updates import SEVERITY_RANKS, Catalog, KnownUpdate
from patchtide.server.listing import in_order
from patchtide.server.member import Said
from patchtide.server.ports.catalog import StoredLeaf
from patchtide.server.ports.fleet import Heard
from patchtide.server.ports.following import DecisionEvent
from patchtide.server.ports.reports import StateRow
from patchtide.wire.sets import decode_set

log = logging.getLogger(__name__)

UNREADABLE = (ValueError, OverflowError, OSError, InvalidDocument, msgspec.DecodeError)
LISTS = "lists."
"""What all decisions about update lists begin with; their subject is a list's name."""


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


def placed_leaf(stored: StoredLeaf, shard: str) -> PlacedLeaf:
    number = UpdateNumber(stored.number)
    return PlacedLeaf(number=number, shard=shard, entered=stored.entered_serial)


def title_of(document: bytes) -> str:
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


def said(row: StateRow) -> Said:
    try:
        return Said(row, _states_of(row), _instant(row.scanned_at), _instant(row.reported_at))
    except UNREADABLE as error:
        # One machine's word must not end the view of all: nothing is known of that one.
        log.warning("the report of machine %d cannot be read: %s", row.client, error)
        return Said(_unread(row), States(), None, _instant(row.reported_at))


def _unread(row: StateRow) -> StateRow:
    said = "The server cannot read what it reported last."
    return structs.replace(row, scan="failed", scan_error=said, scanned_at=0)


def _instant(epoch_s: float) -> datetime | None:
    return datetime.fromtimestamp(epoch_s, UTC) if epoch_s else None


def _names(told: UpdateDetails | None) -> Sequence[str]:
    if told is None:
        return ()
    packages = {package.name for package in told.packages}
    return (told.vendor_id, *told.advisories, *(told.cves or ()), *sorted(packages))


def _states_of(row: StateRow) -> States:
    return States(
        required=_set_of(row.required),
        installed=_set_of(row.installed),
        unknown=_set_of(row.unknown),
        shards=_shards_of(row.shards) if row.shards else {},
    )


@lru_cache(maxsize=1024)
def _shards_of(told: bytes) -> Mapping[str, int]:
    """Return what thousands of machines evaluated alike: one mapping for all of them."""
    return _serials.decode(told)


def _set_of(numbers: bytes) -> BitMap:
    return BitMap(decode_set(numbers)) if numbers else NONE


class _Health(msgspec.Struct):
    """The little of a machine's health that counts; the rest is not even decoded."""

    restart_pending: bool = False


_serials = msgspec.msgpack.Decoder(dict[str, int])
_healths = msgspec.msgpack.Decoder(_Health)


def is_restarting(heard: Heard) -> bool:
    return bool(heard.health) and _healths.decode(heard.health).restart_pending


def lists_in(events: Iterable[DecisionEvent]) -> Iterable[str]:
    """Yield the lists that decisions speak of; one that was renamed under both names."""
    for event in events:
        if event.operation.startswith(LISTS):
            yield event.subject
            yield from (str(name) for key, name in event.detail.items() if key == "to")


def machines_in(events: Iterable[DecisionEvent]) -> Iterable[bytes]:
    """Yield the machines that decisions speak of: their subjects have 32 hex digits."""
    for event in events:
        if len(event.subject) == 32:
            try:
                yield bytes.fromhex(event.subject)
            except ValueError:
                continue
