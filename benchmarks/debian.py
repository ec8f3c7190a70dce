"""The real Debian catalog: its first synchronisation, and what machines fetch of it (SCN-10).

The sources are those of the machine that this runs on, so it needs a Debian or a kin of it, and a
way to its archive; without them it says so and measures nothing. What is downloaded is timed
apart. On the wire counts what a machine fetches of catalog and signed metadata, beside the whole
budget of SPEC section 3: what is left of it is for headers and the machine's own report.

A month is made of the real updates: thirty of them, one a day in thirty publications, are taken
for new. Debian has sent out between twenty and thirty security updates a month for years. What a
machine fetches of each publication is one answer (ADR 0031); beside it stands what the same costs
file by file, and what no packing can make smaller: signatures and digests.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha512
from pathlib import Path
from time import perf_counter

from benchmarks.rules import figure
from patchtide.adapters.feeds.apt_lists import AptLists
from patchtide.adapters.platforms.commands import run
from patchtide.adapters.trust.catching_up import CatchUps
from patchtide.adapters.trust.published import PublishedFiles
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.errors import PatchtideError
from patchtide.entry.server.feed_process import FeedProcess
from patchtide.entry.server.node import SystemClock
from patchtide.server.ports.feed import ALL, FeedContent, FeedHead, Wanted
from patchtide.server.synchronisation import Synchronisation
from patchtide.wire.catch_up import MAX_CATCH_UP, SIGNATURE, Known, address_of, read_address
from patchtide.wire.messages import encode
from patchtide.wire.shard_plan import plan
from tests.integration.catalog.node import Node, node

DICE = random.Random(20260302)
DAYS = 30
DIGEST = 32
AROUND = 211
"""Of one question and its answer: request, headers and records of TLS, as they were counted."""
FIRST_SCAN, MONTH = "<= 500 KB", "<= 30 KB"


@dataclass
class Told:
    """What was read once, as far as it is told already."""

    content: FeedContent
    day: int = 0

    def fetch(self, wanted: Wanted = ALL) -> None:
        """It is here."""

    def head(self) -> FeedHead:
        return replace(self.content, stamp=f"day {self.day}".encode())

    def read(self, *, now: object) -> FeedContent:
        return replace(self.content, stamp=f"day {self.day}".encode())

    def describe(self, updates: Sequence[FeedUpdate]) -> Sequence[FeedUpdate]:
        return updates


def synchronisation(here: Node, feed: Told | FeedProcess) -> Synchronisation:
    return Synchronisation(
        feed=feed,
        reading=here.storage,
        decisions=here.decisions,
        publisher=here.catalog,
        details=here.descriptions(feed),
        clock=SystemClock(),
    )


def apt_alone(spool: Path) -> float:
    """Return how long apt itself takes to find that there is nothing new in the same folder."""
    start = perf_counter()
    AptLists(spool / "apt/fetched", etc=Path("/etc/apt"), run=run).fetch()
    return perf_counter() - start


def size_of(folder: Path, *names: str) -> int:
    """Return the bytes of the newest metadata of these roles."""
    newest = (max(folder.rglob(f"*{name}.json"), key=lambda p: p.stat().st_mtime) for name in names)
    return sum(path.stat().st_size for path in newest)


def fetched(here: Node, shard: str, *, serial: int) -> int:
    """Return the bytes of a shard's index and of all that leads from a serial to the newest."""
    index = here.index(shard)
    return len(encode(index)) + sum(file.size_bytes for file in plan(index, serial))


def stands_at(here: Node, shard: str) -> Known:
    """Return what a machine has that fetched everything up to now."""
    published = here.folder / "published"
    newest = PublishedFiles(published).current()
    snapshot = newest["snapshot"].signed.version
    names = ("1.root", f"{snapshot}.snapshot", f"{newest['feeds'].signed.version}.feeds")
    metadata = [(published / "metadata" / f"{name}.json").read_bytes() for name in names]
    return Known(root=1, snapshot=snapshot, documents=(*metadata, encode(here.index(shard))))


def answered(here: Node, known: Known, shard: str) -> int:
    """Return the bytes of the one answer to a machine that stands there."""
    source = CatchUps(
        here.folder / "published",
        read_content=partial(here.content.read, at_most=MAX_CATCH_UP),
        sign=lambda signed: sha512(signed).digest(),  # as long as a signature, and as random
    )
    asked = read_address(address_of(known, [shard]))
    return len((source.answer(asked) if asked else None) or b"")


def incompressible(updates: Sequence[FeedUpdate]) -> int:
    """Return the digests of their files, and a day's signatures and digests around each."""
    files = sum(len(leaf.files) for update in updates for leaf in update.leaves)
    return DIGEST * files + (4 * SIGNATURE + 4 * DIGEST) * len(updates)


async def first(folder: Path) -> FeedContent:
    """Time the synchronisation of the machine's own sources, apart from the download."""
    spool = folder / "spool"
    feed = FeedProcess(spool, heard=lambda *_: None)
    start = perf_counter()
    await asyncio.to_thread(feed.fetch)
    print(f"downloaded and read once in {perf_counter() - start:.1f} s")
    (spool / "content").unlink()
    async with node(f"sqlite:///{folder}/first.sqlite", folder / "first") as here:
        synchronise = synchronisation(here, feed)
        for title, budget in (("first", "<= 30 s"), ("again, nothing new", "<= 1 s")):
            alone = await asyncio.to_thread(apt_alone, spool)
            before, start = here.decisions.count, perf_counter()
            made = await synchronise.run("admin")
            spent = perf_counter() - start
            print(f"{title}: {spent:.2f} s, {here.decisions.count - before} writing transactions")
            figure(
                f"Debian's {made.updates:,} updates, {title}, besides apt's own look",
                f"{max(0.0, spent - alone):.2f} s",
                budget,
                f"{alone:.2f} s",
            )
        for shard in here.catalog.serials():
            wire = fetched(here, shard, serial=0)
            signed = size_of(
                here.folder / "published", "root", "timestamp", "snapshot", "targets", "feeds"
            )
            figure(
                f"{shard}, first scan: shard {wire / 1e3:.0f} KB and metadata",
                f"{(wire + signed) / 1e3:.1f} KB",
                FIRST_SCAN,
                "-",
            )
    return feed.read(now=here.clock.now())


async def month(folder: Path, content: FeedContent) -> None:
    """Tell thirty of the updates one a day; a machine looks daily, another at the month's end."""
    shard, updates = max(content.shards.items(), key=lambda pair: len(pair[1]))
    new = DICE.sample(range(len(updates)), min(DAYS, len(updates) // 2))
    told = Told(replace(content, is_whole=True))
    async with node(f"sqlite:///{folder}/month.sqlite", folder / "month") as here:
        daily = metadata = apart = 0
        for day in range(len(new) + 1):
            known = stands_at(here, shard) if day else None
            waiting = set(new[day:])
            kept = tuple(each for at, each in enumerate(updates) if at not in waiting)
            told.day, told.content = day, replace(told.content, shards={shard: kept})
            await synchronisation(here, told).run("admin")
            if known is not None:
                serial = here.index(shard).serial
                daily += answered(here, known, shard) + AROUND
                apart += fetched(here, shard, serial=serial - 1)
                metadata += size_of(here.folder / "published", "timestamp", "snapshot", "feeds")
        once = fetched(here, shard, serial=here.index(shard).serial - len(new))
    last = metadata / len(new)
    figure(f"{len(new)} new updates, fetched once", f"{(once + last) / 1e3:.1f} KB", MONTH, "-")
    figure(
        f"{len(new)} new updates, one a day: answers with their headers",
        f"{daily / 1e3:.1f} KB",
        MONTH,
        f"{incompressible([updates[at] for at in new]) / 1e3:.1f} KB",
    )
    print(
        f"file by file, daily: {apart / 1e3:.1f} KB of deltas and indexes,"
        f" {metadata / 1e3:.1f} KB of signed metadata, and headers of five requests a day"
    )


async def measure(folder: Path) -> None:
    try:
        content = await first(folder)
    except PatchtideError as error:
        print(f"no Debian archive can be read here: {error.code}: {error}")
        return
    await month(folder, content)


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        asyncio.run(measure(Path(name)))


if __name__ == "__main__":
    main()
