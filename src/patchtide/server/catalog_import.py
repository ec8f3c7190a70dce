"""Takes in a catalog that another site exported: verified whole, never an older one than before.

Who made it is known by a root that an administrator pinned once. The head is verified while he
waits, every part before any of it is read: that is the first step of the synchronisation by which
it comes into the catalog, as everything does. What is kept of an exporter only ever rises.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec

from patchtide.domain.errors import NotFound, Refused, Unavailable
from patchtide.server.feed_dates import forget
from patchtide.server.ports.catalog_files import ExporterUnknown, ImportFiles, Pin, Vouching
from patchtide.server.ports.decisions import Transaction
from patchtide.server.synchronisation_desk import Progress
from patchtide.wire.catalog_file import (
    CatalogFileDamaged,
    ManifestV1,
    Read,
    check_parts,
    name_of,
    read_head,
    read_manifest,
    size_of,
    suite_of,
    told_in,
)

EXPORTERS = "catalog.exporters"
IMPORTED = "imported"
"""What the feed is called that reads what was taken in."""
MAX_EXPORTERS = 100
_AHEAD = timedelta(days=1)
_MIB = 1 << 20


class CatalogFileWentBack(Refused):
    """The file is older than one of the same site that was taken in before."""

    code = "catalog-file-went-back"


class Exporter(msgspec.Struct, frozen=True, kw_only=True):
    """A site whose files are believed, and the last one of them that was."""

    pin: Pin
    by: str
    pinned_at: float
    site: str = ""
    """What it calls itself."""
    made_at: int = 0
    manifest: str = ""


Exporters = Mapping[str, Exporter]


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrived:
    """A file whose head was verified."""

    exporter: str
    pin: Pin
    name: str
    manifest: ManifestV1
    head: int
    """How long its head is."""


def read_exporters(data: bytes | None) -> dict[str, Exporter]:
    return msgspec.msgpack.decode(data, type=dict[str, Exporter]) if data else {}


def put_exporters(tx: Transaction, exporters: Exporters) -> None:
    tx.put_setting(EXPORTERS, msgspec.msgpack.encode(exporters))


class CatalogImports:
    """Blocks, but for `prepared`."""

    def __init__(
        self,
        *,
        files: ImportFiles,
        vouching: Vouching,
        progress: Progress,
        is_read: bool,
    ) -> None:
        """`is_read`: this server has the feed that reads what is taken in here."""
        self.files = files
        self.is_read = is_read
        self._vouching = vouching
        self._progress = progress

    def arrived(self, name: str, exporters: Exporters, *, now: datetime) -> Arrived:
        """Verify the head of a file.

        Raises:
            NotFound: it is not here.
            CatalogFileDamaged: it is no such file, or not all of it is here.
            ExporterUnknown, CatalogFileNotSigned, CatalogFileWentBack
        """
        pins = {known: exporter.pin for known, exporter in exporters.items()}
        with self.files.reading(name) as read:
            read = _Counted(read)
            voucher, told = read_head(read)
            exporter, pin = self._vouching.verified(voucher, told, pins=pins, now=now)
        manifest = read_manifest(told)
        found = Arrived(
            exporter=exporter, pin=pin, name=name_of(told), manifest=manifest, head=read.count
        )
        _require_no_older(found, exporters[exporter])
        if datetime.fromtimestamp(manifest.made_at, UTC) > now + _AHEAD:
            raise CatalogFileDamaged("it says that it is from the future: one of the clocks is off")
        self._require_whole(found, name)
        return found

    def _require_whole(self, found: Arrived, name: str) -> None:
        received, size = self.files.received(name), found.head + _sizes(found.manifest)
        for _ in told_in(found.manifest):
            pass
        if found.name != name:
            raise CatalogFileDamaged("it was sent under another file's name")
        if received < size:
            raise CatalogFileDamaged(f"{received} of {size} bytes are here; send the rest")

    async def prepared(self, found: Arrived) -> None:
        """Verify every part, keep the content, and have the feed read the rest.

        Raises:
            CatalogFileDamaged: a part is not what was signed; the file is gone then.
            Unavailable: there is no room for it.
        """
        try:
            await asyncio.to_thread(self._prepare, found)
        except CatalogFileDamaged:
            await asyncio.to_thread(self.files.drop, found.name)
            raise
        except OSError as error:
            raise Unavailable(f"it cannot be kept here: {error.strerror}") from error

    def _prepare(self, found: Arrived) -> None:
        parts = found.manifest.parts
        whole, done = max(1, _sizes(found.manifest) // _MIB), 0

        def heard(size: int) -> None:
            nonlocal done
            done += size
            self._progress.note("verifying", min(done // _MIB, whole), whole)

        with self.files.reading(found.name) as read:
            read_head(read)
            check_parts(read, parts, heard=heard)
        self._progress.note("keeping content")
        with self.files.reading(found.name) as read:
            read_head(read)
            self.files.keep_content(read, parts)
        length = found.head + size_of(b"", told_in(found.manifest))
        self.files.take(found.name, exporter=found.exporter, length=length)


class _Counted:
    def __init__(self, read: Read) -> None:
        self._read = read
        self.count = 0

    def __call__(self, size: int) -> bytes:
        found = self._read(size)
        self.count += len(found)
        return found


def accept(tx: Transaction, found: Arrived) -> None:
    """Keep that nothing older of this exporter counts any more.

    Raises:
        ExporterUnknown: nobody believes it any more.
        CatalogFileWentBack: a later one was taken in meanwhile.
    """
    exporters = read_exporters(tx.lock_setting(EXPORTERS))
    known = exporters.get(found.exporter)
    if known is None:
        raise ExporterUnknown
    _require_no_older(found, known)
    exporters[found.exporter] = msgspec.structs.replace(
        known,
        pin=found.pin,
        site=found.manifest.site,
        made_at=found.manifest.made_at,
        manifest=found.name,
    )
    put_exporters(tx, exporters)


def trust(tx: Transaction, name: str, root: bytes, *, by: str, now: datetime) -> None:
    """Believe from now on what is signed under this root.

    Raises:
        Refused: another root is pinned under that name, or there are too many.
    """
    exporters = read_exporters(tx.lock_setting(EXPORTERS))
    if (known := exporters.get(name)) is not None and known.pin.root != root:
        raise Refused(
            f"{name} has another root here; a new one that the old one signed comes with its"
            " file. If it began anew: distrust it first"
        )
    if len(exporters) >= MAX_EXPORTERS:
        raise Refused(f"at most {MAX_EXPORTERS} sites can be pinned")
    fresh = Exporter(pin=Pin(root=root), by=by, pinned_at=now.timestamp())
    put_exporters(tx, exporters | {name: known or fresh})
    tx.note(name, root=root.hex())


def distrust(tx: Transaction, name: str) -> None:
    """Raises NotFound: nobody believed it."""
    exporters = read_exporters(tx.lock_setting(EXPORTERS))
    if exporters.pop(name, None) is None:
        raise NotFound(f"no site is pinned as {name}")
    put_exporters(tx, exporters)
    forget(tx, [suite_of(name)])
    tx.note(name)


def _sizes(manifest: ManifestV1) -> int:
    return size_of(b"", manifest.parts)


def _require_no_older(found: Arrived, known: Exporter) -> None:
    made_at = found.manifest.made_at
    is_same = (made_at, found.name) == (known.made_at, known.manifest)
    if made_at < known.made_at or (made_at == known.made_at and not is_same):
        raise CatalogFileWentBack(
            f"it was made at {_moment(made_at)}; the last one of {found.exporter} that was taken"
            f" in, at {_moment(known.made_at)}"
        )


def _moment(epoch_s: int) -> str:
    return f"{datetime.fromtimestamp(epoch_s, UTC):%F %T}"
