"""What use cases need to carry catalogs in files: where they lie, and who vouches for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol

from msgspec import Struct

from patchtide.domain.errors import Refused
from patchtide.wire.catalog_file import PartV1, Read, VoucherV1

PartKind = Literal["updates", "vendors"]


class ExporterUnknown(Refused):
    """Nobody here has said that catalogs of this site are to be believed."""

    code = "exporter-unknown"


class CatalogFileNotSigned(Refused):
    """The file is not signed as its site's own root requires."""

    code = "catalog-file-not-signed"


class Pin(Struct, frozen=True, kw_only=True):
    """As far as another site is known: nothing older of it is ever believed again."""

    root: bytes
    """SHA-256 of its root."""
    targets: int = 0
    """The version of what names its keys."""


class Vouching(Protocol):
    """Signs for this site's catalog, and knows another's signature by its pinned root."""

    def root_digest(self) -> bytes:
        """Return what another site has to pin."""
        ...

    def vouch(self, manifest: bytes) -> VoucherV1:
        """Raises KeysElsewhere: this server cannot sign for its feeds."""
        ...

    def verified(
        self, voucher: VoucherV1, manifest: bytes, *, pins: Mapping[str, Pin], now: datetime
    ) -> tuple[str, Pin]:
        """Return by whose pin it holds, and that pin as it has to be from now on.

        Raises:
            ExporterUnknown: by none.
            CatalogFileNotSigned: its roots do not follow each other, or a threshold is not met.
            CatalogFileDamaged: what leads to its signatures cannot be read.
        """
        ...


class ExportFiles(Protocol):
    """The newest export, its parts beside the content that the site holds anyway."""

    def content(self) -> Mapping[bytes, int]:
        """Return what content there is: digest -> length."""
        ...

    def put(self, kind: PartKind, data: bytes) -> PartV1:
        """Keep a part that was made for the file."""
        ...

    def finish(self, name: str, head: bytes, parts: Sequence[PartV1]) -> None:
        """Have it read as that export from now on, and none before it."""
        ...

    def read(self, name: str, offset: int, *, at_most: int) -> tuple[bytes, int]:
        """Return a piece and the whole length.

        Raises:
            NotFound: there is no such export (any more).
        """
        ...


class ImportFiles(Protocol):
    """A file on its way here, and the last one that was taken in, of each exporter."""

    def received(self, name: str) -> int:
        """Return how much of it is here."""
        ...

    def append(self, name: str, piece: bytes, *, at: int) -> int:
        """Add a piece where it belongs, or nothing if it belongs elsewhere; return `received`.

        Of two files on their way the one that began later stays.
        """
        ...

    def reading(self, name: str) -> AbstractContextManager[Read]:
        """Read it from its start.

        Raises:
            NotFound: nothing of it is here.
        """
        ...

    def drop(self, name: str) -> None: ...

    def keep_content(self, read: Read, parts: Iterable[PartV1]) -> int:
        """Read on, keep what content of the parts is not there yet, and return how many."""
        ...

    def take(self, name: str, *, exporter: str, length: int) -> None:
        """Put so much of it, which was verified, in the place of that exporter's last one."""
        ...

    def forget(self, exporter: str) -> None: ...
