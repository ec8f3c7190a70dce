"""Makes the file that carries this site's catalog to one without a line.

What it holds follows from the catalog alone: shards, updates and leaves in their order, each part
as long as its updates make it, then the content that leaves name and that lies here. The same
catalog makes the same file; its time rises only when it tells something else.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from itertools import groupby
from typing import Annotated, Protocol
from uuid import UUID

import msgspec
from msgspec import Meta

from patchtide.domain.catalog.details import UpdateDetails
from patchtide.domain.errors import TooMuch
from patchtide.server.ports.catalog import CatalogReading, StoredLeaf
from patchtide.server.ports.catalog_files import ExportFiles, Vouching
from patchtide.server.ports.catalog_status import CatalogStatus
from patchtide.wire.catalog_file import (
    AIM_BYTES,
    MAX_PARTS,
    CarriedUpdateV1,
    ManifestV1,
    PartV1,
    UpdatesV1,
    make_head,
    name_of,
    pack_updates,
    size_of,
)
from patchtide.wire.leaves import entry
from patchtide.wire.messages import Digest, encode
from patchtide.wire.spool import said_details
from patchtide.wire.vendor_indexes import (
    PackedV1,
    VendorIndexV1,
    read_vendors,
    vendors_target_of,
)

EXPORTED = "catalog.exported"
"""What the last export held, and when that was told first."""
BATCH = 500


Signed = Callable[[Iterable[str]], Mapping[str, bytes]]


class ExportReading(CatalogReading, Protocol):
    def listed_updates(self) -> Sequence[UpdateDetails]: ...

    def update_details(self, updates: Sequence[UUID] | None = None) -> Sequence[UpdateDetails]: ...


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """The last export, by all that it tells but its time."""

    told: Annotated[bytes, Meta(max_length=32)]
    made_at: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """One that can be fetched."""

    name: str
    manifest: ManifestV1
    size_bytes: int
    root: bytes
    """What another site has to pin, to believe it."""


class CatalogExports:
    """One at a time; it may be fetched until the next one is made."""

    def __init__(
        self,
        *,
        reading: ExportReading,
        catalog: CatalogStatus,
        files: ExportFiles,
        vouching: Vouching,
        signed: Signed,
        site: str,
    ) -> None:
        """`signed` returns those of the targets that this site signs now."""
        self._reading = reading
        self._catalog = catalog
        self._files = files
        self._vouching = vouching
        self._signed = signed
        self._site = site
        self.making = asyncio.Lock()

    def gathered(self, *, with_content: bool) -> ManifestV1:
        """Write the parts, and return what they are; the time is still to be said. Blocks."""
        serials = {shard.name: shard.serial for shard in self._catalog.shards()}
        wanted: set[bytes] = set()
        seen: set[bytes] = set()
        parts: list[PartV1] = []
        for part in self._updates(serials):
            for carried in part.updates:
                wanted.update(_files_of(carried))
            seen.update(_ids(part))
            parts.append(self._files.put("updates", pack_updates(part)))
        here = self._files.content()
        parts += self._vendors(serials, here)
        found = sorted(wanted & here.keys()) if with_content else []
        parts += (PartV1("content", digest, here[digest]) for digest in found)
        if len(parts) > MAX_PARTS:
            raise TooMuch(f"{len(parts)} parts, and a file has {MAX_PARTS} at most")
        return ManifestV1(
            site=self._site,
            lineage=self._catalog.lineage(),
            made_at=0,
            serials=dict(sorted(serials.items())),
            updates=len(seen),
            parts=tuple(parts),
        )

    def finished(self, manifest: ManifestV1) -> Export:
        """Sign it, and have it read from now on. Blocks.

        Raises:
            KeysElsewhere: this server cannot sign for its feeds.
        """
        told = encode(manifest)
        head = make_head(self._vouching.vouch(told), told)
        self._files.finish(name_of(told), head, manifest.parts)
        return Export(
            name=name_of(told),
            manifest=manifest,
            size_bytes=size_of(head, manifest.parts),
            root=self._vouching.root_digest(),
        )

    def piece(self, name: str, offset: int, *, at_most: int) -> tuple[bytes, int]:
        """Return a piece of an export and its whole length.

        Raises:
            NotFound: there is no such export (any more).
        """
        return self._files.read(name, offset, at_most=at_most)

    def _vendors(self, shards: Iterable[str], here: Mapping[bytes, int]) -> Iterator[PartV1]:
        """Yield what vendors signed themselves: without it no machine there believes a package."""
        signed = self._signed(vendors_target_of(shard) for shard in shards)
        carried: set[bytes] = set()
        for shard in sorted(shards):
            data = signed.get(vendors_target_of(shard))
            indexes = read_vendors(data, shard=shard).indexes if data else ()
            packed = [file for index in indexes for file in _files_in(index)]
            if data and indexes and all(file.sha256 in here for file in packed):
                yield self._files.put("vendors", data)
                carried.update(file.sha256 for file in packed)
        yield from (PartV1("vendor", digest, here[digest]) for digest in sorted(carried))

    def _updates(self, serials: Mapping[str, int]) -> Iterator[UpdatesV1]:
        where: dict[bytes, str] = {}
        for shard in sorted(serials):
            leaves = self._reading.leaves(shard, at=serials[shard])
            in_order = sorted(leaves, key=lambda leaf: (leaf.update, leaf.number))
            by_update = [(key, list(some)) for key, some in groupby(in_order, lambda x: x.update)]
            where.update((key, shard) for key, _ in by_update)
            yield from _cut(shard, self._carried(by_update))
        yield from self._bundles(where, sorted(serials))

    def _carried(
        self, by_update: Sequence[tuple[bytes, Sequence[StoredLeaf]]]
    ) -> Iterator[CarriedUpdateV1]:
        for start in range(0, len(by_update), BATCH):
            batch = by_update[start : start + BATCH]
            found = self._reading.update_details([UUID(bytes=key) for key, _ in batch])
            details = {x.update.bytes: x for x in found}
            for key, leaves in batch:
                told = details.get(key)
                yield CarriedUpdateV1(
                    said_details(told) if told else None,
                    tuple(entry(x.number, x.revision, x.document) for x in leaves),
                )

    def _bundles(self, where: Mapping[bytes, str], shards: Sequence[str]) -> Iterator[UpdatesV1]:
        """Yield what has no leaf of its own: it is told beside the first of its parts."""
        found: dict[str, list[UUID]] = {}
        for listed in self._reading.listed_updates():
            if listed.members and listed.update.bytes not in where and not listed.expired_at:
                homes = (where[x.bytes] for x in listed.members if x.bytes in where)
                if home := next(homes, shards[0] if shards else ""):
                    found.setdefault(home, []).append(listed.update)
        for shard, updates in sorted(found.items()):
            yield from _cut(shard, self._carried([(x.bytes, ()) for x in sorted(updates)]))


def timed(manifest: ManifestV1, known: bytes | None, *, now: int) -> tuple[ManifestV1, bytes]:
    """Return it with its time, and what has to be kept of that: a file that tells the same as
    the one before has that one's, and any other a later one, whatever the clock says."""
    told = sha256(encode(manifest)).digest()
    last = msgspec.msgpack.decode(known, type=Exported) if known else Exported(told=b"", made_at=0)
    made_at = last.made_at if last.told == told else max(now, last.made_at + 1)
    kept = msgspec.msgpack.encode(Exported(told=told, made_at=made_at))
    return msgspec.structs.replace(manifest, made_at=made_at), kept


def _cut(shard: str, updates: Iterable[CarriedUpdateV1]) -> Iterator[UpdatesV1]:
    held: list[CarriedUpdateV1] = []
    size = 0
    for one in updates:
        held.append(one)
        size += sum(len(leaf.body) for leaf in one.leaves)
        size += len(one.details.description) + 500 if one.details else 0
        if size >= AIM_BYTES:
            yield UpdatesV1(shard=shard, updates=tuple(held))
            held, size = [], 0
    if held:
        yield UpdatesV1(shard=shard, updates=tuple(held))


def _files_in(index: VendorIndexV1) -> Iterator[PackedV1]:
    yield index.signed
    yield from (each.packed for each in index.lists)


class _Named(msgspec.Struct, array_like=True):
    name: str
    version: str
    sha256: Digest


class _Files(msgspec.Struct):
    """The little of a leaf's document that says what it installs; no rule is read for it."""

    update: bytes
    files: tuple[_Named, ...] = ()


_read_files: Callable[[bytes], _Files] = msgspec.msgpack.Decoder(_Files).decode


def _files_of(carried: CarriedUpdateV1) -> Iterator[bytes]:
    for leaf in carried.leaves:
        yield from (file.sha256 for file in _read_files(leaf.body).files)


def _ids(part: UpdatesV1) -> Iterator[bytes]:
    for carried in part.updates:
        yield (
            carried.details.update
            if carried.details
            else _read_files(carried.leaves[0].body).update
        )
