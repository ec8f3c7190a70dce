"""Keeps what vendors signed themselves as content, and names it beside the shards it is of.

Nothing is proved by that here: machines hold it against keys of their own. The site that keeps it
can hold it back, which leaves them with nothing to install, and no more. What a newer index has
taken the place of goes a week later; until then a machine may be on its way to it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256

from patchtide.domain.catalog.updates import LineageId
from patchtide.domain.errors import Refused
from patchtide.server.ports.feed import VendorFile, VendorIndex
from patchtide.server.shard_files import CatalogContent, CatalogSigner
from patchtide.wire.messages import decode
from patchtide.wire.shard_plan import role_of
from patchtide.wire.vendor_indexes import (
    PackedV1,
    VendorIndexesV1,
    VendorIndexV1,
    VendorListV1,
    encode_vendors,
    pack_index,
    vendors_target_of,
)

STAYS = timedelta(days=7)


class VendorIndexChanged(Refused):
    """What a vendor signed is not any more what the feed has read."""

    code = "vendor-index-changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorShelf:
    """Blocks; may be called on any thread."""

    content: CatalogContent
    signer: CatalogSigner
    lineage: Callable[[], LineageId]
    naming: Callable[[Collection[bytes]], set[bytes]]
    """Returns those of the digests that something else names, a leaf or a shard's index."""
    _packed: dict[bytes, PackedV1] = field(default_factory=dict, init=False)
    """Digest of a document -> how it is kept, of all that was named last: most stay the same."""

    def keep(
        self,
        vendors: Mapping[str, Sequence[VendorIndex]],
        now: datetime,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> int:
        """Keep these, and sign their names where they differ from what is signed.

        Returns how many files of older ones were removed.

        `check` is asked while nobody else can sign; what it raises ends this.

        Raises:
            VendorIndexChanged
        """
        documents = {
            vendors_target_of(shard): encode_vendors(self._document(shard, indexes))
            for shard, indexes in vendors.items()
        }
        named = {file.sha256 for each in vendors.values() for file in _files(each)}
        for digest in self._packed.keys() - named:
            del self._packed[digest]
        signed = self.signer.signed(documents)
        news = {path: data for path, data in documents.items() if signed.get(path) != data}
        for role in sorted({role_of(shard) for shard in vendors}):
            mine = {path: data for path, data in news.items() if path.startswith(f"{role}/")}
            if mine:
                self.signer.publish(role, mine, now, check=lambda _: check())
        return self._tidy(now)

    def _tidy(self, now: datetime) -> int:
        """Remove what only documents name that were replaced a week ago, or earlier.

        The documents stay a while longer, so whatever a crash leaves is removed the next time.
        """
        before, dropped = now - STAYS, list[bytes]()

        def tidy(in_force: list[bytes], left: list[bytes]) -> None:
            replaced = set(_digests(left)).difference(_digests(in_force))
            # What has gone is still named for weeks, and to ask who names it reads every leaf.
            gone = {digest for digest in replaced if self.content.size(digest) is not None}
            for digest in gone - self.naming(gone) if gone else ():
                if self.content.drop(digest.hex(), unless_since=before.timestamp()):
                    dropped.append(digest)

        self.signer.superseded("vendors", before, tidy)
        return len(dropped)

    def _document(self, shard: str, indexes: Sequence[VendorIndex]) -> VendorIndexesV1:
        return VendorIndexesV1(
            lineage=self.lineage(),
            shard=shard,
            indexes=tuple(
                VendorIndexV1(
                    kind=index.kind,
                    name=index.name,
                    signed=self._kept(index.signed),
                    lists=tuple(VendorListV1(x.key, self._kept(x)) for x in index.lists),
                )
                for index in indexes
            ),
        )

    def _kept(self, file: VendorFile) -> PackedV1:
        known = self._packed.get(file.sha256)
        # Another node may have removed what this one has not named for long.
        if known is None or not self.content.keep_on(known.sha256.hex()):
            known = self._packed[file.sha256] = self._packed_anew(file)
        return known

    def _packed_anew(self, file: VendorFile) -> PackedV1:
        data = file.read()
        if sha256(data).digest() != file.sha256:
            raise VendorIndexChanged(f"{file.key} is another one by now")
        packed = pack_index(data)
        return PackedV1(bytes.fromhex(self.content.put(packed)), len(packed), len(data))


def _digests(documents: Iterable[bytes]) -> Iterator[bytes]:
    for data in documents:
        for index in decode(data, VendorIndexesV1).indexes:
            yield index.signed.sha256
            yield from (each.packed.sha256 for each in index.lists)


def _files(indexes: Sequence[VendorIndex]) -> Iterator[VendorFile]:
    return (file for index in indexes for file in (index.signed, *index.lists))
