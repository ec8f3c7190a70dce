"""Catalogs carried in files, as they are asked for: exported, sent in pieces, taken in."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated

from msgspec import Meta

from patchtide.domain.access.principals import Principal
from patchtide.domain.errors import WrongState
from patchtide.server import catalog_import
from patchtide.server.catalog_export import EXPORTED, Export, timed
from patchtide.server.catalog_import import EXPORTERS, IMPORTED, Exporter, read_exporters
from patchtide.server.context import Call
from patchtide.server.patterns import LABEL, SHA256
from patchtide.server.ports.decisions import Transaction
from patchtide.server.synchronisation_runs import Run
from patchtide.server.synchronisations import ShownSynchronisation, shown
from patchtide.server.table import Input, Nothing, Output
from patchtide.wire.catalog_file import ManifestV1

PIECE_BYTES = 512 << 10
"""What a request may have, in JSON's own letters, holds it."""
FileName = Annotated[
    str, Meta(pattern=SHA256, description="What the file is called: 64 hex digits.")
]
SiteName = Annotated[
    str,
    Meta(pattern=LABEL, description="What the site is called here."),
]
Offset = Annotated[int, Meta(ge=0, lt=2**53, description="Where in the file, in bytes.")]


class MakeExport(Input, kw_only=True, frozen=True):
    without_content: Annotated[
        bool, Meta(description="Only what is told of updates, not the packages that lie here.")
    ] = False


class ShownExport(Output, kw_only=True, frozen=True):
    export: str
    """What it is called; equal names, equal files."""
    site: str
    made_at: datetime
    updates: int
    contents: int
    """How many packages it carries."""
    size_bytes: int
    root: str
    """What whoever takes it in has to pin once (SHA-256)."""


class FetchPiece(Input, kw_only=True, frozen=True):
    export: FileName
    offset: Offset = 0


class ShownPiece(Output, kw_only=True, frozen=True):
    data: bytes
    """In base64; the next piece begins behind it."""
    size_bytes: int
    """Of the whole file."""


class SendPiece(Input, kw_only=True, frozen=True):
    export: FileName
    offset: Offset = 0
    data: Annotated[
        bytes, Meta(max_length=PIECE_BYTES, description="In base64; none: only ask what is there.")
    ] = b""


class ShownReceived(Output, kw_only=True, frozen=True):
    received: int
    """How much of the file is here, and where the next piece belongs."""


class TakeIn(Input, kw_only=True, frozen=True):
    export: FileName


class TrustExporter(Input, kw_only=True, frozen=True):
    name: SiteName
    root: Annotated[
        str,
        Meta(
            pattern=SHA256,
            description="SHA-256 of its root, as its own `catalog make-export` says.",
        ),
    ]


class DistrustExporter(Input, kw_only=True, frozen=True):
    name: SiteName


class ShownExporter(Output, kw_only=True, frozen=True):
    name: str
    root: str
    """Of the newest root that was seen."""
    site: str
    made_at: datetime | None
    """When the last file was made that was taken in."""
    pinned_at: datetime
    by: str


class ExporterList(Output, kw_only=True, frozen=True):
    items: tuple[ShownExporter, ...]


async def make_export(call: Call, principal: Principal, asked: MakeExport) -> ShownExport:
    """Raises KeysElsewhere: this server cannot sign for its feeds."""
    exports = call.context.exchange.exports
    async with exports.making:
        gathered = await call.read(lambda: exports.gathered(with_content=not asked.without_content))

        def work(tx: Transaction) -> ManifestV1:
            now = int(call.now.timestamp())
            manifest, kept = timed(gathered, tx.lock_setting(EXPORTED), now=now)
            tx.put_setting(EXPORTED, kept)
            tx.note("catalog", updates=manifest.updates, parts=len(manifest.parts))
            return manifest

        manifest = await call.decide(principal, work)
        return _shown(await call.read(lambda: exports.finished(manifest)))


async def export_piece(call: Call, principal: Principal, asked: FetchPiece) -> ShownPiece:
    """Raises NotFound: there is no such export (any more)."""
    exports = call.context.exchange.exports
    data, size = await call.read(
        lambda: exports.piece(asked.export, asked.offset, at_most=PIECE_BYTES)
    )
    return ShownPiece(data=data, size_bytes=size)


async def import_piece(call: Call, principal: Principal, asked: SendPiece) -> ShownReceived:
    files = call.context.exchange.imports.files
    received = await call.read(lambda: files.append(asked.export, asked.data, at=asked.offset))
    return ShownReceived(received=received)


async def take_in(call: Call, principal: Principal, asked: TakeIn) -> ShownSynchronisation:
    """Raises WrongState: nothing would read it, or a synchronisation is running already.

    CatalogFileDamaged, ExporterUnknown, CatalogFileNotSigned, CatalogFileWentBack
    """
    imports, desk = call.context.exchange.imports, call.context.synchronisations
    if not imports.is_read:
        raise WrongState("this server takes no catalogs in; start it with --feed imported")
    exporters = read_exporters(await call.read(lambda: call.context.lookups.setting(EXPORTERS)))
    found = await call.read(lambda: imports.arrived(asked.export, exporters, now=call.now))

    async def decide(begin: Callable[[Transaction], Run]) -> Run:
        def work(tx: Transaction) -> Run:
            catalog_import.accept(tx, found)
            return begin(tx)

        return await call.decide(principal, work)

    run = await desk.begin(
        decide,
        by=principal.actor,
        full=True,
        feeds=(IMPORTED,),
        before=lambda: imports.prepared(found),
    )
    return shown(run, None)


async def exporters(call: Call, principal: Principal, asked: Nothing) -> ExporterList:
    known = read_exporters(await call.read(lambda: call.context.lookups.setting(EXPORTERS)))
    return ExporterList(items=tuple(_shown_exporter(n, x) for n, x in sorted(known.items())))


async def trust_exporter(call: Call, principal: Principal, asked: TrustExporter) -> ShownExporter:
    """Raises Refused: another root is pinned under that name."""
    root = bytes.fromhex(asked.root)

    def work(tx: Transaction) -> Exporter:
        catalog_import.trust(tx, asked.name, root, by=principal.actor, now=call.now)
        return read_exporters(tx.setting(EXPORTERS))[asked.name]

    return _shown_exporter(asked.name, await call.decide(principal, work))


async def distrust_exporter(call: Call, principal: Principal, asked: DistrustExporter) -> None:
    """Raises NotFound: no site is pinned under that name."""
    await call.decide(principal, lambda tx: catalog_import.distrust(tx, asked.name))
    await call.read(lambda: call.context.exchange.imports.files.forget(asked.name))


def _shown(export: Export) -> ShownExport:
    manifest = export.manifest
    return ShownExport(
        export=export.name,
        site=manifest.site,
        made_at=datetime.fromtimestamp(manifest.made_at, UTC),
        updates=manifest.updates,
        contents=sum(part.kind == "content" for part in manifest.parts),
        size_bytes=export.size_bytes,
        root=export.root.hex(),
    )


def _shown_exporter(name: str, exporter: Exporter) -> ShownExporter:
    at = exporter.made_at
    return ShownExporter(
        name=name,
        root=exporter.pin.root.hex(),
        site=exporter.site,
        made_at=datetime.fromtimestamp(at, UTC) if at else None,
        pinned_at=datetime.fromtimestamp(exporter.pinned_at, UTC),
        by=exporter.by,
    )
