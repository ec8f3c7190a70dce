"""Before a publisher signs: the server's draft holds what was written here, and nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from hashlib import sha256

import msgspec
import pytest

from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.catalog.rules import Always
from patchtide.domain.catalog.updates import (
    LeafFile,
    Origin,
    Revision,
    UpdateNumber,
    update_id,
)
from patchtide.domain.errors import PatchtideError
from patchtide.wire.leaves import LeafEntryV1, encode_leaf, leaf_document
from patchtide.wire.shard_draft import DraftDiffers, Standing, Written, check_draft, read_standing
from patchtide.wire.shards import (
    BaseFileV1,
    DeltaFileV1,
    DeltaV1,
    ShardIndexV1,
    digest_of,
    make_base,
    pack_document,
)

LINEAGE, SHARD = bytes(16), "custom"


def a_leaf(name: str, number: int, *, revision: int = 1, content: bytes = b"good") -> Leaf:
    file = LeafFile(name=name, version="1", sha256=sha256(content).digest(), size_bytes=4)
    return Leaf(
        number=UpdateNumber(number),
        revision=Revision(revision),
        update=update_id("publisher", name),
        title=name,
        prerequisite=Always(),
        applicable=Always(),
        installed=Always(),
        files=(file,),
        origin=Origin("publisher"),
    )


@dataclass
class Server:
    """Drafts what it likes, and keeps the files."""

    files: dict[bytes, bytes] = field(default_factory=dict)

    def read(self, digest: bytes, at_most: int) -> bytes:
        return self.files[digest]

    def put(self, packed: bytes) -> tuple[int, bytes]:
        digest = sha256(packed).digest()
        self.files[digest] = packed
        return len(packed), digest

    def base(self, serial: int, *leaves: Leaf) -> BaseFileV1:
        held = entries(*leaves)
        made = make_base(LINEAGE, SHARD, serial=serial, leaves=held)
        return BaseFileV1(serial, *self.put(pack_document(made)))

    def delta(self, start: int, end: int, digest: bytes, *upserts: Leaf) -> DeltaFileV1:
        made = DeltaV1(
            lineage=LINEAGE,
            shard=SHARD,
            from_serial=start,
            to_serial=end,
            digest=digest,
            upserts=tuple(entries(*upserts).values()),
        )
        return DeltaFileV1(start, end, *self.put(pack_document(made)))

    def index(self, serial: int, *leaves: Leaf) -> ShardIndexV1:
        return ShardIndexV1(
            lineage=LINEAGE,
            shard=SHARD,
            serial=serial,
            digest=digest_of(LINEAGE, entries(*leaves)),
            base=self.base(serial, *leaves),
        )


def entries(*leaves: Leaf) -> dict[int, LeafEntryV1]:
    return {leaf.number: encode_leaf(leaf) for leaf in leaves}


OLD, OTHER = a_leaf("sensor", 1), a_leaf("backup", 2)
NEW, REVISED = a_leaf("viewer", 3), a_leaf("sensor", 1, revision=2, content=b"new1")
EVIL = a_leaf("implant", 9, content=b"evil")
EVIL_NEW = replace(NEW, files=EVIL.files)
WRITTEN = Written(documents={leaf.update.bytes: {leaf_document(leaf)} for leaf in (NEW, REVISED)})


def look(server: Server, draft: ShardIndexV1, written: Written = WRITTEN) -> None:
    before = read_standing(server.index(4, OLD, OTHER), server.read)
    check_draft(draft, before=before, written=written, read=server.read)


def test_what_was_written_here_beside_what_was_signed_before_is_fine() -> None:
    server = Server()

    look(server, server.index(5, REVISED, OTHER, NEW))
    only_expired = Written(documents={}, expired=[OTHER.update.bytes])
    look(server, server.index(5, OLD), only_expired)
    check_draft(server.index(1, NEW, REVISED), before=Standing(), written=WRITTEN, read=server.read)


CHEATS: dict[str, Callable[[Server], ShardIndexV1]] = {
    "leaf 9 was not written here": lambda s: s.index(5, REVISED, OTHER, NEW, EVIL),
    "leaf 3 is not as it was written here": lambda s: s.index(5, REVISED, OTHER, EVIL_NEW),
    "leaf 2 was not written here": lambda s: s.index(
        5, REVISED, replace(OTHER, revision=Revision(2), files=EVIL.files), NEW
    ),
    "leaf 2 is gone": lambda s: s.index(5, REVISED, NEW),
    "leaf 2 was another update": lambda s: s.index(
        5, REVISED, replace(NEW, number=OTHER.number), replace(OTHER, number=UpdateNumber(7))
    ),
    "leaf 1 has no new revision": lambda s: s.index(
        5, replace(REVISED, revision=Revision(1)), OTHER, NEW
    ),
    "1 leaves of .* are missing": lambda s: s.index(5, REVISED, OTHER),
    "its serial 4 was signed before": lambda s: s.index(4, REVISED, OTHER, NEW),
    "another catalog": lambda s: msgspec.structs.replace(
        s.index(5, REVISED, OTHER, NEW), lineage=b"x" * 16
    ),
}


@pytest.mark.parametrize("why", CHEATS)
def test_a_server_that_drafts_anything_else_gets_no_signature(why: str) -> None:
    server = Server()

    with pytest.raises(DraftDiffers, match=why):
        look(server, CHEATS[why](server))


def test_what_lies_in_a_file_that_leads_there_by_another_way_is_looked_at_too() -> None:
    server = Server()
    honest = server.index(5, REVISED, OTHER, NEW)
    stray = server.delta(1, 5, honest.digest, REVISED, EVIL, NEW)
    step = server.delta(4, 5, honest.digest, REVISED, NEW)

    look(server, msgspec.structs.replace(honest, deltas=(step,)))
    with pytest.raises(DraftDiffers, match="its delta from 1 is not what it leads to"):
        look(server, msgspec.structs.replace(honest, deltas=(stray, step)))


def test_a_base_that_machines_begin_with_is_looked_at_though_a_delta_is_cheaper() -> None:
    server = Server()
    before = server.index(4, OLD, OTHER)
    after = entries(REVISED, OTHER, NEW)
    digest = digest_of(LINEAGE, after)
    step = server.delta(4, 5, digest, REVISED, NEW)
    draft = msgspec.structs.replace(
        before, serial=5, digest=digest, base=server.base(4, OLD, EVIL), deltas=(step,)
    )

    with pytest.raises(PatchtideError):
        look(server, draft)


def test_a_file_whose_digest_is_not_its_content_is_no_draft() -> None:
    server = Server()
    draft = msgspec.structs.replace(server.index(5, REVISED, OTHER, NEW), digest=bytes(32))

    with pytest.raises(PatchtideError, match="custom at 5"):
        look(server, draft)
