"""What was published since a machine looked last, in one answer for all that stand where it does.

Everything is read from what is published: versioned files, none of which is ever overwritten but
the timestamp, which is read first. What a machine has is read here too, so that its tag can be
held against it: of versions that are gone from here nothing is said.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from tuf.api.metadata import Metadata, Snapshot, Targets, Timestamp

from patchtide.adapters.trust.layout import ROOT, SNAPSHOT, TARGETS, TIMESTAMP
from patchtide.domain.errors import InvalidDocument, NotFound
from patchtide.wire.catch_up import (
    MAX_CATCH_UP,
    SIGNATURE,
    Asked,
    CarriedV1,
    CatchUpV1,
    Known,
    address_of,
    carried_delta,
    pack_catch_up,
    signed_bytes,
)
from patchtide.wire.shard_plan import plan, role_of, target_of
from patchtide.wire.shards import BaseFileV1, ShardIndexV1, read_index

TAGS = 1024
"""How many states' tags are remembered; one costs some milliseconds to come by."""
ReadContent = Callable[[bytes], bytes]
"""Returns a file of the content store by its digest, for one that is small."""


class CatchUps:
    """Reads `folder`, where a TrustRepository publishes. Blocks; may be called on any thread."""

    def __init__(
        self, folder: Path, *, read_content: ReadContent, sign: Callable[[bytes], bytes]
    ) -> None:
        self._metadata = folder / "metadata"
        self._targets = folder / "targets"
        self._read_content = read_content
        self._sign = sign
        self._tags: OrderedDict[tuple[int, int, tuple[str, ...]], str] = OrderedDict()
        """What is read for them is never overwritten, so they stay right."""

    def mark(self) -> object:
        """Return what changes with every publication."""
        found = (self._metadata / "timestamp.json").stat()
        return found.st_ino, found.st_mtime_ns

    def answer(self, asked: Asked) -> bytes | None:
        """Return the signed answer; None: the files had better be fetched one by one."""
        try:
            return self._answer(asked)
        except (FileNotFoundError, NotFound, KeyError):  # of a version or a shard that is not here
            return None
        except InvalidDocument:  # a delta that is small as long as nobody unpacks it
            return None

    def _answer(self, asked: Asked) -> bytes | None:
        told = self._tags.get((asked.root, asked.snapshot, asked.shards))
        if told not in (None, asked.tag):
            return None
        timestamp = self._named("timestamp.json")
        newest: Timestamp = Metadata[Timestamp].from_bytes(timestamp).signed
        before = _State(self, asked.snapshot, asked.shards)
        known = Known(
            root=asked.root,
            snapshot=asked.snapshot,
            documents=(self._named(f"{asked.root}.{ROOT}.json"), *before.documents()),
        )
        if self._remembered(asked, known.tag()) != asked.tag:
            return None
        now = _State(self, newest.snapshot_meta.version, asked.shards)
        files = [
            *self._roots(asked.root),
            CarriedV1(body=timestamp, name=f"{TIMESTAMP}.json"),
            *now.files_since(before),
        ]
        packed = pack_catch_up(CatchUpV1(files=tuple(files)), known)
        if packed is None or len(packed) > MAX_CATCH_UP - SIGNATURE:
            return None
        signature = self._sign(signed_bytes(address_of(known, asked.shards), packed))
        return signature + packed

    def _remembered(self, asked: Asked, tag: str) -> str:
        self._tags[asked.root, asked.snapshot, asked.shards] = tag
        if len(self._tags) > TAGS:
            self._tags.popitem(last=False)
        return tag

    def _roots(self, after: int) -> Iterator[CarriedV1]:
        version = after + 1
        while (self._metadata / f"{version}.{ROOT}.json").exists():
            yield self.metadata(ROOT, version)
            version += 1

    def metadata(self, role: str, version: int) -> CarriedV1:
        name = f"{version}.{role}.json"
        return CarriedV1(body=self._named(name), name=name)

    def deltas(self, index: ShardIndexV1, serial: int) -> Iterator[CarriedV1]:
        """Yield what leads from a serial to the index's; a base is large and comes by itself."""
        for file in plan(index, serial):
            if isinstance(file, BaseFileV1) or file.size_bytes > MAX_CATCH_UP:
                return
            yield carried_delta(self._read_content(file.sha256))

    def index(self, role: Targets, shard: str) -> bytes:
        target = role.targets.get(target_of(shard))
        if target is None:
            return b""
        return self._targets.joinpath(*target.get_prefixed_paths()).read_bytes()

    def _named(self, name: str) -> bytes:
        return (self._metadata / name).read_bytes()


class _State:
    """What was in force at one snapshot, as far as these shards go."""

    def __init__(self, files: CatchUps, snapshot: int, shards: Iterable[str]) -> None:
        self._files = files
        self._shards = sorted(shards)
        self.snapshot = files.metadata(SNAPSHOT, snapshot)
        signed: Snapshot = Metadata[Snapshot].from_bytes(self.snapshot.body).signed
        self.versions = {name.removesuffix(".json"): m.version for name, m in signed.meta.items()}
        self.roles = {
            role: files.metadata(role, self.versions[role])
            for role in sorted({role_of(shard) for shard in self._shards})
        }

    def documents(self) -> Iterator[bytes]:
        """Yield what a machine that follows these shards has then, in the order of `Known`."""
        yield self.snapshot.body
        yield from (role.body for role in self.roles.values())
        yield from self.indexes().values()

    def indexes(self) -> dict[str, bytes]:
        signed: dict[str, Targets] = {
            role: Metadata[Targets].from_bytes(file.body).signed
            for role, file in self.roles.items()
        }
        return {s: self._files.index(signed[role_of(s)], s) for s in self._shards}

    def files_since(self, before: _State) -> Iterator[CarriedV1]:
        """Yield what is other now, in the order in which it is asked for."""
        if self.snapshot == before.snapshot:
            return
        yield self.snapshot
        if self.versions[TARGETS] != before.versions[TARGETS]:
            yield self._files.metadata(TARGETS, self.versions[TARGETS])
        yield from (file for role, file in self.roles.items() if file != before.roles[role])
        earlier = before.indexes()
        for shard, body in self.indexes().items():
            if body and body != earlier[shard]:
                yield CarriedV1(body=body)
                index = read_index(body, lineage=None, shard=shard)
                yield from self._files.deltas(index, _serial(earlier[shard], index))


def _serial(earlier: bytes, index: ShardIndexV1) -> int:
    """Return the serial of what a machine had; 0 of another catalog, of which a base is due."""
    if not earlier:
        return 0
    before = read_index(earlier, lineage=None, shard=index.shard)
    return before.serial if before.lineage == index.lineage else 0
