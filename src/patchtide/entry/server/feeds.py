"""The feeds' side of a server: the process that reads, and who has it read what and when."""

from __future__ import annotations

import socket

from patchtide.adapters.storage import Storage
from patchtide.entry.server.feed_process import Through
from patchtide.entry.server.feeds_together import feed_of
from patchtide.entry.server.settings import ServerSettings
from patchtide.server.catalog import CatalogPublisher
from patchtide.server.descriptions import Descriptions
from patchtide.server.fleet import Fleet
from patchtide.server.ports.clock import Clock
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import Progress, SynchronisationDesk
from patchtide.server.vendor_shelf import VendorShelf


def build_feeds_side(
    settings: ServerSettings,
    storage: Storage,
    *,
    catalog: CatalogPublisher,
    fleet: Fleet,
    clock: Clock,
    vendors: VendorShelf,
) -> tuple[SynchronisationDesk, Descriptions]:
    progress = Progress()
    feed = feed_of(
        settings.feed,
        settings.home / "feed",
        heard=progress.note,
        advisories=settings.advisories,
        through=Through(
            proxy=settings.proxy, account=settings.proxy_account, direct=settings.proxy_direct
        ),
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
    return desk, descriptions
