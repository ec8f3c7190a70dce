"""The feeds' side of a server: the process that reads, and the desk that has it read."""

from __future__ import annotations

import socket

from patchtide.adapters.storage import Storage
from patchtide.entry.server.feed_process import feed_of
from patchtide.entry.server.settings import ServerSettings
from patchtide.server.catalog import CatalogPublisher
from patchtide.server.ports.clock import Clock
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import Progress, SynchronisationDesk


def build_desk(
    settings: ServerSettings, storage: Storage, catalog: CatalogPublisher, clock: Clock
) -> SynchronisationDesk:
    progress = Progress()
    feed = feed_of(settings.feed, settings.home / "feed", heard=progress.note)
    return SynchronisationDesk(
        synchronisation=None
        if feed is None
        else Synchronisation(
            feed=feed,
            reading=storage,
            decisions=storage,
            publisher=catalog,
            clock=clock,
            heard=progress.note,
        ),
        stop=(lambda: None) if feed is None else feed.stop,
        progress=progress,
        decisions=storage,
        lookups=storage,
        clock=clock,
        node=f"{socket.gethostname()}:{settings.home.absolute()}",
    )
