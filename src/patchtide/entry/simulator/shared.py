"""What simulated machines share, so that thousands fit in a process.

All machines of a site verify the same metadata and fetch the same files; here that is done once
for all of them. Each machine's own part is real: its key, counter, journal, brain, requests and
reports, each over TLS.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from patchtide.adapters.platforms.simulated import SimulatedPlatform
from patchtide.adapters.transport.link import TlsLink
from patchtide.agent.catalog import LocalCatalog
from patchtide.agent.ports.content import Blobs
from patchtide.agent.ports.journal import ShardStore
from patchtide.agent.ports.link import Answer, Outgoing
from patchtide.agent.ports.trust import Compare, Trust, TrustEvent
from patchtide.agent.reporting import ScanResult

FRESH_S = 1.0
T = TypeVar("T")


class SharedTrust:
    """One trust for all, in a thread of its own; refreshed at most once a second."""

    def __init__(self, made: Callable[[], Trust]) -> None:
        self._thread = ThreadPoolExecutor(1)
        self._trust = self._do(made)
        self._refreshed_at = 0.0

    def _do(self, work: Callable[[], T]) -> T:
        return self._thread.submit(work).result()

    def refresh(self, now: float, *, root_version: int = 0) -> tuple[TrustEvent, ...]:
        """Verify anew; the metadata's age is that of the real clock, whatever the machine's is."""
        del now

        def work() -> tuple[TrustEvent, ...]:
            if time.monotonic() - self._refreshed_at < FRESH_S:
                return ()
            events = self._trust.refresh(time.time(), root_version=root_version)
            self._refreshed_at = time.monotonic()
            return events

        return self._do(work)

    def read_target(self, path: str, max_size: int) -> bytes:
        return self._do(lambda: self._trust.read_target(path, max_size))

    def trust_seen(self) -> Mapping[str, bytes]:
        return self._do(self._trust.trust_seen)

    def take_events(self) -> tuple[TrustEvent, ...]:
        return self._do(self._trust.take_events)

    def raise_floor(self, role: str, version: int) -> None:
        self._do(lambda: self._trust.raise_floor(role, version))

    def check_package(
        self, name: str, version: str, compare: Compare, *, order: bytes = b"", now: float
    ) -> None:
        """Package floors are a machine's own; simulated machines have none to share."""

    def package_installed(self, name: str, version: str, compare: Compare) -> None:
        """See `check_package`."""


class SharedBlobs:
    """Each file is fetched once."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs
        self._held: dict[bytes, bytes] = {}
        self._lock = threading.Lock()

    def read(self, digest: bytes, *, at_most: int) -> bytes:
        with self._lock:
            if digest not in self._held:
                self._held[digest] = self._blobs.read(digest, at_most=at_most)
            return self._held[digest]


Verdicts = dict[tuple[object, ...], ScanResult]


class SharedScans:
    """A machine's catalog, whose verdicts are shared by machines with the very same facts."""

    def __init__(
        self,
        catalog: LocalCatalog,
        *,
        store: ShardStore,
        platform: SimulatedPlatform,
        verdicts: Verdicts,
    ) -> None:
        self._catalog = catalog
        self._store = store
        self._platform = platform
        self._verdicts = verdicts
        self.serials = catalog.serials
        self.refresh = catalog.refresh
        self.take_events = catalog.take_events
        self.seen = catalog.seen
        self.leaves = catalog.leaves

    def scan(self, *, now: float) -> ScanResult:
        heads = sorted((n, h.lineage, h.serial) for n, h in self._store.shards().items())
        key = (*heads, self._platform.fingerprint())
        known = self._verdicts.get(key)
        if known is None:
            known = self._verdicts[key] = self._catalog.scan(now=now)
        boot_id = self._platform.uptime().boot_id
        return ScanResult(
            states=known.states,
            shards=known.shards,
            scan=known.scan,
            at=int(now),
            boot_id=boot_id,
            error=known.error,
            facts=known.facts,
            aged=known.aged,
        )


class RealTimeLink:
    """Signs with the real time: only the machines' own time is virtual."""

    def __init__(self, link: TlsLink) -> None:
        self._link = link

    def check_in(self, message: Outgoing) -> Answer:
        return self._link.check_in(_now(message))

    def report(self, message: Outgoing) -> Answer:
        return self._link.report(_now(message))

    def inventory(self, message: Outgoing) -> Answer:
        return self._link.inventory(_now(message))


def _now(message: Outgoing) -> Outgoing:
    return Outgoing(body=message.body, counter=message.counter, created=int(time.time()))
