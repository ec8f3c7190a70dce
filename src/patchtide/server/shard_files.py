"""The files of a shard: its bases and deltas, stored by digest, and the signed index over them.

Whatever node writes them, the index never goes back: whoever has built one while another node
signed as far or further is refused, under the lock of the signed repository.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Protocol

from patchtide.domain.catalog.updates import LineageId
from patchtide.domain.errors import StaleRevision
from patchtide.server.ports.catalog import CatalogReading
from patchtide.server.publication import ShardRecord
from patchtide.wire.leaves import LeafEntryV1, entry
from patchtide.wire.messages import decode, encode
from patchtide.wire.shard_plan import deltas_due, listed, role_of, target_of
from patchtide.wire.shards import (
    BaseFileV1,
    DeltaFileV1,
    DeltaV1,
    ShardIndexV1,
    digest_of,
    make_base,
    pack_document,
)

LINEAGE = "catalog.lineage"
_EVER = 2**31 - 1
BASE_EVERY = 16
"""A base is large and packs slowly; deltas lead on from the last one."""


class Overtaken(StaleRevision):
    """Another node has signed this serial of the shard, or a later one."""


class CatalogSigner(Protocol):
    def require_keys(self, role: str) -> None:
        """Raises KeysElsewhere: nothing can be signed for this role here."""
        ...

    def signed(self, paths: Iterable[str]) -> Mapping[str, bytes]:
        """Return those of the files that are signed now."""
        ...

    def publish(
        self,
        role: str,
        files: Mapping[str, bytes],
        now: datetime,
        *,
        check: Callable[[Mapping[str, bytes]], None],
    ) -> None:
        """`check` sees what is signed for these paths, while nobody else can sign; it may raise."""
        ...

    def superseded(
        self, last: str, before: datetime, tidy: Callable[[list[bytes], list[bytes]], None]
    ) -> None:
        """Call with the files of this last name in force, and those that were until before then.

        Nobody can publish meanwhile.
        """
        ...

    def accept(self, signed: Mapping[str, bytes], now: datetime) -> None:
        """Publish metadata that was signed elsewhere, by role.

        Raises:
            Refused: it is not signed as its role requires, or is no next version.
        """
        ...

    def keep_fresh(self, now: datetime) -> None: ...


class CatalogContent(Protocol):
    def put(self, data: bytes) -> str: ...

    def size(self, digest: bytes) -> int | None:
        """Return a file's length; None: it is not here."""
        ...

    def keep_on(self, digest: str) -> bool:
        """Let a file's age begin anew, for it is named again; False: it is not here."""
        ...

    def drop(self, digest: str, *, unless_since: float) -> bool:
        """Remove a file, unless it was put or named again since; say whether it has gone."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardFiles:
    """Writes and signs what the database holds. Blocks; may be called on any thread."""

    reading: CatalogReading
    content: CatalogContent
    signer: CatalogSigner

    def lineage(self) -> LineageId:
        return LineageId(self.reading.setting(LINEAGE) or b"")

    def signed(self, shards: Iterable[str]) -> dict[str, ShardIndexV1]:
        """Return the signed indexes of this catalog, whatever the database says of them."""
        names = {target_of(name): name for name in shards}
        found = self.signer.signed(names)
        indexes = {names[path]: decode(data, ShardIndexV1) for path, data in found.items()}
        lineage = self.lineage()
        return {name: index for name, index in indexes.items() if index.lineage == lineage}

    def naming(self, digests: Collection[bytes]) -> set[bytes]:
        """Return those of the digests that anything names which is in a shard, or is a shard's."""
        shards = self.reading.shards()
        signed = self.signer.signed(target_of(name) for name in shards).values()
        leaves = (leaf.document for name in shards for leaf in self.reading.leaves(name, at=_EVER))
        return {one for data in (*signed, *leaves) for one in digests if one in data}

    def entries(self, name: str, *, at: int, after: int = 0) -> dict[int, LeafEntryV1]:
        stored = self.reading.leaves(name, at=at, after=after)
        return {leaf.number: entry(leaf.number, leaf.revision, leaf.document) for leaf in stored}

    def write(
        self, name: str, record: ShardRecord, now: datetime, *, before: ShardIndexV1 | None
    ) -> tuple[ShardIndexV1, int]:
        """Write what the serial in force needs and sign its index; return it and its size.

        `before` is the index that is signed now. May be done again.

        Raises:
            Overtaken
        """
        index, leaves = self.build(name, record, before=before)
        path = target_of(name)

        def check(signed: Mapping[str, bytes]) -> None:
            there = decode(signed[path], ShardIndexV1) if path in signed else None
            if there and there.lineage == index.lineage and there.serial >= index.serial:
                raise Overtaken(f"serial {there.serial} of {name} is signed already")

        self.signer.publish(role_of(name), {path: encode(index)}, now, check=check)
        return index, leaves

    def build(
        self, name: str, record: ShardRecord, *, before: ShardIndexV1 | None
    ) -> tuple[ShardIndexV1, int]:
        """Write the files that a serial needs; return the index over them, unsigned, and its size.

        Nobody sees them before the index is signed: they are named by their digests.
        """
        held = self.entries(name, at=record.serial)
        return self._index(name, record, held=held, before=before), len(held)

    def _index(
        self,
        name: str,
        record: ShardRecord,
        *,
        held: Mapping[int, LeafEntryV1],
        before: ShardIndexV1 | None,
    ) -> ShardIndexV1:
        lineage, serial = self.lineage(), record.serial
        digest = digest_of(lineage, held)
        since = before.serial if before else 0
        deltas = [x for x in before.deltas if x.from_serial >= record.begins] if before else []
        deltas += [
            self._delta(name, start, serial, digest)
            for start, _ in deltas_due(serial)
            if start >= record.begins
        ]
        base = before.base if before and before.base.serial >= record.begins else None
        # A gap in the steps (a crash before files were written) needs a base to start from.
        if base is None or serial - base.serial >= BASE_EVERY or serial - since > 1:
            base = self._base(name, serial, held)
        return ShardIndexV1(
            lineage=lineage,
            shard=name,
            serial=serial,
            digest=digest,
            base=base,
            deltas=listed(deltas, serial),
        )

    def _base(self, name: str, serial: int, held: Mapping[int, LeafEntryV1]) -> BaseFileV1:
        packed = pack_document(make_base(self.lineage(), name, serial=serial, leaves=held))
        return BaseFileV1(serial, len(packed), bytes.fromhex(self.content.put(packed)))

    def _delta(self, name: str, start: int, serial: int, digest: bytes) -> DeltaFileV1:
        upserts = self.entries(name, at=serial, after=start)
        packed = pack_document(
            DeltaV1(
                lineage=self.lineage(),
                shard=name,
                from_serial=start,
                to_serial=serial,
                digest=digest,
                upserts=tuple(upserts[number] for number in sorted(upserts)),
                drops=tuple(self.reading.drops(name, at=serial, after=start)),
            )
        )
        self.content.put(packed)
        return DeltaFileV1(start, serial, len(packed), sha256(packed).digest())
