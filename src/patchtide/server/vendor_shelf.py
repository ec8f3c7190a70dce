"""Keeps what vendors signed themselves as content, and names it beside the shards it is of.

Nothing is proved by that here: machines hold it against keys of their own. The site that keeps it
can hold it back, which leaves them with nothing to install, and no more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from patchtide.domain.catalog.updates import LineageId
from patchtide.domain.errors import Refused
from patchtide.server.ports.feed import VendorFile, VendorIndex
from patchtide.server.shard_files import CatalogContent, CatalogSigner
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


class VendorIndexChanged(Refused):
    """What a vendor signed is not any more what the feed has read."""

    code = "vendor-index-changed"


@dataclass(frozen=True, slots=True, kw_only=True)
class VendorShelf:
    """Blocks; may be called on any thread."""

    content: CatalogContent
    signer: CatalogSigner
    lineage: Callable[[], LineageId]
    _packed: dict[bytes, PackedV1] = field(default_factory=dict, init=False)
    """Digest of a document -> how it is kept, of all that was named last: most stay the same."""

    def keep(
        self,
        vendors: Mapping[str, Sequence[VendorIndex]],
        now: datetime,
        *,
        check: Callable[[], None] = lambda: None,
    ) -> None:
        """Keep these, and sign their names where they differ from what is signed.

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
        if file.sha256 not in self._packed:
            self._packed[file.sha256] = self._packed_anew(file)
        return self._packed[file.sha256]

    def _packed_anew(self, file: VendorFile) -> PackedV1:
        data = file.read()
        if sha256(data).digest() != file.sha256:
            raise VendorIndexChanged(f"{file.key} is another one by now")
        packed = pack_index(data)
        return PackedV1(bytes.fromhex(self.content.put(packed)), len(packed), len(data))


def _files(indexes: Sequence[VendorIndex]) -> Iterator[VendorFile]:
    return (file for index in indexes for file in (index.signed, *index.lists))
