"""Catalogs that administrators took in from other sites' files, read as any feed is.

The server has verified who signed each file before it got its name, which holds the digest of its
manifest; here every part is held against that manifest before it is unpacked. Of what a file tells
only what a feed may say is passed on: what people of another site published, this site's own
publisher has to sign, and rules that name leaves by number mean that site's numbers.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO

from patchtide.adapters.feeds.errors import FeedDamaged, FeedDisputed, FeedUnreachable
from patchtide.adapters.feeds.imported_vendors import vendors_in
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.feed_bounds import out_of_bounds
from patchtide.domain.catalog.leaves import Leaf
from patchtide.domain.errors import InvalidDocument
from patchtide.server.ports.feed import FeedContent, Tried, VendorIndex
from patchtide.wire.catalog_file import (
    CarriedUpdateV1,
    CatalogFileDamaged,
    ManifestV1,
    PartV1,
    name_of,
    read_head,
    read_manifest,
    read_updates,
    suite_of,
)
from patchtide.wire.leaves import decode_leaf
from patchtide.wire.shard_plan import FEEDS, role_of
from patchtide.wire.spool import read_details

_TAKEN = re.compile(r"(?P<exporter>[a-z0-9][a-z0-9-]*)\.(?P<name>[0-9a-f]{64})\.catalog")
_NOTHING = "no catalog was taken in yet: patchtide catalog import"
OF_PEOPLE = "published by people there, so this site's own publisher has to sign it"
UNREAD = "it cannot be read"
UNTOLD = "nothing is told of it for people"


@dataclass(frozen=True, slots=True)
class _Taken:
    exporter: str
    path: Path
    manifest: ManifestV1

    @property
    def at(self) -> datetime:
        return datetime.fromtimestamp(self.manifest.made_at, UTC)

    @property
    def suite(self) -> str:
        return suite_of(self.exporter)


class ImportedFeed:
    """Reads the files in `root`. One that is damaged refuses all: nobody knows what it said."""

    def __init__(self, folder: Path, *, run: Any, root: Path, proxy: Any = None) -> None:
        """All but `root` is for feeds that keep things, start programs and reach somebody."""
        del folder, run, proxy
        self._root = root

    def places(self) -> Sequence[str]:
        """Return none: it reaches nobody."""
        return ()

    def try_one(self, place: str) -> Tried:
        """Raises FeedUnreachable: there is no such place."""
        raise FeedUnreachable(f"catalogs come in files, not from {place}")

    def fetch(self, *, now: datetime, selection: Any = None) -> None:
        """There is nothing to bring: people bring it."""

    def stamp(self, *, now: datetime) -> bytes:
        digest = sha256(b"patchtide-imported-1\0")
        for path in self._files():
            digest.update(path.name.encode() + b"\0")
        return digest.digest()

    def read(self, *, now: datetime) -> FeedContent:
        """Raises FeedDamaged, FeedDisputed: two sites tell of one system."""
        shards: dict[str, tuple[FeedUpdate, ...]] = {}
        vendors: dict[str, tuple[VendorIndex, ...]] = {}
        refused: Counter[str] = Counter()
        taken = [_opened(path) for path in self._files()]
        for one in taken:
            found = _read(one, refused)
            if twice := sorted(shards.keys() & found.keys()):
                raise FeedDisputed(f"{one.exporter}: another site tells of {twice[0]} already")
            shards.update(found)
            vendors.update(vendors_in(one.path, one.manifest, found))
        notes = [f"of {x.exporter}, made at {x.at:%F %R}" for x in taken] or [_NOTHING]
        notes += [f"refused {times}: {why}" for why, times in sorted(refused.items())]
        return FeedContent(
            shards=shards,
            vendors=vendors,
            as_of={one.suite: one.at for one in taken},
            stamp=self.stamp(now=now),
            note="; ".join(notes),
        )

    def known(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Return them as they are."""
        return updates

    def learnt(self) -> bytes:
        """Return what stands for nothing: all is told at once."""
        return b""

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        """Return them as they are: their site said all that it knows."""
        return updates

    def _files(self) -> list[Path]:
        return sorted(path for path in self._root.glob("*") if _TAKEN.fullmatch(path.name))


def _opened(path: Path) -> _Taken:
    named = _TAKEN.fullmatch(path.name)
    with path.open("rb") as file:
        _, told = read_head(file.read)
    if named is None or name_of(told) != named["name"]:
        raise FeedDamaged(f"{path.name} is not what was taken in; import it again")
    return _Taken(named["exporter"], path, read_manifest(told))


def _read(taken: _Taken, refused: Counter[str]) -> dict[str, tuple[FeedUpdate, ...]]:
    found: dict[str, list[FeedUpdate]] = {
        shard: [] for shard in taken.manifest.serials if role_of(shard) == FEEDS
    }
    try:
        with taken.path.open("rb") as file:
            read_head(file.read)
            for part in taken.manifest.parts:
                if part.kind == "updates":
                    _take(file, part, found, refused)
    except CatalogFileDamaged as error:
        raise FeedDamaged(f"{taken.path.name}: {error}") from error
    return {shard: tuple(updates) for shard, updates in found.items()}


def _take(
    file: BinaryIO, part: PartV1, found: dict[str, list[FeedUpdate]], refused: Counter[str]
) -> None:
    updates = read_updates(file.read(part.size_bytes), part)
    for carried in updates.updates:
        if role_of(updates.shard) != FEEDS:
            refused[OF_PEOPLE] += 1
        elif updates.shard not in found:
            refused[UNREAD] += 1
        elif isinstance(read := _update(carried), str):
            refused[read] += 1
        else:
            found[updates.shard].append(read)


def _update(carried: CarriedUpdateV1) -> FeedUpdate | str:
    """Return the update as a feed tells of it, or why it is refused."""
    if carried.details is None:
        return UNTOLD
    try:
        leaves = tuple(_unnumbered(carried))
        details = read_details(carried.details)
    except InvalidDocument:
        return UNREAD
    update = FeedUpdate(details=details, leaves=leaves)
    return out_of_bounds(update) or update


def _unnumbered(carried: CarriedUpdateV1) -> Iterator[Leaf]:
    for entry in carried.leaves:
        leaf = decode_leaf(entry)
        yield replace(leaf, number=type(leaf.number)(0), revision=type(leaf.revision)(1))
