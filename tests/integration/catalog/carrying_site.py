"""A site that exports its catalog and takes in others', asked by the real commands."""

from __future__ import annotations

import asyncio
import io
import json
import shlex
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from rich.console import Console

from patchtide.adapters.content.carried import ExportFolder, ImportFolder
from patchtide.adapters.feeds.imported import ImportedFeed
from patchtide.adapters.trust.keys import KeyFolder
from patchtide.adapters.trust.repository import TrustRepository
from patchtide.adapters.trust.vouching import Voucher
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.entry.cli.client import Answer, request_of
from patchtide.entry.cli.commands import run
from patchtide.server.catalog_export import CatalogExports
from patchtide.server.catalog_files import CatalogExchange
from patchtide.server.catalog_import import CatalogImports
from patchtide.server.ports.feed import ALL, FeedContent, FeedHead, Wanted
from patchtide.server.synchronisation import Synchronisation
from patchtide.server.synchronisation_desk import Progress, SynchronisationDesk
from patchtide.server.table import Operation
from patchtide.server.vendor_shelf import VendorShelf
from tests.integration.catalog.node import Node, node
from tests.integration.catalog.test_synchronisation import SHARD, FakeFeed
from tests.integration.http.plane import AdministratorsPlane


class ImportedHere:
    """The feed of imported catalogs, without a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._feed = ImportedFeed(folder, run=None, root=folder)
        self._now = datetime.now

    def fetch(self, wanted: Wanted = ALL) -> None:
        """There is nothing to bring."""

    def head(self) -> FeedHead:
        content = self.read(now=self._now())
        return FeedHead(as_of=content.as_of, stamp=content.stamp, note=content.note)

    def read(self, *, now: datetime) -> FeedContent:
        return self._feed.read(now=now)

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        return updates


class Site:
    """Its catalog comes from a feed that the test fills, or from files."""

    def __init__(self, here: Node, name: str, feed: FakeFeed | None) -> None:
        self.here, self.feed, self.name = here, feed, name
        self.imports = here.folder / "imports"
        self.keys = KeyFolder(here.folder / "keys")
        self.repository = TrustRepository(here.folder / "published", self.keys)
        self.shelf = VendorShelf(
            content=here.content,
            signer=self.repository,
            lineage=here.catalog.lineage,
            naming=here.catalog.naming,
        )
        progress = Progress()
        vouching = Voucher(here.folder / "published", self.keys)
        self.desk = SynchronisationDesk(
            synchronisation=Synchronisation(
                feed=feed or ImportedHere(self.imports),
                reading=here.storage,
                decisions=here.storage,
                publisher=here.catalog,
                details=here.details,
                clock=here.clock,
                vendors=self.shelf,
                heard=progress.note,
            ),
            stop=lambda: None,
            progress=progress,
            decisions=here.storage,
            lookups=here.storage,
            clock=here.clock,
            node=name,
        )
        self.plane = AdministratorsPlane(
            storage=here.storage,
            clock=here.clock,
            catalog=here.catalog,
            desk=self.desk,
            exchange=CatalogExchange(
                exports=CatalogExports(
                    reading=here.storage,
                    catalog=here.catalog,
                    files=ExportFolder(here.folder / "exports", here.content),
                    vouching=vouching,
                    signed=self.repository.signed,
                    site=name,
                ),
                imports=CatalogImports(
                    files=ImportFolder(self.imports, here.content),
                    vouching=vouching,
                    progress=progress,
                    is_read=feed is None,
                ),
            ),
        )
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._token = ""

    async def ask(self, command: str) -> tuple[int, dict[str, Any]]:
        """Run a command of `patchtide catalog`; return its exit code and what it printed."""
        if not self._token:
            self._token = await self.plane.token(role="full-administrator")
        loop, text = asyncio.get_running_loop(), io.StringIO()

        def ask(operation: Operation, values: Mapping[str, Any]) -> Answer:
            self.asked.append((operation.name, dict(values)))
            target, body = request_of(operation, values)
            document = None if body is None else json.loads(body)
            asked = self.plane.ask(operation.method, target, token=self._token, document=document)
            answer = asyncio.run_coroutine_threadsafe(asked, loop).result(60)
            return Answer(status=answer.status, body=answer.body)

        console = Console(file=text, width=200, color_system=None, force_terminal=False)
        words = ["catalog", *shlex.split(command), "--json"]
        code = await asyncio.to_thread(run, words, ask=ask, console=console)
        return code, json.loads(text.getvalue() or "{}")

    async def synchronise(self, *updates: FeedUpdate) -> None:
        assert self.feed is not None
        self.feed.updates = updates
        synchronisation = self.desk.synchronisation
        assert synchronisation is not None
        await synchronisation.run("admin")

    async def trusts(self, other: Site, name: str = "hq") -> None:
        root = Voucher(other.here.folder / "published", other.keys).root_digest().hex()
        code, said = await self.ask(f"trust-exporter {name} {root}")
        assert code == 0, said

    def titles(self) -> list[str]:
        if SHARD not in self.here.catalog.serials():
            return []
        return self.here.fetched(SHARD, {}, serial=0)


@asynccontextmanager
async def site(url: str, folder: Path, name: str, *, feed: bool = False) -> AsyncIterator[Site]:
    async with node(url, folder) as here:
        made = Site(here, name, FakeFeed() if feed else None)
        try:
            yield made
        finally:
            await made.desk.close()
