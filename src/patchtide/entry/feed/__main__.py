"""Reads a feed for the server, which starts it: fetch, verify, read, write down, end.

This process meets what strangers wrote: archives, indices, packages. It is given neither a
database nor a key, and all it hands over is a file of bounded form (wire.spool). What it is at it
says line by line on its output, as JSON; the last line of one that failed is its error.
"""

from __future__ import annotations

import argparse
import errno
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TypeVar

import msgspec

from patchtide.adapters.feeds.advices import AdviceShelf
from patchtide.adapters.feeds.apt_machine import MachineFeed
from patchtide.adapters.feeds.errors import FeedTooBig, FeedUnreachable, SpoolNotWritten
from patchtide.adapters.feeds.imported import ImportedFeed
from patchtide.adapters.feeds.proxy import Proxy, read_proxy
from patchtide.adapters.feeds.rpm import RpmFeed
from patchtide.adapters.feeds.trying import tried
from patchtide.adapters.platforms.commands import run
from patchtide.domain.catalog.details import FeedUpdate
from patchtide.domain.catalog.enrichment import enriched
from patchtide.domain.catalog.selection import Selection
from patchtide.domain.errors import PatchtideError
from patchtide.server.ports.feed import FeedContent, VendorFile
from patchtide.server.synchronisation_plan import Choices, selection_of
from patchtide.wire.spool import (
    VENDORS,
    VendorFileV1,
    VendorIndexV1,
    Vendors,
    pack_spool,
)

T = TypeVar("T")
Feed = MachineFeed | RpmFeed | ImportedFeed
KINDS: Mapping[str, type[MachineFeed] | type[RpmFeed] | type[ImportedFeed]] = {
    "apt": MachineFeed,
    "rpm": RpmFeed,
    "imported": ImportedFeed,
}
ENDED = 143
MEMORY_BYTES = 2 << 30
FILE_BYTES = 2 << 30
"""The largest packages have a gibibyte."""
CPU_S = 900
BATCH = 20
"""So many updates are described between two words on how far it is."""


def main(arguments: Sequence[str] | None = None) -> int:
    os.umask(0o077)
    asked = _parser().parse_args(arguments)
    _bound()
    # Ended from outside, it ends what it has started: apt has a session of its own.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(ENDED))
    try:
        _work(asked)
    except PatchtideError as error:
        return _failed(error)
    except MemoryError:
        return _failed(FeedTooBig(f"reading it took more than {MEMORY_BYTES >> 20} MiB of memory"))
    except OSError as error:
        if error.errno == errno.EFBIG:
            return _failed(FeedTooBig(f"a file of it has more than {FILE_BYTES >> 20} MiB"))
        return _failed(SpoolNotWritten(f"{error.filename or asked.spool}: {error.strerror}"))
    return 0


def _bound() -> None:
    """Bound the memory, the length of a file and the time of this process, and of each it starts.

    Each has that much for itself, and a file that much each: it is the disk's size, or a quota of
    the spool's, that bounds all files together.
    """
    for kind, most, more in (
        (resource.RLIMIT_AS, MEMORY_BYTES, 0),
        (resource.RLIMIT_FSIZE, FILE_BYTES, 0),
        (resource.RLIMIT_CPU, CPU_S, 10),  # one that does not hear that its time is over is killed
    ):
        _, hard = resource.getrlimit(kind)
        last = most + more if hard == resource.RLIM_INFINITY else min(most + more, hard)
        resource.setrlimit(kind, (min(most, last), last))
    signal.signal(signal.SIGXCPU, _out_of_time)


def _out_of_time(*_: object) -> None:
    # Once is enough: what is told now must not be interrupted every second.
    signal.signal(signal.SIGXCPU, signal.SIG_IGN)
    raise FeedTooBig(f"reading it took more than {CPU_S} s of a processor's time")


def _work(asked: argparse.Namespace) -> None:
    asked.spool.mkdir(mode=0o700, parents=True, exist_ok=True)
    feed = KINDS[asked.kind](
        asked.spool / asked.kind, run=run, root=asked.root, proxy=_proxy(asked)
    )
    if asked.command == "try":
        _hand_over(asked.out, msgspec.json.encode(tried(feed.places(), feed.try_one)))
        return
    shelf = AdviceShelf(asked.advisories)
    now = datetime.now(UTC)
    if asked.command == "fetch":
        _say(step="fetching")
        feed.fetch(now=now, selection=_selection(asked.selection))
        _say(step="verifying")
        stamp = _both(feed, shelf, now=now)
        if stamp == _stamp_of(asked.out):
            return  # what was handed over before is still so
        content = _enriched(feed, replace(feed.read(now=now), stamp=stamp), shelf)
    else:
        wanted = set(msgspec.json.decode(asked.wanted.read_bytes(), type=list[str]))
        content = _described(feed, feed.read(now=now), wanted)
    data = pack_spool(
        content.shards,
        as_of=content.as_of,
        stamp=content.stamp,
        note=content.note,
        is_whole=content.is_whole,
        vendors={} if asked.command == "describe" else _kept(content, asked.out.parent / VENDORS),
    )
    _hand_over(asked.out, data)


def _kept(content: FeedContent, folder: Path) -> Vendors:
    """Put what vendors signed beside the spool, each document under its digest."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def kept(file: VendorFile) -> VendorFileV1:
        _hand_over(folder / file.sha256.hex(), file.read())
        return VendorFileV1(file.key, file.sha256)

    found = {
        shard: tuple(
            VendorIndexV1(
                kind=index.kind,
                name=index.name,
                signed=kept(index.signed),
                lists=tuple(map(kept, index.lists)),
            )
            for index in indexes
        )
        for shard, indexes in content.vendors.items()
    }
    named = {
        file.sha256.hex()
        for indexes in found.values()
        for index in indexes
        for file in (index.signed, *index.lists)
    }
    for path in folder.iterdir():
        if path.name not in named:
            path.unlink()
    return found


def _hand_over(out: Path, data: bytes) -> None:
    draft = out.with_suffix(".new")
    draft.write_bytes(data)
    draft.replace(out)


def _selection(path: Path | None) -> Selection:
    return selection_of(msgspec.json.decode(path.read_bytes(), type=Choices)) if path else {}


def _proxy(asked: argparse.Namespace) -> Proxy | None:
    if not asked.proxy:
        return None
    try:
        return read_proxy(asked.proxy, asked.proxy_account, asked.proxy_direct)
    except ValueError as error:
        raise FeedUnreachable(f"the proxy: {error}") from error


def _both(feed: Feed, shelf: AdviceShelf, *, now: datetime) -> bytes:
    stamp = feed.stamp(now=now)
    return sha256(stamp + shelf.stamp() + feed.learnt()).digest() if shelf.paths else stamp


def _enriched(feed: Feed, content: FeedContent, shelf: AdviceShelf) -> FeedContent:
    """Return the content with what advisories beside the feed say of it.

    One about a CVE concerns the updates that mend it, which a changelog may have told already.
    """
    if not shelf.paths:
        return content
    _say(step="enriching")
    told = {shard: feed.known(updates) for shard, updates in content.shards.items()}
    found = enriched(told, shelf.advices())
    note = "; ".join(filter(None, (content.note, shelf.note)))
    return replace(content, shards=found.shards, note=note)


class _Handed(msgspec.Struct):
    """As much of a file that was handed over as says whether it is still right."""

    stamp: bytes


def _stamp_of(out: Path) -> bytes:
    try:
        return msgspec.msgpack.decode(out.read_bytes(), type=_Handed).stamp
    except (OSError, msgspec.DecodeError):
        return b""


def _described(feed: Feed, content: FeedContent, wanted: set[str]) -> FeedContent:
    """Return the wanted updates alone, each with what can be learnt of it."""
    total, done = len(wanted), 0
    shards: dict[str, tuple[FeedUpdate, ...]] = {}
    for name, updates in content.shards.items():
        described: list[FeedUpdate] = []
        chosen = (update for update in updates if update.details.vendor_id in wanted)
        for batch in _batches(chosen, BATCH):
            _say(step="describing", done=done, of=total)
            described += feed.describe(batch)
            done += len(batch)
        shards[name] = tuple(described)
    return replace(content, shards=shards)


def _batches(things: Iterator[T], size: int) -> Iterator[list[T]]:
    while batch := list(islice(things, size)):
        yield batch


def _failed(error: PatchtideError) -> int:
    _say(code=error.code, detail=str(error))
    return 1


def _say(**words: str | int) -> None:
    sys.stdout.write(msgspec.json.encode(words).decode() + "\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="patchtide.entry.feed", description=__doc__)
    parser.add_argument("command", choices=("fetch", "describe", "try"))
    parser.add_argument("--kind", choices=tuple(KINDS), default="apt", help="whose archives")
    parser.add_argument("--spool", type=Path, required=True, help="folder of the feed's own")
    parser.add_argument("--out", type=Path, required=True, help="file to hand over")
    parser.add_argument("--root", type=Path, default=Path("/"), help="system whose sources it is")
    parser.add_argument(
        "--advisories", type=Path, action="append", default=[], help="what more is known of them"
    )
    parser.add_argument("--proxy", default="", help="what leads to what is fetched")
    parser.add_argument("--proxy-account", type=Path, help="file of USER:PASSWORD for it")
    parser.add_argument(
        "--proxy-direct", action="append", default=[], help="a host that is asked without it"
    )
    parser.add_argument("--selection", type=Path, help="JSON of what is chosen of which feed")
    parser.add_argument("--wanted", type=Path, help="JSON list of the updates to describe")
    return parser


if __name__ == "__main__":
    sys.exit(main())
