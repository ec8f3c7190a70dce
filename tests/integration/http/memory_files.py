"""Catalogs in files, in memory: one that is whole, vouched for by whoever is pinned."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime

from patchtide.domain.errors import NotFound
from patchtide.server.ports.catalog_files import PartKind, Pin
from patchtide.wire.catalog_file import (
    ManifestV1,
    PartV1,
    Read,
    VoucherV1,
    make_head,
    name_of,
)
from patchtide.wire.messages import encode

ROOT = bytes.fromhex("ab" * 32)
_MANIFEST = encode(
    ManifestV1(site="hq", lineage=bytes(16), made_at=1, serials={}, updates=0, parts=())
)
NAME = name_of(_MANIFEST)
WHOLE = make_head(VoucherV1(roots=(), targets=b"", signatures=()), _MANIFEST)


class AnyVoucher:
    """Vouches for everything, as the first that is pinned."""

    def root_digest(self) -> bytes:
        return ROOT

    def vouch(self, manifest: bytes) -> VoucherV1:
        return VoucherV1(roots=(), targets=b"", signatures=())

    def verified(
        self, voucher: VoucherV1, manifest: bytes, *, pins: Mapping[str, Pin], now: datetime
    ) -> tuple[str, Pin]:
        return next(iter(pins.items()))


class MemoryFiles:
    """Both what leaves and what arrives: the one file is there already."""

    def __init__(self) -> None:
        self.files = {NAME: WHOLE}

    def content(self) -> Mapping[bytes, int]:
        return {}

    def put(self, kind: PartKind, data: bytes) -> PartV1:
        return PartV1(kind, ROOT, len(data))

    def finish(self, name: str, head: bytes, parts: Sequence[PartV1]) -> None:
        self.files[name] = head

    def read(self, name: str, offset: int, *, at_most: int) -> tuple[bytes, int]:
        if name not in self.files:
            raise NotFound
        return self.files[name][offset : offset + at_most], len(self.files[name])

    def received(self, name: str) -> int:
        return len(self.files.get(name, b""))

    def append(self, name: str, piece: bytes, *, at: int) -> int:
        if at == self.received(name):
            self.files[name] = self.files.get(name, b"") + piece
        return self.received(name)

    @contextmanager
    def reading(self, name: str) -> Iterator[Read]:
        if name not in self.files:
            raise NotFound
        yield io.BytesIO(self.files[name]).read

    def drop(self, name: str) -> None:
        self.files.pop(name, None)

    def keep_content(self, read: Read, parts: Iterable[PartV1]) -> int:
        return 0

    def take(self, name: str, *, exporter: str, length: int) -> None:
        """It stays where it is."""

    def forget(self, exporter: str) -> None:
        """Nothing of it is here."""
