"""The feeds' side of a server: the process that reads, and who has it read what and when."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from patchtide.adapters.content.carried import ExportFolder, ImportFolder
from patchtide.adapters.content.files import FileContentStore
from patchtide.adapters.storage import Storage
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.vouching import Voucher
from patchtide.entry.server.feed_process import Through
from patchtide.entry.server.feeds_together import feed_of
from patchtide.entry.server.settings import ServerSettings
from patchtide.server.catalog import CatalogPublisher
from patchtide.server.catalog_export import CatalogExports
from patchtide.server.catalog_files import CatalogExchange
from patchtide.server.catalog_import import IMPORTED, CatalogImports
from patchtide.server.descriptions import Descriptions
from patchtide.server.fleet import Fleet
from patchtide.server.ports.clock import Clock
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import Progress, SynchronisationDesk
from patchtide.server.vendor_shelf import VendorShelf

IMPORTS = "imports"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedsSide:
    desk: SynchronisationDesk
    descriptions: Descriptions
    exchange: CatalogExchange


def build_feeds_side(
    settings: ServerSettings,
    storage: Storage,
    *,
    catalog: CatalogPublisher,
    fleet: Fleet,
    clock: Clock,
    vendors: VendorShelf,
) -> FeedsSide:
    progress = Progress()
    feed = feed_of(
        settings.feed,
        settings.home / "feed",
        heard=progress.note,
        advisories=settings.advisories,
        through=Through(
            proxy=settings.proxy, account=settings.proxy_account, direct=settings.proxy_direct
        ),
        imports=settings.home / IMPORTS,
    )
    descriptions = Descriptions(
        feed=feed, decisions=storage, reading=storage, fleet=fleet, clock=clock
    )
    synchronisation = None
    if feed is not None:
        synchronisation = Synchronisation(
            feed=feed,
            reading=storage,
            decisions=storage,
            publisher=catalog,
            details=descriptions,
            clock=clock,
            vendors=vendors,
            heard=progress.note,
        )
    desk = SynchronisationDesk(
        synchronisation=synchronisation,
        stop=(lambda: None) if feed is None else feed.stop,
        connections=feed,
        progress=progress,
        decisions=storage,
        lookups=storage,
        clock=clock,
        node=f"{socket.gethostname()}:{settings.home.absolute()}",
    )
    exchange = _exchange(settings, storage, catalog=catalog, progress=progress, vendors=vendors)
    return FeedsSide(desk=desk, descriptions=descriptions, exchange=exchange)


def _exchange(
    settings: ServerSettings,
    storage: Storage,
    *,
    catalog: CatalogPublisher,
    progress: Progress,
    vendors: VendorShelf,
) -> CatalogExchange:
    vouching = Voucher(settings.home / "published", KeyFolder(settings.home / "keys" / "trust"))
    content = FileContentStore(settings.home / "content")
    return CatalogExchange(
        exports=CatalogExports(
            reading=storage,
            catalog=catalog,
            files=ExportFolder(settings.home / "exports", content),
            vouching=vouching,
            signed=vendors.signer.signed,
            site=settings.site,
        ),
        imports=CatalogImports(
            files=ImportFolder(settings.home / IMPORTS, content),
            vouching=vouching,
            progress=progress,
            is_read=IMPORTED in settings.feed,
        ),
    )
