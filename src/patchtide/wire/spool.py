"""What a feed's process hands to the server: a file in the spool, read as any stranger's message.

The server takes nothing on trust from it: each document is read within the bounds of its type, and
what cannot be read refuses the whole file.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Annotated, TypeVar
from uuid import UUID

import msgspec
from msgspec import Meta, Raw, Struct

from patchtide.domain.catalog.details import (
    Classification,
    FeedUpdate,
    FileSource,
    FixedPackage,
    Severity,
    UpdateDetails,
)
from patchtide.domain.catalog.feed_bounds import out_of_bounds
from patchtide.domain.catalog.updates import UpdateId
from patchtide.domain.errors import InvalidDocument, Problem
from patchtide.wire.leaves import decode_leaf, entry, leaf_document
from patchtide.wire.messages import Digest, Text, Uuid, decode, encode

T = TypeVar("T")
MAX_BYTES = 128 << 20
"""A file that is longer is not read. Debian's whole security suite takes a sixtieth of it, all
advisories of an Enterprise Linux with its packages and where they come from a quarter."""
MAX_UPDATES = 100_000
MAX_THINGS = 1_000_000
"""Packages, sources, CVEs and the like of all updates together: in memory each is a hundred bytes,
however few it has in the file. An Enterprise Linux has a quarter."""
VENDORS = "vendors"
"""The folder beside the spool in which the documents that vendors signed lie."""
_MAX_NOTE = 4_000
LongText = Annotated[str, Meta(max_length=64 << 10)]
Cves = Annotated[tuple[Text, ...], Meta(max_length=10_000)]
Names = Annotated[tuple[Text, ...], Meta(max_length=1_000)]
Updates = Annotated[tuple[Uuid, ...], Meta(max_length=10_000)]
Address = Annotated[str, Meta(max_length=2_000)]
Leaf = Annotated[bytes, Meta(max_length=2 << 20)]
RunTime = Annotated[int, Meta(ge=1, le=7 * 86_400)]


class FixedV1(Struct, frozen=True, array_like=True):
    name: Text
    version: Text
    architecture: Text


class SourceV1(Struct, frozen=True, array_like=True):
    sha256: Digest
    address: Address


class DetailsV1(Struct, kw_only=True, frozen=True, omit_defaults=True):
    update: Uuid
    vendor_id: Text
    title: Text
    feed: Text
    vendor: Text
    product: Text
    classification: Text
    severity: Text = Severity.NONE.value
    description: LongText = ""
    cves: Cves | None = None
    packages: Annotated[tuple[FixedV1, ...], Meta(max_length=20_000)] = ()
    released: datetime | None = None
    revised: datetime | None = None
    advisories: Names = ()
    also_for: Names = ()
    languages: Names = ()
    architectures: Names = ()
    supersedes: Updates = ()
    members: Updates = ()
    max_run_s: RunTime | None = None
    can_uninstall: bool = False
    licence: LongText = ""
    sources: Annotated[tuple[SourceV1, ...], Meta(max_length=20_000)] = ()
    expired_at: datetime | None = None


class FeedUpdateV1(Struct, frozen=True, array_like=True):
    details: DetailsV1
    leaves: Annotated[tuple[Leaf, ...], Meta(max_length=100)]
    """Each is the document of a leaf (LeafV1), which has no number yet."""


ShardV1 = Annotated[tuple[FeedUpdateV1, ...], Meta(max_length=MAX_UPDATES)]


class VendorFileV1(Struct, frozen=True, array_like=True):
    """A file beside the spool, named by its digest."""

    key: Text
    sha256: Digest


class VendorIndexV1(Struct, kw_only=True, frozen=True):
    kind: Text
    name: Text
    signed: VendorFileV1
    lists: Annotated[tuple[VendorFileV1, ...], Meta(max_length=100)]


Vendors = dict[Text, Annotated[tuple[VendorIndexV1, ...], Meta(max_length=100)]]


class SpoolHeadV1(Struct, kw_only=True, frozen=True):
    """What the file says of itself; whoever reads this alone passes over the rest unread."""

    as_of: Annotated[dict[Text, datetime], Meta(max_length=10_000)]
    stamp: Annotated[bytes, Meta(max_length=64)]
    note: LongText = ""
    """What a person should know of how it was come by; empty: all is as it should be."""
    is_whole: bool = True
    """No: something is missing that it should tell of."""
    vendors: Annotated[Vendors, Meta(max_length=1_000)] = {}
    """Shard -> what its vendors signed themselves, and what follows from that."""


class SpoolV1(SpoolHeadV1, kw_only=True, frozen=True):
    """Everything that a feed tells of, at one moment."""

    shards: Annotated[dict[Text, ShardV1], Meta(max_length=1_000)]


def pack_spool(
    shards: Mapping[str, Iterable[FeedUpdate]],
    *,
    as_of: Mapping[str, datetime],
    stamp: bytes,
    note: str = "",
    is_whole: bool = True,
    vendors: Vendors | None = None,
) -> bytes:
    packed = {
        name: tuple(_packed(update) for update in updates) for name, updates in shards.items()
    }
    return encode(
        SpoolV1(
            shards=packed,
            as_of=dict(as_of),
            stamp=stamp,
            note=note[:_MAX_NOTE],
            is_whole=is_whole,
            vendors=vendors or {},
        )
    )


def unpack_head(data: bytes) -> SpoolHeadV1:
    """Raises InvalidDocument: it is not such a file."""
    return decode(data, SpoolHeadV1)


def unpack_spool(data: bytes) -> tuple[SpoolHeadV1, Mapping[str, tuple[FeedUpdate, ...]]]:
    """Return the file's head and the updates of each shard.

    They are read one by one: other threads have their turn, and what is too much is never made.

    Raises:
        InvalidDocument: it is not such a file, one of its leaves cannot be read, or it tells of
            what no feed may.
    """
    spool = decode(data, _UnreadV1)
    left = _Left()
    found: dict[str, tuple[FeedUpdate, ...]] = {}
    for name, shard in spool.shards.items():
        packed = _read(_raws, shard)
        left.take(updates=len(packed))
        found[name] = tuple(_unpacked(left.taken(_read(_updates, one))) for one in packed)
    return spool, found


class _UnreadV1(SpoolHeadV1, kw_only=True, frozen=True):
    shards: Annotated[dict[Text, Raw], Meta(max_length=1_000)]


class _Left:
    """How much more the file may tell of."""

    def __init__(self) -> None:
        self._updates, self._things = MAX_UPDATES, MAX_THINGS

    def take(self, *, updates: int = 0, things: int = 0) -> None:
        self._updates -= updates
        self._things -= things
        if self._updates < 0 or self._things < 0:
            others = f"{MAX_THINGS} packages, sources, CVEs and the like"
            problem = Problem("spool", f"more than {MAX_UPDATES} updates, or {others}")
            raise InvalidDocument([problem])

    def taken(self, update: FeedUpdateV1) -> FeedUpdateV1:
        told = update.details
        lists = (
            told.packages, told.sources, told.cves or (), told.advisories, told.also_for,
            told.languages, told.architectures, told.supersedes, told.members, update.leaves,
        )  # fmt: skip
        self.take(things=sum(map(len, lists)))
        return update


def _read(decoder: msgspec.msgpack.Decoder[T], data: Raw) -> T:
    try:
        return decoder.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise InvalidDocument([Problem("spool", str(error))]) from error


_raws: msgspec.msgpack.Decoder[tuple[Raw, ...]] = msgspec.msgpack.Decoder(
    Annotated[tuple[Raw, ...], Meta(max_length=MAX_UPDATES)]
)
_updates = msgspec.msgpack.Decoder(FeedUpdateV1)


def _packed(update: FeedUpdate) -> FeedUpdateV1:
    leaves = tuple(leaf_document(leaf) for leaf in update.leaves)
    return FeedUpdateV1(said_details(update.details), leaves)


def said_details(details: UpdateDetails) -> DetailsV1:
    """Return what is told of an update; its revision is not: whoever keeps it counts its own."""
    return DetailsV1(
        update=details.update.bytes,
        vendor_id=details.vendor_id,
        title=details.title,
        feed=details.feed,
        vendor=details.vendor,
        product=details.product,
        classification=details.classification.value,
        severity=details.severity.value,
        description=details.description,
        cves=details.cves,
        packages=tuple(FixedV1(p.name, p.version, p.architecture) for p in details.packages),
        released=details.released,
        revised=details.revised,
        advisories=details.advisories,
        also_for=details.also_for,
        languages=details.languages,
        architectures=details.architectures,
        supersedes=tuple(update.bytes for update in details.supersedes),
        members=tuple(update.bytes for update in details.members),
        max_run_s=_seconds(details.max_run_time),
        can_uninstall=details.can_uninstall,
        licence=details.licence,
        sources=tuple(SourceV1(s.sha256, s.address) for s in details.sources),
        expired_at=details.expired_at,
    )


def _unpacked(packed: FeedUpdateV1) -> FeedUpdate:
    leaves = tuple(decode_leaf(entry(0, 1, document)) for document in packed.leaves)
    update = FeedUpdate(details=read_details(packed.details), leaves=leaves)
    if problem := out_of_bounds(update):
        raise InvalidDocument([Problem(update.details.vendor_id[:200], problem)])
    return update


def read_details(said: DetailsV1) -> UpdateDetails:
    """Return what is told of an update; a word that is new here is taken for the plainest one."""
    return UpdateDetails(
        update=UpdateId(UUID(bytes=said.update)),
        vendor_id=said.vendor_id,
        title=said.title,
        feed=said.feed,
        vendor=said.vendor,
        product=said.product,
        classification=_CLASSIFICATIONS.get(said.classification, Classification.GENERAL),
        severity=_SEVERITIES.get(said.severity, Severity.NONE),
        description=said.description,
        cves=said.cves,
        packages=tuple(FixedPackage(p.name, p.version, p.architecture) for p in said.packages),
        released=said.released,
        revised=said.revised,
        advisories=said.advisories,
        also_for=said.also_for,
        languages=said.languages,
        architectures=said.architectures,
        supersedes=_ids(said.supersedes),
        members=_ids(said.members),
        max_run_time=None if said.max_run_s is None else timedelta(seconds=said.max_run_s),
        can_uninstall=said.can_uninstall,
        licence=said.licence,
        sources=tuple(FileSource(s.sha256, s.address) for s in said.sources),
        expired_at=said.expired_at,
    )


def _seconds(length: timedelta | None) -> int | None:
    return None if length is None else round(length.total_seconds())


def _ids(said: Iterable[bytes]) -> tuple[UpdateId, ...]:
    return tuple(UpdateId(UUID(bytes=one)) for one in said)


_CLASSIFICATIONS = {member.value: member for member in Classification}
_SEVERITIES = {member.value: member for member in Severity}
